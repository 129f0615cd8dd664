"""Theory of the gradient: closed-form predictions for a network at its initialisation, and bounds from its weights."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from experiments.config.schema import Config
from models.cell import Cell
from models.lstm import LSTM
from models.rnn import RNN

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)

CRITICAL = "experiments.training.critical.critical"
"""Target of init=critical."""

STEADY = 0.02
"""Largest relative difference between the gains predicted at the lowest and the highest input variance.

Mean-field theory assumes one input variance for all timesteps, so beyond this difference there is no prediction."""


class Theory(NamedTuple):
    """What theory predicts for the layers' states; `experiments.analysis.gradient_law` applies it to the gradient.

    Attributes:
        gain: Gain per timestep of the first layer's Jacobian at the initialisation; None if no law applies.
        state: State that the gain is for, h or c.
        law: Law that the gain follows from; None without a gain.
        bound: Upper bound of the gain of the first layer's Jacobian in any timestep; None if no bound is known.
        recurrent: Largest singular value of each layer's recurrent matrix W_hh; empty if no bound is known.
        between: Largest singular value of W_ih of every layer except the first, from the lower layer to the upper one.
    """

    gain: float | None
    state: str
    law: str | None
    bound: float | None
    recurrent: Sequence[float] = ()
    between: Sequence[float] = ()


def predict(
    config: Config, cells: Sequence[Cell], x: Float[Tensor, "time batch input"], *, trained: bool = False
) -> Theory | None:
    """Predict the gain of a network's states; None if neither a law nor a bound applies.

    The bounds follow from the singular values, because no slope of tanh, relu or identity is above 1 (Pascanu, Mikolov,
    Bengio 2013, sec. 2). They hold for trained networks as well; the laws do not. The function knows only this
    package's own cells and initialisations, not a user's with the same name.

    Args:
        config: Configuration that names the initialisation and its gain.
        cells: Layers, from the one that reads the input upwards.
        x: Input of the first layer.
        trained: Whether training has changed the parameters.
    """
    law = None if trained else _law(config, cells[0], x)
    gain, state, words = law or (None, "h", None)
    recurrent, between = _sigmas(cells)
    if law is None and not recurrent:
        return None
    return Theory(gain, state, words, recurrent[0] if recurrent else None, recurrent, between)


def _law(config: Config, cell: Cell, x: Float[Tensor, "time batch input"]) -> tuple[float, str, str] | None:
    """The gain per timestep, the state that it is for, and the law that it follows from; None if no law applies."""
    if config.init["_target_"] == CRITICAL:
        return _critical(cell, x)
    init = str(config.init["_target_"]).removeprefix("models.initialization.")
    if init not in ("default", "orthogonal", "gaussian", "identity"):
        return None
    gain = abs(config.init.get("gain", 3**-0.5))  # torch's U(-k, k), k^2 = 1 / hidden: variance k^2 / 3
    if type(cell) is LSTM and gain == 0:
        return _forget_gain(cell, x), "c", "no recurrent weights: the forget gate (Hochreiter, Schmidhuber 1997)"
    if type(cell) is not RNN:
        return None
    drawn = init in ("default", "gaussian")
    if cell.nonlinearity == "identity":
        exact = "wide random matrix" if drawn else "exactly, g^lag"
        return gain, "h", f"linear recurrence: {exact}"
    if cell.nonlinearity == "tanh" and (drawn or init == "orthogonal"):
        mean = _mean_field_gain(gain, input_variances(cell, x))
        law = "sqrt(chi) of a wide random tanh network (Chen, Pennington, Schoenholz 2018)"
        return None if mean is None else (mean, "h", law)
    if cell.nonlinearity == "relu" and drawn:
        return gain / math.sqrt(2), "h", "half of the units of a wide random relu network pass"
    return None


def _critical(cell: Cell, x: Float[Tensor, "time batch input"]) -> tuple[float, str, str] | None:
    """The law of `init=critical`, where it is one: the input variance must be the same at all timesteps."""
    assert type(cell) is RNN
    drawn = float(cell.weight_hh.detach().double().square().mean().sqrt()) * cell.hidden_size**0.5
    if _mean_field_gain(drawn, input_variances(cell, x)) is None:
        return None
    return 1.0, "h", "chi = 1: init=critical chose the gain (Chen, Pennington, Schoenholz 2018)"


def _mean_field_gain(gain: float, variances: Float[Tensor, " time"]) -> float | None:
    """sqrt(chi) at the mean input variance; None if it changes by more than `STEADY` with the timesteps' variances."""
    low, mean, high = (
        math.sqrt(mean_field_chi(gain, float(v))) for v in (variances.min(), variances.mean(), variances.max())
    )
    return None if not math.isfinite(mean) or abs(low - high) > STEADY * mean else mean


