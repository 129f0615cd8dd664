"""The gradient pulled back by one timestep: states that read other states of the same timestep are told apart."""

import torch

from models.cell import Cell
from models.pull_back import pull_back


class Chain(Cell):
    """Within one timestep, n feeds c, and both feed h."""

    state_names = ("h", "c", "n")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight = torch.nn.Parameter(torch.randn(hidden_size, hidden_size))

    def step(self, x, state):
        h, c, n = state
        n = torch.sin(n @ self.weight) + x
        c = c * n + torch.tanh(h)
        return torch.tanh(c * n), c, n


def test_each_state_has_its_gradient_with_the_others_of_the_timestep_held_fixed():
    torch.manual_seed(0)
    cell = Chain(3, 3).double()
    x, *before = torch.randn(4, 6, 3, dtype=torch.float64)
    expected = torch.randn(3, 6, 3, dtype=torch.float64).unbind()
    read = tuple(one.clone().requires_grad_() for one in before)
    after = cell.step(x, read)
    loss = sum((one * state).sum() for one, state in zip(expected, after, strict=True))
    totals = torch.autograd.grad(loss, after, retain_graph=True)
    fixed, back = pull_back(cell, x, tuple(before), totals)
    for found, right in zip((*fixed, *back), (*expected, *torch.autograd.grad(loss, read)), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)
    assert (totals[2] - expected[2]).abs().min() > 1e-4
