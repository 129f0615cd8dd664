"""Omega of cells with gates and several states, against loops over timesteps and sequences, and its closed facts."""

import pytest
import torch
from torch.func import functional_call, jacrev

from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.errors import UsageError
from experiments.remedies import HDetach, Omega, Several
from experiments.tasks.task import Batch
from models.differentiation import pack, unpack
from models.rnn import RNN

SHORT = ["task.length=4", "model.hidden_size=3", "batch_size=2", "remedy=omega", "remedy.weight=3"]


class OwnRNN(RNN):
    """The step of a vanilla RNN, in a class whose step may be another one."""

    def step(self, x, state):
        return super().step(x, state)


def jacobian(cell, parameters, x, state):
    """ds_{k+1}/ds_k of one sequence, with a complex number as two real ones."""
    sizes = [(len(one), one.is_complex()) for one in state]

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, vector):
            return pack(self.cell.step(x[None], tuple(one[None] for one in unpack(vector, sizes))))[0]

    named = {f"cell.{name}": one for name, one in parameters.items()}
    return jacrev(lambda vector: functional_call(Step(), named, (vector,)))(pack(state))


def transitions(cell, x, layer):
    """x_{k+1}, s_k and dL/ds_{k+1} of every timestep and sequence.

    The gradient of h is the recorded one. That of the other states follows from timestep T backwards.
    """
    plain = {name: one.detach() for name, one in cell.named_parameters()}
    states, size = layer.states.values(), cell.hidden_size
    for b in range(x.shape[1]):
        gradient = torch.zeros_like(pack(steps[0, b] for steps in states))
        for k in range(len(x) - 1, 0, -1):  # x[k] is x_{k+1}
            gradient = torch.cat([layer.gradients["h"][k, b], gradient[size:]])
            before = tuple(steps[k, b] for steps in states)
            yield x[k, b], before, gradient
            gradient = jacobian(cell, plain, x[k, b], before).T @ gradient


def omega_by_hand(cell, parameters, found, batch):
    total = 0.0
    for x, before, gradient in found:
        back = jacobian(cell, parameters, x, before).T @ gradient
        total += (back.norm() / gradient.norm() - 1) ** 2 / batch
    return total


@pytest.mark.parametrize(
    ("cell", "more"),
    [
        ("lstm", []),
        ("gru", ["model.num_layers=2"]),
        ("lru", []),
        ("slstm", ["task=running_parity", "task.loss_at=all"]),
        ("orthogonal", []),
    ],
)
@torch.no_grad()
def test_omega_and_its_gradient_are_those_of_central_differences(small, gradients, cell, more):
    parts, batch = small(*SHORT, f"cell={cell}", *more)
    with torch.enable_grad():
        plain, done = gradients(parts, batch)
        with_omega, penalized = gradients(parts, batch, parts.remedy)
    value, inputs = 0.0, batch.inputs
    for index, (layer, trace) in enumerate(zip(parts.network.cells, done.trace.layers, strict=True)):
        found = list(transitions(layer, inputs, trace))
        inputs = trace.states["h"][1:]
        parameters = {name: one.detach() for name, one in layer.named_parameters()}
        value += omega_by_hand(layer, parameters, found, 2)
        for name, parameter in parameters.items():
            direction = torch.randn(parameter.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
            ahead, behind = (
                omega_by_hand(layer, {**parameters, name: parameter + shift * direction}, found, 2)
                for shift in (1e-6, -1e-6)
            )
            change = with_omega[f"layers.{index}.{name}"] - plain[f"layers.{index}.{name}"]
            expected = 3 * (ahead - behind).item() / 2e-6
            assert (change * direction).sum().item() == pytest.approx(expected, rel=1e-5, abs=1e-7), name
    assert penalized.penalty == pytest.approx(3 * value.item(), rel=1e-9)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_both_ways_agree_for_an_rnn(small, gradients, nonlinearity):
    """With relu also in the gradient: the slope, which the closed form holds constant, is constant."""
    parts, batch = small("remedy=omega", f"cell.nonlinearity={nonlinearity}", "model.num_layers=2")
    closed, done = gradients(parts, batch, parts.remedy)
    for cell in parts.network.cells:
        cell.__class__ = OwnRNN
    general, again = gradients(parts, batch, parts.remedy)
    assert again.penalty == pytest.approx(done.penalty, rel=1e-12)
    for name, gradient in general.items() if nonlinearity == "relu" else ():
        torch.testing.assert_close(gradient, closed[name], rtol=1e-12, atol=1e-14)


def test_a_cell_state_that_is_kept_has_an_omega_at_the_last_timestep_alone(small, gradients):
    """With f = 1 and no feedback of h, dL/dc_t is the same before T, where the loss reaches c through h."""
    parts, batch = small("cell=lstm", "cell.forget_bias=40", "remedy=omega", "remedy.weight=1")
    with torch.no_grad():
        parts.network.cells[0].weight_hh.zero_()
    _, done = gradients(parts, batch, parts.remedy)
    layer = done.trace.layers[0]
    dh, c, output = layer.gradients["h"][-1], layer.states["c"][-1], layer.gates["output"][-1]
    ratio = (dh * output * (1 - torch.tanh(c) ** 2)).norm(dim=1) / dh.norm(dim=1)
    assert done.penalty == pytest.approx(((ratio - 1) ** 2).mean().item(), rel=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "lru"])
def test_omega_leaves_out_the_timesteps_before_a_sequence(small, gradients, cell):
    parts, batch = small(f"cell={cell}", "remedy=omega", "task.length_spread=1")
    assert batch.starts.max() > 0
    together = gradients(parts, batch, parts.remedy)[1].penalty
    alone = []
    for b, start in enumerate(batch.starts.tolist()):
        own = Batch(batch.inputs[start:, b : b + 1], batch.targets[:, b : b + 1])
        alone.append(gradients(parts, own, parts.remedy)[1].penalty)
    assert together == pytest.approx(sum(alone) / len(alone), rel=1e-9)


class Dropping(OwnRNN):
    def step(self, x, state):
        (h,) = super().step(x, state)
        return (torch.dropout(h, 0.5, True),)


class Counting(OwnRNN):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.register_buffer("steps", torch.zeros(()))

    def step(self, x, state):
        self.steps += 1
        return super().step(x, state)


class Constant(OwnRNN):
    def step(self, x, state):
        return (0.5 * state[0] + x @ self.weight_ih.T,)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Dropping, "draws no random numbers in its step, as for dropout or h_detach; Dropping does"),
        (Counting, "changes no buffer in its step; Counting does"),
        (Constant, "depends on its parameters; that of Constant is constant"),
    ],
)
def test_a_cell_whose_timestep_cannot_be_computed_again_is_refused(cell, message):
    config = compose(["remedy=omega"])
    own = {"name": "own", "_target_": f"{__name__}.{cell.__name__}", "_partial_": True}
    with pytest.raises(UsageError, match=rf"^remedy=omega: needs a cell .*{message}$"):
        build(config.model_copy(update={"cell": own}))


@pytest.mark.parametrize("first", ["omega", "h_detach"])
def test_omega_and_h_detach_at_once_are_refused(small, first):
    parts, _ = small("cell=lstm")
    both = {"omega": Omega(4.0), "h_detach": HDetach(0.5)}
    several = Several(**{name: both[name] for name in sorted(both, key=lambda name: name != first)})
    with pytest.raises(
        ValueError, match=r"^omega: needs a cell that draws no random numbers .* or h_detach; LSTM does$"
    ):
        several.attach(parts.network)
