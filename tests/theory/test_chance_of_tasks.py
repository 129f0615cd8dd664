"""What an answer without memory scores: a task's chance level is reached, and the last input gives no more."""

import math

import pytest
import torch
from torch import Generator
from torch.nn.functional import one_hot

from experiments.tasks.copy import COPIED
from experiments.tasks.delayed_parity import DelayedParity
from experiments.tasks.delayed_xor import DelayedXor
from experiments.tasks.latch import Latch
from experiments.tasks.multiplication import Multiplication
from experiments.tasks.noise import Noise
from experiments.tasks.noiseless_memorization import NoiselessMemorization
from experiments.tasks.palindrome import Palindrome
from experiments.tasks.random_permutation import RandomPermutation
from experiments.tasks.running_parity import RunningParity
from experiments.tasks.selective_copy import SelectiveCopy
from experiments.tasks.sine_frequency import SineFrequency
from experiments.tasks.task import ClassificationTask
from experiments.tasks.temporal_order_3bit import TemporalOrder3Bit

SEQUENCES, BINS = 6000, 8
CERTAIN = 30.0
"""A logit that leaves all other classes a probability of 1e-13."""

TASKS = [
    Multiplication(3),
    Multiplication(40),
    TemporalOrder3Bit(4),
    TemporalOrder3Bit(40),
    RandomPermutation(2),
    RandomPermutation(20),
    NoiselessMemorization(5),
    SelectiveCopy(5),
    Latch(4, signal=3, noise=0.2),
    DelayedParity(3, delay=0, bits=3),
    DelayedParity(12, delay=5, bits=2),
    DelayedXor(2, delay=1),
    DelayedXor(12, delay=7),
    DelayedXor(12, delay=7, loss_at="last"),
    RunningParity(1),
    RunningParity(7),
    RunningParity(7, loss_at="last"),
    RunningParity(1, loss_at="last"),
    Palindrome(2),
    Palindrome(9),
    SineFrequency(2),
    SineFrequency(20),
    SineFrequency(20, loss_at="all"),
    Noise(1, size=1, std=1.0),
    Noise(5, size=3, std=2.0),
]
EACH = pytest.mark.parametrize(
    "task", TASKS, ids=lambda task: f"{type(task).__name__}{task.timesteps}-{task.readout_steps}"
)


def batch(task, seed=1):
    drawn = task.draw(SEQUENCES, Generator().manual_seed(seed))
    return drawn.to(torch.device("cpu"), torch.float64)


def without_memory(task, drawn):
    """The best answer that knows the timestep and the input at it, as each task's definition has it."""
    outputs = torch.zeros(*drawn.targets.shape[:2], task.output_size, dtype=torch.float64)
    if isinstance(task, Multiplication):
        outputs += 1 / 4
    elif isinstance(task, SineFrequency):
        outputs += 1 / 2
    elif isinstance(task, RandomPermutation):
        outputs[..., 2:] = -CERTAIN
    elif isinstance(task, NoiselessMemorization | SelectiveCopy):
        outputs[:-COPIED, :, task.symbols] = CERTAIN
        outputs[-COPIED:, :, task.symbols] = -CERTAIN
    elif isinstance(task, RunningParity) and len(outputs) == task.timesteps:
        first_bit = (drawn.inputs[0, :, 0] > 0).long()
        outputs[0] = CERTAIN * one_hot(first_bit, 2)
    return outputs


def same(measured, expected):
    """Whether a mean over sequences is the expected one, to four of its standard errors."""
    error = measured.std().item() / math.sqrt(len(measured))
    return measured.mean().item() == pytest.approx(expected, abs=max(4 * error, 1e-6))


@EACH
def test_the_best_answer_without_memory_scores_the_chance_level(task):
    drawn = batch(task)
    outputs = without_memory(task, drawn)
    assert same(task.losses(outputs, drawn.targets), task.chance_loss)
    # Of equal logits, argmax takes the first: any class is as good a guess as another.
    assert same(task.errors(outputs, drawn.targets), task.chance_error)


def fitted(task, read, targets):
    """What each bin of inputs is followed by: for each timestep, the answer that fits these sequences best."""
    classes = task.output_size if isinstance(task, ClassificationTask) else 1
    seen = one_hot(targets, classes).double() if isinstance(task, ClassificationTask) else targets
    table = torch.zeros(len(read), int(read.max()) + 1, classes, dtype=torch.float64)
    table.scatter_add_(1, read[..., None].expand(-1, -1, classes), seen)
    counts = torch.zeros(table.shape[:2], dtype=torch.float64).scatter_add_(1, read, torch.ones(read.shape).double())
    # A little of the answer over all bins keeps rare bins from an answer that was never seen.
    overall = seen.mean(dim=1)[:, None, :] + 1e-9
    means = (table + overall) / (counts + 1)[..., None]
    return means.log() if isinstance(task, ClassificationTask) else means


@EACH
def test_the_input_at_the_timestep_of_the_answer_gives_no_better_one(task):
    """A table from the input at a timestep to the answer, fitted to some sequences, does no better on others."""
    here = [batch(task, seed) for seed in (2, 3)]
    discrete = task.input_size > 3
    read = []
    for drawn in here:
        last = drawn.inputs[-len(drawn.targets) :]
        if discrete:
            read.append(last.argmax(dim=-1))
        else:
            limits = torch.linspace(-1.75, 1.75, BINS - 1, dtype=torch.float64)
            read.append(torch.bucketize(last[..., 0].contiguous(), limits))
    table = fitted(task, read[0], here[0].targets)
    outputs = table.gather(1, read[1].clamp(max=table.shape[1] - 1)[..., None].expand(-1, -1, table.shape[2]))
    for score, chance in ((task.losses, task.chance_loss), (task.errors, task.chance_error)):
        measured = score(outputs, here[1].targets)
        assert measured.mean().item() > chance - 4 * measured.std().item() / math.sqrt(SEQUENCES) - 1e-6
    losses = task.losses(outputs, here[1].targets)
    assert losses.mean().item() < 1.05 * task.chance_loss + 1e-3
