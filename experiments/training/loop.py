"""The training loop: loss, backpropagation, clipping and update of each step, and the evaluation on held-out data."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from experiments.clipping import Clip, apply_clipping, total_norm
from experiments.measures.measure import Measure, check_rows
from experiments.nonfinite import Diverge
from experiments.remedies import Remedy
from experiments.schedules import advance
from experiments.store.csv_writer import CsvWriter
from experiments.tasks.task import Task
from experiments.training.backpropagation import Start, backpropagate
from experiments.training.overflow import Overflow, find_overflow, infinite_where_unknown
from models.contributions import Bounds
from models.differentiation import DetachedState
from models.network import RecurrentNetwork


class Step(NamedTuple):
    """The outcome of a training step, passed to `after_step`.

    Attributes:
        number: Number of the step, from 1.
        loss: Loss of the batch.
        grad_norm: Norm of the gradient of all parameters before clipping.
        finite: Whether loss, penalty and gradient norm are finite.
    """

    number: int
    loss: float
    grad_norm: float
    finite: bool


class Divergence(NamedTuple):
    """The early end of a training whose loss or gradient was not finite.

    Attributes:
        step: Step whose loss, penalty or gradient was not finite.
        overflow: Where the gradient left the range of the dtype; None if there was no overflow of the gradient.
    """

    step: int
    overflow: Overflow | None


class Evaluation(NamedTuple):
    """The performance of a network on held-out sequences.

    Attributes:
        loss: Mean loss.
        error: Mean error, as the task defines it.
        samples: Number of sequences.
    """

    loss: float
    error: float
    samples: int


def is_due(step: int, every: int, steps: int) -> bool:
    """Whether `step` is one of steps 1, 1 + every, 1 + 2 every, ..., or the last of `steps`."""
    return (step - 1) % every == 0 or step == steps


def train(
    network: RecurrentNetwork,
    task: Task,
    optimizer: Optimizer,
    clip: Clip,
    schedule: LRScheduler,
    remedy: Remedy,
    nonfinite: Diverge,
    *,
    steps: int,
    first_step: int = 1,
    batch_size: int,
    generator: Generator,
    record_every: int,
    windows: Bounds,
    metrics: CsvWriter,
    measures: Mapping[Measure, CsvWriter],
    after_step: Callable[[Step], bool],
) -> Divergence | None:
    """Train the network on newly drawn batches.

    A recorded step is traced, which changes nothing in the training. The measures see the trace before the update.
    A step with a loss, penalty or gradient that is not finite is always recorded, and ends the training unless
    `nonfinite` lets it go on. A gradient beyond the range of the dtype is recorded as inf, even if backpropagation
    turned it into nan. A nan with another cause is recorded as nan.

    Args:
        network: Network to train, in place.
        task: Task that draws the batches and computes the loss.
        optimizer: Optimiser of the network's parameters.
        clip: Clipping rule.
        schedule: Learning-rate schedule of the optimiser.
        remedy: Penalty on the loss, and changes of gradients and parameters.
        nonfinite: What to do at a step that is not finite.
        steps: Number of the last step, unless `after_step` ends the training earlier.
        first_step: Number of the first step; above 1 if the training resumes.
        batch_size: Number of sequences in each batch.
        generator: Random number generator of the training sequences, on the CPU.
        record_every: Interval of the recorded steps, which are 1, 1 + record_every, ..., and the last.
        windows: Windows of timesteps of a recorded step.
        metrics: Table that takes one row per step.
        measures: Measures, each with the table that takes its rows.
        after_step: Function to call after every step; it returns whether the next step is the last.

    Returns:
        Where the training diverged; None if it completed its last step.

    Raises:
        DetachedState: The loss does not depend on a parameter, or on a state that a measure asks for.
    """
    parameters = dict(network.named_parameters())
    first = next(iter(parameters.values()))
    number, last = first_step - 1, steps
    while number < last:
        number += 1
        batch = task.draw(batch_size, generator).to(first.device, first.dtype)
        remedy.before_step(number, network, batch.inputs)
        recorded = bool(measures) and is_due(number, record_every, last)
        loss, penalty, trace = backpropagate(network, task, batch, remedy=remedy, windows=windows if recorded else None)
        gradients = _gradients(parameters)
        norm = total_norm(gradients)
        finite = all(map(math.isfinite, (norm, loss, penalty or 0.0)))
        overflow = None
        if not finite:
            overflow = find_overflow(network, task, batch) if math.isfinite(loss) else None
            recorded, overflowed = bool(measures), overflow is not None
            trace = backpropagate(
                network, task, batch, remedy=remedy, windows=windows if recorded else None, overflowed=overflowed
            ).trace
            if overflowed:
                norm = math.inf
                infinite_where_unknown(network)

        if trace is not None:
            with Start(network, first.device).again():
                for measure, table in measures.items():
                    table.append(check_rows(measure, measure.before_update(number, network, trace)))
        lr = optimizer.param_groups[0]["lr"]
        if finite:
            clipped = apply_clipping(clip, gradients, norm)
            scale = clipped.norm / norm if norm else 1.0
            effect = (clipped.norm, scale, lr, clipped.threshold, clipped.cosine, penalty, clipped.share)
            metrics.append([(number, loss, norm, *effect)])
        else:
            metrics.append([(number, loss, norm, None, None, lr, None, None, penalty, None)])
        goes_on = finite or nonfinite.goes_on(number, network)
        if goes_on:
            with torch.no_grad():
                remedy.before_update(network)
            optimizer.step()
            with torch.no_grad():
                remedy.after_update(network)
            advance(schedule, loss)
        if trace is not None:
            with Start(network, first.device).again():
                for measure, table in measures.items():
                    table.append(check_rows(measure, measure.after_update(number, network)))
        del trace  # it may be as large as the rest of the step

        if after_step(Step(number, loss, norm, finite)):
            last = min(last, number + 1)
        if not goes_on:
            return Divergence(number, overflow)
    return None


def _gradients(parameters: Mapping[str, Tensor]) -> list[Tensor]:
    """The gradients of all parameters. A missing gradient is an error, as for a state."""
    for name, parameter in parameters.items():
        if parameter.grad is None:
            raise DetachedState(f"parameter {name}: the loss does not depend on it")
    return [parameter.grad for parameter in parameters.values() if parameter.grad is not None]


@torch.no_grad()
def evaluate(network: RecurrentNetwork, task: Task, samples: int, generator: Generator) -> Evaluation:
    """Evaluate the network on held-out sequences. A sequence with a loss that is not finite has an error of 1."""
    first = next(network.parameters())
    losses: list[Tensor] = []
    errors: list[Tensor] = []
    for batch in task.held_out(samples, generator):
        batch = batch.to(first.device, first.dtype)
        outputs = network(batch.inputs, batch.starts)
        losses.append(task.losses(outputs, batch.targets).double())
        errors.append(task.errors(outputs, batch.targets).double().where(losses[-1].isfinite(), 1.0))
    loss, error = torch.cat(losses), torch.cat(errors)
    return Evaluation(loss.mean().item(), error.mean().item(), len(error))
