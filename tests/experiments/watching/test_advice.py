"""The advice of a watched loop: held to autograd that is cut by hand, and to planted outliers."""

import json
from itertools import pairwise

import pytest
import torch
from torch import nn

import bptt
from experiments.analysis.findings import describe_run
from experiments.analysis.summary import write_summary
from experiments.analysis.watched_runs import timesteps_of
from experiments.store.studies import read_runs
from experiments.wording import percent

INPUT, HIDDEN, BATCH, TIME = 3, 5, 4, 8


def finding(watched):
    watched.close()
    study = watched.path.parents[1]
    (run,) = read_runs(study)
    row = write_summary(study, [run])[0].iloc[0]
    return describe_run(run, {str(key): value for key, value in row.items()})


class InPieces(nn.Module):
    """A recurrent layer whose states are detached before the timesteps `cuts`, and a read-out."""

    def __init__(self, kind, **options):
        super().__init__()
        self.rnn, self.readout = kind(INPUT, HIDDEN, **options), nn.Linear(HIDDEN, 1)
        self.is_cell = isinstance(self.rnn, nn.RNNCellBase)

    def forward(self, x, cuts=()):
        hidden, state = [], None
        edges = range(len(x) + 1) if self.is_cell else [0, *sorted(cuts), len(x)]
        for first, last in pairwise(edges):
            if first in cuts:
                state = tuple(one.detach() for one in state) if isinstance(state, tuple) else state.detach()
            if self.is_cell:
                state = self.rnn(x[first], state)
                hidden.append((state[0] if isinstance(state, tuple) else state)[None])
            else:
                output, state = self.rnn(x[first:last], state)
                hidden.append(output)
        return self.readout(torch.cat(hidden))

    def gradient(self, x, target, losses, cuts):
        """The gradient of the layer's parameters, in one vector, with cuts before these timesteps."""
        self.zero_grad()
        (self(x, cuts)[-losses:] - target[-losses:]).square().mean().backward()
        return torch.cat([one.grad.flatten() for one in self.rnn.parameters()])


def watch_a_step(watch, model, x, target, losses, own):
    """Watch one step of a model that detaches its states before the timesteps `own`; everything is seen."""
    watched = watch(model, truncation=True)
    model.zero_grad()
    loss = (model(x, own)[-losses:] - target[-losses:]).square().mean()
    loss.backward()
    watched.step(loss)
    assert not watched.not_seen
    return watched


@pytest.mark.parametrize("losses", [1, TIME])
@pytest.mark.parametrize(
    ("kind", "options"),
    [(nn.LSTM, {"num_layers": 2}), (nn.GRU, {}), (nn.LSTMCell, {}), (nn.RNNCell, {}), (nn.RNN, {"num_layers": 2})],
)
@pytest.mark.parametrize("own", [(), (3, 6)])
def test_truncation_is_that_of_autograd_cut_by_hand(watch, table, kind, options, own, losses):
    model = InPieces(kind, **options)
    x, target = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, 1)
    whole = model.gradient(x, target, losses, ())
    expected = {k: model.gradient(x, target, losses, range(TIME - k, 0, -k)) for k in range(1, TIME + 1)}
    own_distance = float((model.gradient(x, target, losses, own) - whole).norm() / whole.norm())
    watched = watch_a_step(watch, model, x, target, losses, own)
    rows = table(watched, "truncation")
    own_rows = rows[rows["parameter"] == "own_cut"]
    assert own_rows["truncation"].tolist() == ([3] if own else [])
    assert own_rows["distance"].tolist() == pytest.approx([own_distance] if own else [], rel=1e-10)
    rows = rows[rows["parameter"] == "layers"].set_index("truncation")
    assert list(rows.index) == list(range(1, TIME + 1))
    for k, cut in expected.items():
        assert rows["distance"][k] == pytest.approx(float((cut - whole).norm() / whole.norm()), rel=1e-10, abs=1e-12)
    said = finding(watched)
    enough = max([k for k in range(TIME) if k and rows["distance"][k] > 0.1], default=0) + 1
    smallest = (
        f"a cut after {enough} of {TIME} timesteps" if enough < TIME else "every recorded cut changes the gradient"
    )
    assert f"at step 1, {smallest}" in said
    assert (f"own cuts, at most 3 timesteps apart, change it by {percent(own_distance)}" in said) == bool(own)
    assert ("the loop cuts the gradient 2 timesteps before the end of 8" in said) == (bool(own) and losses == 1)


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNNCell])
def test_a_detached_state_is_not_called_a_vanishing_gradient(watch, kind):
    """Also without truncation=True: the loop's own cut says why nothing comes back from beyond it."""
    model = InPieces(kind)
    watched = watch(model)
    loss = model(torch.randn(TIME, BATCH, INPUT), (3, 6))[-1].square().mean()
    loss.backward()
    watched.step(loss)
    said = finding(watched)
    assert "the loop cuts the gradient 2 timesteps before the end of 8" in said
    assert "vanishes" not in said
    assert "were 0 or below" not in said


