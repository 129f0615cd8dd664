"""Cells without written equations: autograd gives the same trace, and says where it has no gradient."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import dropout, linear

from models.cell import Cell
from models.differentiation import DetachedState, Differentiated, NoJacobian, pack, unpack
from models.gru import GRU
from models.lstm import LSTM
from models.recursion import unrolled_by
from models.rnn import RNN
from models.trace import cut
from tests.models.reference import (
    BATCH,
    HIDDEN,
    gradients_of,
    inputs,
    loss_of,
    network_of,
    run_steps,
    state_gradients,
    traced,
)
from tests.models.test_trace import Stepped

PHI = ("tanh", "relu", "logistic", "identity")


@pytest.mark.parametrize("windows", [1, 3, 8])
@pytest.mark.parametrize(
    "make", [*(partial(RNN, nonlinearity=phi) for phi in PHI), partial(RNN, bias=False), LSTM, GRU]
)
def test_it_is_the_same_as_the_written_equations(make, windows):
    cell = make(3, HIDDEN).double()
    x = inputs(8)
    bounds = cut(8, windows)
    state = tuple(torch.randn_like(tensor) for tensor in cell.initial_state(BATCH))
    written, differentiated = cell.unroll(x, state, bounds), Differentiated(cell, x, state, bounds)
    assert type(written) is not Differentiated
    torch.testing.assert_close(differentiated.states, written.states, rtol=0, atol=1e-13)
    torch.testing.assert_close(differentiated.gates, written.gates, rtol=0, atol=1e-13)
    torch.testing.assert_close(differentiated.jacobians(1, 8), written.jacobians(1, 8), rtol=0, atol=1e-13)
    torch.testing.assert_close(differentiated.jacobians(3, 5), written.jacobians(1, 8)[2:5], rtol=0, atol=1e-13)

    direct = torch.randn(8, BATCH, HIDDEN, dtype=torch.float64)
    ours, theirs = written.backward(direct), differentiated.backward(direct)
    torch.testing.assert_close(theirs.states, ours.states, rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs.input(), ours.input(), rtol=0, atol=1e-12)
    assert list(theirs.contributions) == list(ours.contributions) == [name for name, _ in cell.named_parameters()]
    for name, contribution in ours.contributions.items():
        other = theirs.contributions[name]
        torch.testing.assert_close(other.total(), contribution.total(), rtol=0, atol=1e-12)
        torch.testing.assert_close(other.norms(bounds), contribution.norms(bounds), rtol=1e-7, atol=1e-12)
        torch.testing.assert_close(other.shares(bounds), contribution.shares(bounds), rtol=0, atol=1e-12)

    several = torch.randn(8, 3, BATCH, HIDDEN, dtype=torch.float64)
    ours, theirs = written.backward(several), differentiated.backward(several)
    torch.testing.assert_close(theirs.states, ours.states, rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs.input(), ours.input(), rtol=0, atol=1e-12)
    for loss in range(3):
        alone = written.backward(several[:, loss])
        for name, gradients in ours.states.items():
            torch.testing.assert_close(gradients[:, loss], alone.states[name], rtol=0, atol=1e-13)


@pytest.mark.parametrize("make", [GRU, LSTM])
def test_the_part_along_a_gate_is_that_of_the_written_equations(make):
    cell, x = make(3, HIDDEN).double(), inputs(8)
    direct = torch.randn(8, BATCH, HIDDEN, dtype=torch.float64)
    state = cell.initial_state(BATCH)
    expected = cell.unroll(x, state, cut(8, 8)).along_gates(direct)
    assert expected.keys() == cell.kept_by.keys()
    torch.testing.assert_close(Differentiated(cell, x, state, cut(8, 8)).along_gates(direct), expected)


def test_the_part_along_a_gate_that_keeps_by_its_complement():
    cell, x = GRU(3, HIDDEN).double(), inputs(8)
    direct = torch.randn(8, BATCH, HIDDEN, dtype=torch.float64)
    state = cell.initial_state(BATCH)
    expected = cell.unroll(x, state, cut(8, 8)).along_gates(direct)

    class Forgetful(GRU):
        kept_by = {"h": "1 - forget"}  # noqa: RUF012

        def compute_gates(self, x, h):
            gates = super().compute_gates(x, h)
            return {**gates, "forget": 1 - gates["update"]}

        def step(self, x, state):
            gates = self.compute_gates(x, state[0])
            return (gates["forget"] * gates["candidate"] + (1 - gates["forget"]) * state[0],)

    other = Forgetful(3, HIDDEN).double()
    other.load_state_dict(cell.state_dict())
    unrolled = other.unroll(x, state, cut(8, 8))
    assert type(unrolled) is Differentiated
    torch.testing.assert_close(unrolled.along_gates(direct), expected)


class Reading(Cell):
    """A cell with a matrix that reads the input."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size, hidden_size)


