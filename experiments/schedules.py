"""Learning-rate schedules: torch's schedulers, which advance once after every update."""

from typing import Annotated

from pydantic import Field, PositiveInt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    ReduceLROnPlateau,
    StepLR,
)

Factor = Annotated[float, Field(gt=0, lt=1)]
Floor = Annotated[float, Field(ge=0)]


def constant(optimizer: Optimizer) -> LRScheduler:
    """Keep the learning rate constant."""
    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def warmup(optimizer: Optimizer, updates: PositiveInt, start: Factor = 0.01) -> LRScheduler:
    """Raise the learning rate linearly over the first `updates` updates, from `start` times optimizer.lr."""
    return LinearLR(optimizer, start_factor=start, total_iters=updates)


def cosine(optimizer: Optimizer, updates: PositiveInt, min_lr: Floor = 0.0) -> LRScheduler:
    """Lower the learning rate to `min_lr` along half a cosine, over `updates` updates (Loshchilov, Hutter 2017)."""
    _check_floor(optimizer, min_lr)
    return CosineAnnealingLR(optimizer, T_max=updates, eta_min=min_lr)


def step(optimizer: Optimizer, every: PositiveInt, factor: Factor = 0.1) -> LRScheduler:
    """Multiply the learning rate by `factor` after every `every` updates."""
    return StepLR(optimizer, step_size=every, gamma=factor)


def plateau(
    optimizer: Optimizer, patience: PositiveInt, factor: Factor = 0.1, min_lr: Floor = 0.0
) -> ReduceLROnPlateau:
    """Multiply the learning rate by `factor` if the training loss reaches no new minimum for `patience` updates."""
    _check_floor(optimizer, min_lr)
    return ReduceLROnPlateau(optimizer, factor=factor, patience=patience, threshold=0.0, min_lr=min_lr, eps=0.0)


def _check_floor(optimizer: Optimizer, min_lr: float) -> None:
    lr = optimizer.param_groups[0]["lr"]
    if min_lr > lr:
        raise ValueError(f"schedule.min_lr={min_lr}: must be at most optimizer.lr={lr}")


def advance(schedule: LRScheduler | ReduceLROnPlateau, loss: float) -> None:
    """Advance a schedule, which sets the learning rate of the next update.

    Args:
        schedule: Learning-rate scheduler of torch.
        loss: Training loss of this step, which only `ReduceLROnPlateau` uses.
    """
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(loss)
    else:
        schedule.step()