class TwoModules(nn.Module):
    """Two recurrent modules whose states are detached before the timesteps `cuts`, and a read-out of the sum of both.

    Args:
        kind: nn.GRU is called piece by piece, nn.LSTMCell timestep by timestep.
        is_stack: Whether the second one reads the output of the first, or the same input.
    """

    def __init__(self, kind, is_stack):
        super().__init__()
        self.upper = kind(HIDDEN if is_stack else INPUT, HIDDEN)
        self.lower, self.readout, self.is_stack = kind(INPUT, HIDDEN), nn.Linear(HIDDEN, 1), is_stack

    def forward(self, x, cuts=()):
        outputs, states = [], [None, None]
        is_cell = isinstance(self.lower, nn.RNNCellBase)
        for first, last in pairwise(range(len(x) + 1) if is_cell else [0, *sorted(cuts), len(x)]):
            if first in cuts:
                states = [tuple(one.detach() for one in of) if is_cell else of.detach() for of in states]
            read = x[first] if is_cell else x[first:last]
            hidden = []
            for place, layer in enumerate((self.lower, self.upper)):
                called = layer(read, states[place])
                states[place] = called if is_cell else called[1]
                hidden.append(called[0][None] if is_cell else called[0])
                read = called[0] if self.is_stack else read
            outputs.append(self.readout(hidden[0] * self.weight[first:last] + hidden[1]))
        return torch.cat(outputs)

    def gradient(self, x, target, losses, cuts):
        """The gradient of both modules' parameters, in one vector, with cuts before these timesteps."""
        self.zero_grad()
        (self(x, cuts)[-losses:] - target[-losses:]).square().mean().backward()
        return torch.cat([one.grad.flatten() for layer in (self.lower, self.upper) for one in layer.parameters()])


@pytest.mark.parametrize("losses", [1, 5])
@pytest.mark.parametrize("is_stack", [True, False])
@pytest.mark.parametrize(("kind", "own"), [(nn.GRU, ()), (nn.GRU, (3, 6)), (nn.LSTMCell, ()), (nn.LSTMCell, (3, 6))])
def test_truncation_of_two_modules_is_that_of_autograd_cut_by_hand(watch, table, kind, own, is_stack, losses):
    model = TwoModules(kind, is_stack)
    model.weight = torch.randn(TIME, 1, 1) if losses > 1 else torch.zeros(TIME, 1, 1)
    x, target = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, 1)
    whole = model.gradient(x, target, losses, ())
    watched = watch_a_step(watch, model, x, target, losses, own)
    rows = table(watched, "truncation")
    expected = {k: model.gradient(x, target, losses, range(TIME - k, 0, -k)) for k in range(1, TIME + 1)}
    found = rows[rows["parameter"] == "layers"].set_index("truncation")["distance"]
    assert found.to_dict() == pytest.approx(
        {k: float((cut - whole).norm() / whole.norm()) for k, cut in expected.items()}, rel=1e-9, abs=1e-12
    )
    if own:
        cut = model.gradient(x, target, losses, own)
        (distance,) = rows[rows["parameter"] == "own_cut"]["distance"]
        assert distance == pytest.approx(float((cut - whole).norm() / whole.norm()), rel=1e-10)