class Recurrent(Reading):
    """A cell with a recurrent matrix."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.recur = nn.Linear(hidden_size, hidden_size)


class Wide(Reading):
    """A second state that is larger than h."""

    state_names = ("h", "m")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.up, self.down = nn.Linear(hidden_size, 9), nn.Linear(9, hidden_size)

    def initial_state(self, batch):
        return (*super().initial_state(batch)[:1], self.read.weight.new_zeros(batch, 9))

    def step(self, x, state):
        h, m = state
        m = 0.5 * m + torch.tanh(self.up(h))
        return torch.tanh(self.read(x) + self.down(m)), m


class Rotating(Reading):
    """A complex state that is read out but not fed back through h, as in the LRU (Orvieto et al. 2023)."""

    state_names = ("h", "z")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.angle = nn.Parameter(torch.rand(4))
        self.into, self.out = nn.Linear(input_size, 4), nn.Linear(8, hidden_size)

    def initial_state(self, batch):
        zero = self.angle.new_zeros(batch, 4)
        return *super().initial_state(batch)[:1], torch.complex(zero, zero)

    def step(self, x, state):
        _, z = state
        z = torch.polar(torch.full_like(self.angle, 0.9), self.angle) * z + self.into(x)
        return self.read(x) + self.out(torch.view_as_real(z).flatten(-2)), z


class Delayed(Recurrent):
    """Reads h_{t-1} and h_{t-2}; the latter is its second state, the same tensor as h one timestep earlier."""

    state_names = ("h", "before")

    def step(self, x, state):
        h, before = state
        return torch.tanh(self.read(x) + self.recur(h) + 0.5 * before), h


class ActsLater(Recurrent):
    """Its second state acts only on the next timestep, not on h of its own."""

    state_names = ("h", "next")

    def step(self, x, state):
        h, added = state
        return torch.tanh(self.recur(h) + added), self.read(x)


class Started(Recurrent):
    """Its initial state is learned."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.start = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch):
        return (self.start.expand(batch, self.hidden_size),)

    def step(self, x, state):
        return (torch.tanh(self.read(x) + self.recur(state[0])),)


