import pytest
import torch

from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.training.backpropagation import backpropagate
from models.trace import cut

SMALL = ["dtype=float64", "task.length=7", "model.hidden_size=5", "batch_size=3"]


@pytest.fixture
def small():
    """Build the parts of a small run in float64, with a batch of its task."""

    def build_small(*overrides):
        config = compose([*SMALL, *overrides])
        parts = build(config)
        batch = parts.task.draw(config.batch_size, torch.Generator().manual_seed(0))
        return parts, batch.to(torch.device("cpu"), getattr(torch, config.dtype))

    return build_small


@pytest.fixture
def gradients():
    """The gradients of all parameters by name, and the pass with its trace."""

    def compute(parts, batch, remedy=None):
        length = len(batch.inputs)
        done = backpropagate(parts.network, parts.task, batch, remedy=remedy, windows=cut(length, length))
        return {name: one.grad.clone() for name, one in parts.network.named_parameters()}, done

    return compute