def test_a_state_from_the_step_before_is_said_to_hide_what_lies_before_it(watch):
    model, state = nn.GRU(2, 3), None
    watched = watch(model, truncation=True)
    for _ in range(3):
        output, state = model(torch.randn(4, 2, 2), state)
        loss = output[-1].sum()
        loss.backward()
        watched.step(loss)
        state = state.detach()
    assert "measured within each step: no gradient goes back through the state that a step begins with" in finding(
        watched
    )


@pytest.mark.parametrize(
    ("make", "call", "why"),
    [
        (lambda: nn.LSTM(2, 3, bidirectional=True), lambda model, x: model(x)[0], "bidirectional"),
        (
            lambda: nn.ModuleList([nn.RNN(2, 3), nn.RNN(3, 3)]),
            lambda model, x: model[1](2 * model[0](x)[0])[0],
            "1 reads what is computed from 0",
        ),
        (
            lambda: nn.ModuleList([nn.RNN(2, 3), nn.RNN(2, 3)]),
            lambda model, x: model[1](x, model[0](x)[1])[0][-1],
            "1 begins with a state that 0 computed",
        ),
        (lambda: nn.GRU(2, 3), lambda model, x: torch.cat([model(x)[0], model(-x)[0]]), "several batches in a step"),
        (
            lambda: nn.RNN(2, 3),
            lambda model, x: torch.cat([(first := model(x))[0], model(x, first[1])[0], first[1].square()]),
            "used or changed between its calls",
        ),
    ],
)
def test_a_truncation_that_cannot_be_tried_is_named(watch, make, call, why):
    model = make()
    watched = watch(model, truncation=True)
    loss = call(model, torch.randn(4, 2, 2)).sum()
    loss.backward()
    with pytest.warns(UserWarning, match=f"truncation.csv is not seen: .*{why}"):
        watched.step(loss)
    assert not (watched.path / "truncation.csv").exists()


GATES = {"LSTM": ("input", "forget", "candidate", "output"), "GRU": ("reset", "update", "candidate")}


class Summed(nn.Module):
    """A recurrent layer without biases that begins at h = 1, and the sum of its units at each timestep."""

    def __init__(self, kind, layers):
        super().__init__()
        options = {} if issubclass(kind, nn.RNNCellBase) else {"num_layers": layers}
        self.rnn, self.layers = kind(INPUT, HIDDEN, bias=False, **options), layers

    def forward(self, x):
        one = torch.ones(*([] if isinstance(self.rnn, nn.RNNCellBase) else [self.layers]), BATCH, HIDDEN)
        state = (one, one) if "LSTM" in type(self.rnn).__name__ else one
        if not isinstance(self.rnn, nn.RNNCellBase):
            return self.rnn(x, state)[0].sum(dim=2)
        hidden = []
        for x_t in x:
            state = self.rnn(x_t, state)
            hidden.append((state[0] if isinstance(state, tuple) else state).sum(dim=1))
        return torch.stack(hidden)

    def largest(self):
        """The gate with the largest gradient in a recurrent matrix, as spikes.csv has it."""
        gates = next(of for kind, of in GATES.items() if kind in type(self.rnn).__name__)
        norms = {
            f"layers.{layer}.weight_hh[{gate}]": float(block.norm())
            for layer, matrix in enumerate(one for name, one in self.rnn.named_parameters() if "weight_hh" in name)
            for gate, block in zip(gates, matrix.grad.chunk(len(gates)), strict=True)
        }
        return max(norms, key=norms.get)


