"""What theory says a network's gradient does at its initialisation, where a closed form applies."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from experiments.config import Config
from models.cell import Cell
from models.lstm import LSTM
from models.rnn import RNN

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(101)


class Prediction(NamedTuple):
    """What theory says of a layer.

    Attributes:
        gain: of the state's gradient a timestep.
        state: h or c.
        law: that the gain follows from.
        bound: what no timestep can gain more than: the largest singular value of the recurrent matrix, as no slope of
            tanh, relu or identity is above 1 (Pascanu, Mikolov, Bengio 2013, sec. 2).
    """

    gain: float
    state: str
    law: str
    bound: float | None


def predict(config: Config, cell: Cell, x: Float[Tensor, "time batch input"]) -> Prediction | None:
    """The gain of a layer's state at its initialisation; None where no closed form applies.

    Args:
        config: says how the recurrent matrix was drawn.
        cell: the first layer, untrained.
        x: what it reads.
    """
    init, gain = config.init["name"], config.init.get("gain")
    if isinstance(cell, LSTM) and gain == 0:
        with torch.no_grad():
            forget = cell.compute_gates(x, x.new_zeros(*x.shape[:2], cell.hidden_size))["forget"]
        law = "no recurrent weights: the forget gate (Hochreiter, Schmidhuber 1997)"
        return Prediction(float(forget.mean()), "c", law, None)
    if not isinstance(cell, RNN):
        return None
    if gain is None:
        gain = 3**-0.5  # torch's own U(-k, k), k^2 = 1 / hidden, has the variance k^2 / 3
    bound = float(torch.linalg.matrix_norm(cell.weight_hh.detach(), 2))
    drawn = init in ("default", "gaussian")
    if cell.nonlinearity == "identity":
        exact = "exactly, g^lag" if init in ("orthogonal", "identity") else "wide random matrix"
        return Prediction(gain, "h", f"linear recurrence: {exact}", bound)
    if cell.nonlinearity == "tanh" and (drawn or init == "orthogonal"):
        law = "sqrt(chi) of a wide random tanh network (Chen, Pennington, Schoenholz 2018)"
        return Prediction(math.sqrt(mean_field_chi(gain, input_variance(cell, x))), "h", law, bound)
    if cell.nonlinearity == "relu" and drawn:
        return Prediction(gain / math.sqrt(2), "h", "half of the units of a wide random relu network pass", bound)
    return None


def input_variance(cell: RNN, x: Float[Tensor, "time batch input"]) -> float:
    """The variance over units, and the mean over time and batch, of what is added to W h: input and biases."""
    with torch.no_grad():
        added = x @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh
    return float(added.square().mean())


def mean_field_chi(gain: float, variance: float) -> float:
    """The factor by which the mean squared gradient of a wide random tanh network changes a timestep.

    chi = g^2 E[tanh'(sqrt(q) z)^2], q the fixed point of q = g^2 E[tanh(sqrt(q) z)^2] + variance, z ~ N(0, 1)
    (Sompolinsky, Crisanti, Sommers 1988; Chen, Pennington, Schoenholz 2018).

    Args:
        gain: g; the entries of the recurrent matrix have the standard deviation g / sqrt(N).
        variance: of input and bias together.
    """
    q = 1.0 + variance
    for _ in range(10_000):
        following = gain**2 * _mean(lambda z: np.tanh(z) ** 2, q) + variance
        if abs(following - q) < 1e-12:
            break
        q = following
    return gain**2 * _mean(lambda z: np.cosh(z) ** -4.0, q)


def _mean(function: Callable[[Any], Any], q: float) -> float:
    """E[function(sqrt(q) z)], z ~ N(0, 1), by Gauss-Hermite quadrature."""
    return float(WEIGHTS @ function(math.sqrt(q) * NODES) / WEIGHTS.sum())
