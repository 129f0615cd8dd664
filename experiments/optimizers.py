"""torch's optimisers, with the options that a study of gradients varies."""

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch.nn import Parameter
from torch.optim import Optimizer

LearningRate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


def sgd(parameters: Iterable[Parameter], lr: LearningRate, momentum: Decay = 0.0) -> Optimizer:
    """Stochastic gradient descent: the size of a step is the size of the gradient."""
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum)


def adam(parameters: Iterable[Parameter], lr: LearningRate, beta1: Decay = 0.9, beta2: Decay = 0.999) -> Optimizer:
    """Adam (Kingma, Ba 2015): a step does not depend on the gradient's overall size."""
    return torch.optim.Adam(parameters, lr=lr, betas=(beta1, beta2))


def rmsprop(parameters: Iterable[Parameter], lr: LearningRate, alpha: Decay = 0.99, momentum: Decay = 0.0) -> Optimizer:
    """RMSprop (Tieleman, Hinton 2012): each gradient entry is divided by its running size."""
    return torch.optim.RMSprop(parameters, lr=lr, alpha=alpha, momentum=momentum)
