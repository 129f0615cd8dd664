"""torch's optimisers, with the options that a study of gradients may vary."""

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch.nn import Parameter
from torch.optim import Optimizer

LearningRate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Penalty = Annotated[float, Field(ge=0)]
"""Weight decay: the fraction of each weight that is added to its gradient (L2) or subtracted at each update (adamw)."""


def sgd(
    parameters: Iterable[Parameter], lr: LearningRate, momentum: Decay = 0.0, weight_decay: Penalty = 0.0
) -> Optimizer:
    """Stochastic gradient descent. The size of an update is lr times the size of the gradient."""
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)


def adam(
    parameters: Iterable[Parameter],
    lr: LearningRate,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    weight_decay: Penalty = 0.0,
) -> Optimizer:
    """Adam (Kingma, Ba 2015). The update does not depend on the overall size of the gradient."""
    return torch.optim.Adam(parameters, lr=lr, betas=(beta1, beta2), weight_decay=weight_decay)


def adamw(
    parameters: Iterable[Parameter],
    lr: LearningRate,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    weight_decay: Penalty = 0.01,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019). Each update shrinks weights by lr * weight_decay."""
    return torch.optim.AdamW(parameters, lr=lr, betas=(beta1, beta2), weight_decay=weight_decay)


def rmsprop(
    parameters: Iterable[Parameter],
    lr: LearningRate,
    alpha: Decay = 0.99,
    momentum: Decay = 0.0,
    weight_decay: Penalty = 0.0,
) -> Optimizer:
    """RMSprop (Tieleman, Hinton 2012). Each entry of the gradient is divided by its running root mean square."""
    return torch.optim.RMSprop(parameters, lr=lr, alpha=alpha, momentum=momentum, weight_decay=weight_decay)
