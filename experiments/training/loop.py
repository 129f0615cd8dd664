"""The training loop: what happens at a step, in the order in which it happens."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from experiments.clipping import Clip, apply_clipping, total_norm
from experiments.measures.measure import Measure
from experiments.remedies import Remedy
from experiments.schedules import advance
from experiments.store.files import Table
from experiments.tasks.task import Batch, Task
from experiments.training.overflow import Overflow, find_overflow, mark_overflow
from models.network import DetachedState, RecurrentNetwork, Window


class Step(NamedTuple):
    """What is told of a step when it is over."""

    number: int
    loss: float
    grad_norm: float
    finite: bool


class Divergence(NamedTuple):
    """How a training ended early.

    Attributes:
        step: The step whose loss or gradient was not finite.
        overflow: Where its gradient left the range of the dtype; None where that is not what happened.
    """

    step: int
    overflow: Overflow | None


class Evaluation(NamedTuple):
    """How a network does on sequences that it was not trained on.

    Attributes:
        loss: the mean over them.
        error: the mean of the task's own.
        samples: how many there were.
    """

    loss: float
    error: float
    samples: int


def is_due(step: int, every: int, steps: int) -> bool:
    """Whether `step` is step 1, one of every `every`-th after it, or the last of `steps`."""
    return (step - 1) % every == 0 or step == steps


def train(
    network: RecurrentNetwork,
    task: Task,
    optimizer: Optimizer,
    clip: Clip,
    schedule: LRScheduler,
    remedy: Remedy,
    *,
    steps: int,
    first_step: int = 1,
    batch_size: int,
    generator: Generator,
    record_every: int,
    windows: int,
    metrics: Table,
    measures: Mapping[Measure, Table],
    after_step: Callable[[Step], None],
) -> Divergence | None:
    """Train on fresh batches; the step at which loss or gradient stopped being finite, else None.

    A recorded step is unrolled in windows, whose gradients the measures see before anything touches them. A step that
    is not finite is recorded whatever its number, its update is not made, and it is the last. A gradient beyond the
    range of the dtype is recorded as inf, also where backpropagation went on to nan; a nan of another cause is nan.

    Args:
        steps: how many updates to make.
        first_step: the number of the first that is to be made, where those before it were made earlier.
        batch_size: sequences drawn from the task for each.
        generator: of the training sequences, on the CPU.
        record_every: the recorded steps are 1, 1 + record_every, ..., and the last.
        windows: into how many windows a recorded step is cut.
        metrics: takes a row each step.
        measures: each with the table that takes its rows.
        after_step: called after each step.
    """
    parameters = dict(network.named_parameters())
    first = next(iter(parameters.values()))
    for number in range(first_step, steps + 1):
        batch = task.draw(batch_size, generator).to(first.device, first.dtype)
        recorded = bool(measures) and is_due(number, record_every, steps)
        loss, penalty, trace = _backpropagate(network, task, remedy, batch, windows if recorded else None)
        gradients = _gradients(parameters)
        norm = total_norm(gradients)
        finite = all(map(math.isfinite, (norm, loss, penalty or 0.0)))
        overflow = None
        if not finite:
            overflow = find_overflow(network, task, batch) if math.isfinite(loss) else None
            recorded = bool(measures)
            _, _, trace = _backpropagate(network, task, remedy, batch, windows if recorded else None)
            if overflow is not None:
                norm, trace = math.inf, mark_overflow(parameters.values(), trace)

        if recorded:
            for measure, table in measures.items():
                table.append(measure.before_update(number, network, trace))
        lr = optimizer.param_groups[0]["lr"]
        if finite:
            clipped = apply_clipping(clip, gradients, norm)
            optimizer.step()
            with torch.no_grad():
                remedy.after_update(network)
            scale = clipped.norm / norm if norm else 1.0
            metrics.append([(number, loss, norm, clipped.norm, scale, lr, clipped.threshold, clipped.cosine, penalty)])
            advance(schedule, loss)
        else:
            metrics.append([(number, loss, norm, None, None, lr, None, None, penalty)])
        if recorded:
            for measure, table in measures.items():
                table.append(measure.after_update(number, network))

        after_step(Step(number, loss, norm, finite))
        if not finite:
            return Divergence(number, overflow)
    return None


def _backpropagate(
    network: RecurrentNetwork, task: Task, remedy: Remedy, batch: Batch, windows: int | None
) -> tuple[float, float | None, list[Window]]:
    """Put the gradients in place; return the loss, the remedy's penalty, and the windows if any were asked for."""
    network.zero_grad()
    if windows is None and remedy.penalizes:
        windows = 1
    outputs, trace = (network(batch.inputs), []) if windows is None else network.unroll(batch.inputs, windows)
    loss = task.losses(outputs, batch.targets).mean()
    penalty = remedy.penalty(network, outputs, trace) if remedy.penalizes else None
    torch.autograd.backward(loss if penalty is None else loss + penalty)
    return loss.item(), None if penalty is None else penalty.item(), trace


def _gradients(parameters: Mapping[str, Tensor]) -> list[Tensor]:
    """The gradients of all parameters: one without is an error, as it is for a state."""
    for name, parameter in parameters.items():
        if parameter.grad is None:
            raise DetachedState(f"parameter {name}: the loss does not depend on it")
    return [parameter.grad for parameter in parameters.values() if parameter.grad is not None]


@torch.no_grad()
def evaluate(network: RecurrentNetwork, task: Task, samples: int, generator: Generator) -> Evaluation:
    """Answer held-out sequences. One whose loss is not finite is wrong, whatever the task makes of it."""
    first = next(network.parameters())
    losses: list[Tensor] = []
    errors: list[Tensor] = []
    for batch in task.held_out(samples, generator):
        batch = batch.to(first.device, first.dtype)
        outputs = network(batch.inputs)
        losses.append(task.losses(outputs, batch.targets).double())
        errors.append(task.errors(outputs, batch.targets).double().where(losses[-1].isfinite(), 1.0))
    loss, error = torch.cat(losses), torch.cat(errors)
    return Evaluation(loss.mean().item(), error.mean().item(), len(error))