def train_with_outlier(model, watching, steps=60):
    """Train for 60 steps; in the last one, sequence 2 has a target a million times as large at timestep 5 of 8."""
    optimizer, watched = torch.optim.SGD(model.parameters(), lr=1e-12), watching(model)
    for step in range(1, steps + 1):
        x, target = 1e-3 * torch.randn(TIME, BATCH, INPUT), torch.ones(TIME, BATCH)
        target[4, 2] *= 1e6 if step == steps else 1
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        if watched is not None:
            watched.step(loss)
        optimizer.step()
    return watched, x


@pytest.mark.parametrize(("kind", "layers"), [(nn.LSTM, 2), (nn.GRU, 2), (nn.LSTMCell, 1), (nn.GRUCell, 1)])
def test_an_outlier_is_traced_to_its_timestep_sample_layer_and_gate(watch, table, kind, layers):
    model = Summed(kind, layers)
    watched, x = train_with_outlier(model, lambda model: watch(model, spikes=True, spike_batches=True, every=1000))
    (row,) = table(watched, "spikes").itertuples()
    assert (row.step, row.timestep, row.sample) == (60, 5, 2)
    assert row.parameter == model.largest()
    assert f"layers.{row.layer}." in row.parameter
    assert row.sample_share > 0.99
    assert row.grad_norm > row.limit > 1.5 * row.median_grad_norm
    saved = torch.load(watched.path / "spikes" / "60.pt", weights_only=False)
    assert torch.equal(torch.cat([call["input"].flatten() for call in saved["calls"]]), x.flatten())
    assert {name for name, _ in model.named_parameters()} == saved["model"].keys()
    said = finding(watched)
    assert f"it leaves it at timestep 5 of 8, in layer {watched.layers[row.layer]}, " in said
    name, gate = row.parameter.removeprefix(f"layers.{row.layer}.").split("[")
    name = f"rnn.{name}" if issubclass(kind, nn.RNNCellBase) else f"rnn.{name}_l{row.layer}"
    assert name in dict(model.named_parameters())
    assert f"{name}[{gate} has " in said
    apart = "cannot be recorded apart" if issubclass(kind, nn.RNNCellBase) else "lags=True, or bptt watch --lags"
    assert apart in said


def test_a_spike_counts_what_the_optimizer_updates_outside_the_model(watch, table):
    """As in a script that calls its layers one by one, without a module around them."""
    rnn, head = nn.GRU(INPUT, HIDDEN), nn.Linear(HIDDEN, 1)
    nn.init.constant_(head.weight, 1e-6)  # so that next to nothing of the gradient is in the layer
    x, target = torch.randn(TIME, BATCH, INPUT), torch.full((TIME, BATCH), 1e6)
    watched = watch(rnn, spikes=True, every=1000)
    watched.parameters += head.parameters()
    for step in range(1, 61):
        head.zero_grad()
        rnn.zero_grad()
        loss = (head(rnn(x)[0])[..., 0] - target * (step == 60) - torch.randn(())).square().mean()
        loss.backward()
        watched.step(loss)
    (row,) = table(watched, "spikes").itertuples()
    whole = sum(one.grad.square().sum() for one in watched.parameters)
    assert row.parameter == "parameter 5 of the optimizer (1)"
    assert row.parameter_share == pytest.approx(float(head.bias.grad.square().sum() / whole), rel=1e-5)


def test_a_training_that_failed_still_says_what_was_recorded(watch):
    watched = watch(rnn := nn.GRU(INPUT, HIDDEN))
    loss = rnn(torch.randn(TIME, BATCH, INPUT))[0][-1].sum()
    loss.backward()
    watched.step(loss)
    watched.close("failed", "ValueError: no pump")
    assert finding(watched).startswith("failed after step 1: ValueError: no pump; at step 1, the gradient ")


def test_lags_that_are_not_recorded_are_named(watch):
    layer = nn.GRU(INPUT, HIDDEN, bidirectional=True)
    watched = watch(layer, lags=True)
    loss = layer(torch.randn(TIME, BATCH, INPUT))[0].sum()
    loss.backward()
    with pytest.warns(UserWarning, match=r"lags.csv is not seen: it needs an nn.RNN, nn.LSTM or nn.GRU that is called"):
        watched.step(loss)


