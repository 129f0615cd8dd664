"""The initialisation at which mean-field theory says that gradients neither vanish nor explode."""

import torch
from scipy.optimize import brentq

from experiments.errors import UsageError
from experiments.tasks.task import Task
from experiments.training.theory import input_variances, mean_field_chi
from models.cell import Cell
from models.rnn import RNN

SAMPLES = 256
"""Sequences of the task from which the input variance is measured."""


def critical(cell: Cell, task: Task) -> None:
    """Draw N(0, g^2 / hidden) entries in float64, with the gain g at which chi is 1 (Chen et al. 2018).

    chi is that of `mean_field_chi`, for the mean square that the task's input and the biases add in a timestep, over
    units and timesteps.

    Raises:
        UsageError: The cell is not a tanh network that reads the task, for which there is no such theory.
    """
    if type(cell) is not RNN or cell.nonlinearity != "tanh":
        raise UsageError("init=critical: is for tanh units; it needs cell=rnn with cell.nonlinearity=tanh")
    if cell.input_size != task.input_size:
        raise UsageError("init=critical: knows the input of the first layer only; it needs model.num_layers=1")
    x = task.draw(SAMPLES, torch.Generator().manual_seed(0)).inputs_of_all
    gain = critical_gain(float(input_variances(cell, x.to(cell.weight_hh.dtype)).mean()))
    drawn = torch.empty(cell.weight_hh.shape, dtype=torch.float64).normal_(std=gain * cell.hidden_size**-0.5)
    cell.weight_hh.copy_(drawn)


def critical_gain(variance: float) -> float:
    """The gain at which chi of a wide random tanh network is 1.

    Args:
        variance: Mean square that input and biases add to W_hh h in each timestep; from 0.
    """
    high = 2.0
    while mean_field_chi(high, variance) < 1:
        high *= 2
    return float(brentq(lambda gain: mean_field_chi(gain, variance) - 1, 0.5, high, xtol=1e-12))