@torch.no_grad()
def _forget_gain(cell: LSTM, x: Float[Tensor, "time batch input"]) -> float:
    """The root-mean-square gain per timestep of dL/dc_1 = f_2 ... f_T dL/dc_T, over all timesteps but the first."""
    forget = cell.compute_gates(x, x.new_zeros(*x.shape[:2], cell.hidden_size))["forget"].double()[1:]
    if not len(forget):
        return 1.0
    log_products = forget.log().sum(dim=0).flatten()
    mean_square = torch.logsumexp(2 * log_products, dim=0) - math.log(len(log_products))
    return math.exp(float(mean_square) / (2 * len(forget)))


@torch.no_grad()
def _sigmas(cells: Sequence[Cell]) -> tuple[list[float], list[float]]:
    """The largest singular values of each layer's W_hh, and of W_ih from the second layer on.

    Both lists are empty if a slope may be above 1 or a matrix is not finite.
    """
    if not all(type(cell) is RNN for cell in cells):
        return [], []
    parameters = [dict(cell.named_parameters()) for cell in cells]
    matrices = [[own["weight_hh"] for own in parameters], [own["weight_ih"] for own in parameters[1:]]]
    if not all(weight.isfinite().all() for weights in matrices for weight in weights):
        return [], []
    recurrent, between = (
        [float(torch.linalg.matrix_norm(weight.double(), 2)) for weight in weights] for weights in matrices
    )
    return recurrent, between


@torch.no_grad()
def input_variances(cell: RNN, x: Float[Tensor, "time batch input"]) -> Float[Tensor, " time"]:
    """The mean square, over units and sequences, of input and biases, which each timestep adds to W_hh h."""
    added = x @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh
    return added.double().square().mean(dim=(1, 2))


class Nonlinearity(NamedTuple):
    """A nonlinearity for mean-field theory and its slope, both as functions of arrays."""

    function: Callable[[Any], Any]
    slope: Callable[[Any], Any]


TANH = Nonlinearity(np.tanh, lambda a: 1 - np.tanh(a) ** 2)


def mean_field_chi(gain: float, variance: float, nonlinearity: Nonlinearity = TANH) -> float:
    """The factor per timestep of the mean squared gradient of a wide random network.

    chi = g^2 E[phi'(sqrt(q) z)^2], where q is the fixed point of q = g^2 E[phi(sqrt(q) z)^2] + variance and z ~ N(0, 1)
    (Sompolinsky, Crisanti, Sommers 1988; Chen, Pennington, Schoenholz 2018). If q grows without limit, as for relu with
    g^2 >= 2, the function returns chi at the largest q that it considers.

    Args:
        gain: Gain g: the entries of the recurrent matrix have the standard deviation g / sqrt(N).
        variance: Variance of input and bias together.
        nonlinearity: Function phi, sigmoid-shaped or relu, which bends only near 0.
    """
    square = gain * gain

    def excess(log_q: float) -> float:
        q = math.exp(log_q)
        return square * _mean_square(nonlinearity.function, q) + variance - q

    low, high = -600.0, 600.0
    while high - low > 1e-13 * max(1.0, abs(low)):  # E[phi^2] is concave in q, so `excess` crosses 0 once, downwards
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return square * _mean_square(nonlinearity.slope, math.exp((low + high) / 2))


def _mean_square(function: Callable[[Any], Any], q: float) -> float:
    """E[function(sqrt(q) z)^2] for z ~ N(0, 1), by Gauss-Legendre quadrature on panels that halve in width towards 0.

    For a large q the function bends within 1 / sqrt(q) of z = 0, far below the spacing of Gauss-Hermite nodes.
    """
    scale = math.sqrt(q)
    halvings = 8 + max(0, math.ceil(math.log2(scale)))
    ends = 9 * 2.0 ** -np.arange(halvings + 1)
    starts = np.append(ends[1:], 0.0)
    z = (starts + ends)[:, None] / 2 + (ends - starts)[:, None] / 2 * NODES
    weights = (ends - starts)[:, None] / 2 * WEIGHTS * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float((weights * (function(scale * z) ** 2 + function(-scale * z) ** 2)).sum())