def test_of_steps_that_are_not_finite_the_first_is_traced(watch, table):
    model = nn.ModuleDict({"encoder": nn.GRU(2, 3), "decoder": nn.LSTM(3, 3)})  # of different lengths
    watched = watch(model, spikes=True, every=1000)
    for step in range(1, 6):
        x = torch.randn(6, 2, 2)
        x[3, 1] *= torch.inf if step in (2, 3, 5) else 1
        h = model["encoder"](x)[1]
        loss = model["decoder"](torch.randn(4, 2, 3), (h, h))[0].sum()
        model.zero_grad()
        loss.backward()
        watched.step(loss)
    rows = table(watched, "spikes")
    assert rows["step"].tolist() == [2, 5]
    assert rows["sample"].tolist() == [1, 1]
    assert "the gradient is not finite at step 2" in finding(watched)
    (run,) = read_runs(watched.path.parents[1])
    assert [timesteps_of(run, number) for number in (0, 1)] == [6, 4]


def test_nothing_of_it_changes_the_training(watch):
    trained = []
    for watching in (
        lambda model: None,
        lambda model: watch(model, spikes=True, spike_batches=True, truncation=True, every=7),
    ):
        torch.manual_seed(0)
        model = Summed(nn.LSTM, 2)
        train_with_outlier(model, watching)
        trained.append(list(model.parameters()))
    for one, other in zip(*trained, strict=True):
        assert torch.equal(one, other)


def test_clipping_between_the_step_and_the_update_is_measured(watch, table):
    model = InPieces(nn.RNN)
    optimizer, watched = torch.optim.SGD(model.parameters(), lr=0.01), watch(model)
    norms = []
    for step in range(1, 31):
        optimizer.zero_grad()
        loss = model(torch.randn(TIME, BATCH, INPUT)).square().mean() * (1e-6 if step > 28 else 1)
        loss.backward()
        watched.step(loss)
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 0.01)))
        if step != 15:  # no update, so nothing is known of it
            optimizer.step()
    rows = table(watched, "metrics").set_index("step")
    assert rows["grad_norm"].tolist() == pytest.approx(norms, rel=1e-10)
    assert rows["clip_scale"][:28].drop(15).tolist() == pytest.approx(
        [0.01 / one for one in norms[:14] + norms[15:28]], rel=1e-4
    )
    assert rows["clip_scale"][28:].tolist() == [1.0, 1.0]
    assert rows["clip_scale"].isna().sum() == 1
    assert (rows["lr"].dropna() == 0.01).all()
    assert json.loads((watched.path / "run.json").read_text())["optimizer"]["name"] == "SGD"
    said = finding(watched)
    assert "the loop clipped the gradient to a norm of 0.01 at 93.1% of the steps, to " in said


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"spike_limit": 0}, "spike_limit=0: must be a number above 0"),
        ({"spike_limit": 6.0}, "spike_limit=6.0: does nothing unless spikes=True"),
        ({"lag_samples": 8}, "lag_samples=8: does nothing unless lags=True"),
        ({"spike_batches": True}, "spike_batches=True: saves nothing unless spikes=True"),
        ({"truncation": 8}, "truncation=8: must be True or False"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        bptt.watch(nn.RNN(1, 1), tmp_path, **options)


def test_a_step_that_is_called_after_the_update_says_nothing_of_clipping(watch, table):
    model = nn.Linear(2, 2)
    watched = watch(nn.ModuleList([model, nn.RNN(2, 2)]), every=1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        if watched.number:
            watched.step(0.0)
        else:
            with pytest.warns(UserWarning, match="no gradient reached"):
                watched.step(0.0)
    rows = table(watched, "metrics")
    assert rows["clip_scale"].isna().all()
    assert rows["lr"].isna().all()
