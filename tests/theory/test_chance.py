"""The loss and error of guessing, measured on sequences that the tasks draw."""

import math

import pytest
import torch
from torch import Generator

from experiments.tasks.adding import Adding
from experiments.tasks.copy import COPIED, Copy
from experiments.tasks.digits import Digits
from experiments.tasks.temporal_order import TemporalOrder


def batch(task, size=20_000):
    return task.draw(size, Generator().manual_seed(1))


@pytest.mark.parametrize(("halved", "loss", "error"), [(False, 1 / 6, 0.64), (True, 1 / 24, 0.36)])
def test_adding_costs_its_variance_when_the_mean_is_predicted(halved, loss, error):
    """Chance comes near it: the number at T is rarely the marked one."""
    task = Adding(50, halved=halved)
    targets = batch(task).targets
    guess = torch.full_like(targets, 0.5 if halved else 1.0)
    assert (task.chance_loss, task.chance_error) == pytest.approx((loss, error), rel=0.03)
    assert (Adding(50_000, halved=halved).chance_loss) == pytest.approx(loss, rel=1e-4)
    assert task.losses(guess, targets).mean().item() == pytest.approx(loss, rel=0.02)
    assert task.errors(guess, targets).mean().item() == pytest.approx(error, rel=0.02)


@pytest.mark.parametrize(("delay", "loss"), [(100, 0.173287), (200, 0.094520), (500, 0.039989), (1000, 0.020387)])
def test_copy_costs_ten_guesses(delay, loss):
    task = Copy(delay)
    targets = batch(task, 500).targets
    logits = torch.full((*targets.shape, 9), -50.0, dtype=torch.float64)
    logits[:-COPIED, :, 8] = 50
    logits[-COPIED:, :, :8] = 0
    assert task.chance_loss == pytest.approx(loss, abs=1e-6)
    assert task.losses(logits, targets).mean().item() == pytest.approx(loss, abs=1e-6)
    assert task.errors(logits, targets).mean().item() == pytest.approx(task.chance_error, rel=0.02)


@pytest.mark.parametrize(("task", "classes"), [(TemporalOrder(100), 4), (Digits(), 10)])
def test_classes_cost_their_logarithm(task, classes):
    targets = batch(task).targets
    logits = torch.zeros(*targets.shape, classes)
    assert task.chance_loss == pytest.approx(math.log(classes))
    assert task.losses(logits, targets).mean().item() == pytest.approx(math.log(classes), rel=1e-5)
    assert task.errors(logits, targets).mean().item() == pytest.approx(task.chance_error, rel=0.03)