class StartedGRU(GRU):
    """A GRU with a learned initial state, whose equations are those of the GRU."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.start = nn.Parameter(torch.randn(hidden_size))

    initial_state = Started.initial_state


class Coupled(LSTM):
    """An LSTM that overrides its `step`: the input gate is 1 - forget."""

    def step(self, x, state):
        h, c = state
        _, forget, candidate, output = self.compute_gates(x, h).values()
        c = forget * c + (1 - forget) * candidate
        return output * torch.tanh(c), c


class CoupledGates(LSTM):
    """The same, by its gates."""

    def compute_gates(self, x, h):
        gates = super().compute_gates(x, h)
        return {**gates, "input": 1 - gates["forget"]}


class Hardened(GRU):
    """A GRU that overrides its `step`, which trains with written equations where nothing is overridden."""

    def step(self, x, state):
        return (super().step(x, state)[0].clamp(-0.1, 0.1),)


class Steep(RNN):
    """An RNN that overrides its `step`."""

    def step(self, x, state):
        return (2 * super().step(x, state)[0],)


OWN = [Wide, Rotating, Delayed, ActsLater, Started, StartedGRU, Coupled, CoupledGates, Hardened, Steep]


def distinct(cell):
    """Give each state of the cell a tensor of its own in the graph, so that `state_gradients` tells them apart."""
    step = cell.step
    cell.step = lambda x, state: tuple(
        one.view_as(one) if any(one is before for before in state) else one for one in step(x, state)
    )


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("make", OWN)
def test_a_cell_of_ones_own_is_traced_by_its_step(make, num_layers, readout_steps):
    net = network_of(make, num_layers, readout_steps)
    x = inputs(7)
    assert unrolled_by(net.hidden(x)[0]) is None
    trace = traced(net, x, windows=3)
    gradients = gradients_of(net)
    for cell in net.cells:
        distinct(cell)
    outputs, layers = run_steps(net, x)
    loss = loss_of(net.readout(outputs if readout_steps is None else outputs[-1:])).mean()
    for name, expected in zip(gradients, torch.autograd.grad(loss, net.parameters(), retain_graph=True), strict=True):
        torch.testing.assert_close(gradients[name], expected, rtol=0, atol=1e-12)
    for ours, states, theirs in zip(trace.layers, layers, state_gradients(loss, layers), strict=True):
        for state, steps in states.items():
            torch.testing.assert_close(ours.states[state][1:], torch.stack(steps).detach(), rtol=0, atol=1e-13)
            torch.testing.assert_close(ours.gradients[state], theirs[state], rtol=0, atol=1e-12)
        for name, contribution in ours.contributions.items():
            if not name.endswith("start"):
                torch.testing.assert_close(contribution.total(), gradients[name], rtol=0, atol=1e-12)
                assert sum(contribution.shares(trace.windows)) == pytest.approx(1, abs=1e-12)
    single = trace.of_single_losses([7])
    if readout_steps == 1:
        for ours, layer in zip(single, trace.layers, strict=True):
            for state, gradient in ours.items():
                torch.testing.assert_close(gradient[:, 0], layer.gradients[state], rtol=0, atol=1e-13)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_state_that_is_read_out_and_not_fed_back_has_a_gradient_of_zero(num_layers):
    trace = traced(network_of(Rotating, num_layers), inputs(6))
    h, z = trace.layers[-1].gradients.values()
    assert (h[:-1] == 0).all()
    assert (h[-1] != 0).all()
    assert z.is_complex()
    assert (z != 0).all()
    for layer in trace.layers[:-1]:  # its h is read by the layer above at each timestep
        assert (layer.gradients["h"] != 0).all()


def test_a_state_that_acts_later_has_no_gradient_at_the_end():
    (layer,) = traced(network_of(ActsLater), inputs(6)).layers
    assert (layer.gradients["next"][-1] == 0).all()
    assert (layer.gradients["next"][:-1] != 0).all()


def test_a_state_that_is_h_of_one_timestep_earlier_has_the_gradient_of_its_own_path():
    net = network_of(Delayed)
    (layer,) = traced(net, inputs(6)).layers
    slopes = 1 - layer.states["h"][1:] ** 2
    torch.testing.assert_close(layer.gradients["before"][:-1], 0.5 * (slopes * layer.gradients["h"])[1:])
    assert (layer.gradients["before"][-1] == 0).all()


@pytest.mark.parametrize("make", [Started, StartedGRU])
def test_a_learned_initial_state_is_trained(make):
    net = network_of(make)
    x = inputs(4)
    trace = traced(net, x)
    start = net.cells[0].start
    torch.testing.assert_close(trace.layers[0].states["h"][0], start.detach().expand(BATCH, HIDDEN))
    outputs, _ = run_steps(net, x)
    (expected,) = torch.autograd.grad(loss_of(net.readout(outputs[-1:])).mean(), start)
    assert expected.norm() > 0
    torch.testing.assert_close(start.grad, expected)


@pytest.mark.parametrize("make", [Wide, Rotating, Delayed, ActsLater])
def test_jacobians_of_states_of_any_size_and_kind(make):
    cell = make(3, HIDDEN).double()
    x = inputs(4, batch=2)
    unrolled = cell.unroll(x, cell.initial_state(2), cut(4, 4))
    jacobians = unrolled.jacobians(2, 4)
    sizes = [(one.shape[-1], one.is_complex()) for one in unrolled.states.values()]
    for t in (2, 4):
        before = tuple(one[t - 1] for one in unrolled.states.values())

        def step(vector, t=t):
            return pack(cell.step(x[t - 1], unpack(vector, sizes)))

        whole = torch.autograd.functional.jacobian(step, pack(before))
        for sample in range(2):
            torch.testing.assert_close(jacobians[t - 2, sample], whole[sample, :, sample])
            assert (whole[sample, :, 1 - sample] == 0).all()
    torch.testing.assert_close(unpack(pack(before), sizes), before)


class Detaching(Recurrent):
    """Detaches one of its states in `step`."""

    state_names = ("h", "m")
    detached = "m"

    def step(self, x, state):
        h, m = (s.detach() if name == self.detached else s for name, s in zip(self.state_names, state, strict=True))
        m = 0.5 * m + self.read(x)
        return torch.tanh(m + self.recur(h)), m


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("detached", ["h", "m"])
def test_a_cell_that_detaches_its_state_is_an_error_wherever_the_loss_is(detached, num_layers, readout_steps):
    """A loss at each timestep gives each state some gradient; that later ones are missing must not go unseen."""

    class Cut(Detaching):
        pass

    Cut.detached = detached
    net = network_of(Cut, num_layers, readout_steps)
    said = rf"^layer 0, state {detached}, timestep 1: the next timestep reads it outside autograd's graph, so its gra"
    with pytest.raises(DetachedState, match=said):
        traced(net, inputs(5))


def test_a_state_of_nan_that_nothing_reads_is_no_error():
    """A network that diverged is recorded as such."""
    net = network_of(Rotating)
    x = inputs(4)
    x[1, 0] = torch.nan
    (layer,) = traced(net, x).layers
    assert layer.gradients["h"].shape == (4, BATCH, HIDDEN)


def test_a_huge_state_that_is_detached_is_an_error():
    class Huge(Recurrent):
        state_names = ("h", "m")

        def step(self, x, state):
            h, m = state
            return torch.tanh(self.recur(h) + self.read(x) + 1e-30 * m.detach()), m + 1e30 * self.read(x)

    with pytest.raises(DetachedState, match="state m, timestep 1"):
        traced(network_of(Huge), inputs(3))


def test_without_any_graph_it_says_so():
    class Constant(Recurrent):
        def step(self, x, state):
            return (state[0].detach() + 1,)

    cell = Constant(3, HIDDEN).double()
    unrolled = Differentiated(cell, inputs(3), cell.initial_state(BATCH), cut(3, 3))
    with pytest.raises(DetachedState, match="it depends on no parameter and no input"):
        unrolled.backward(torch.ones(3, BATCH, HIDDEN, dtype=torch.float64))


class Dropped(Stepped):
    """A step with dropout."""

    def step(self, x, state):
        return (dropout(super().step(x, state)[0], 0.3),)


def test_the_graph_of_a_cell_with_chance_is_that_of_the_numbers_it_drew():
    cell, x = Dropped(3, HIDDEN).double(), inputs(5)
    state = cell.initial_state(BATCH)
    torch.manual_seed(7)
    hidden, _ = cell(x, state)
    torch.manual_seed(7)
    unrolled = cell.unroll(x, state, cut(5, 2))
    assert torch.equal(unrolled.states["h"][1:], hidden.detach())
    before = torch.get_rng_state()
    unrolled.backward(torch.ones_like(hidden))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_parameter_that_a_step_does_not_use_has_no_contribution():
    class Idle(Stepped):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.idle = nn.Parameter(torch.ones(2))

        def step(self, x, state):
            return (torch.tanh(linear(x, self.read.weight, self.read.bias) + self.recur(state[0])),)

    (layer,) = traced(network_of(Idle), inputs(3)).layers
    assert list(layer.contributions) == ["layers.0.read.weight", "layers.0.read.bias", "layers.0.recur.weight"]


def test_a_step_that_draws_random_numbers_has_no_jacobian():
    cell = Dropped(3, 4).double()
    unrolled = cell.unroll(torch.randn(5, 2, 3, dtype=torch.float64), cell.initial_state(2), cut(5, 5))
    with pytest.raises(
        NoJacobian, match="Dropped draws random numbers in its step; a probe needs a step that does not"
    ):
        unrolled.jacobians(1, 5)


def test_a_step_that_changes_a_buffer_has_no_jacobian():
    class Counting(Stepped):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.register_buffer("mean", torch.zeros(hidden_size))

        def step(self, x, state):
            (h,) = super().step(x, state)
            self.mean.mul_(0.9).add_(h.mean(dim=0))
            return (h,)

    cell = Counting(3, 4).double()
    unrolled = cell.unroll(torch.randn(5, 2, 3, dtype=torch.float64), cell.initial_state(2), cut(5, 5))
    with pytest.raises(NoJacobian, match="Counting changes a buffer in its step; a probe needs a step that does not"):
        unrolled.jacobians(1, 5)
