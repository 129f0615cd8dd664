"""The advice of a watched loop: held to autograd that is cut by hand, and to planted outliers."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from experiments.analysis.findings import describe_run
from experiments.analysis.summary import write_summary
from experiments.store.studies import read_runs

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
    if own:
        expected[3] = model.gradient(x, target, losses, own)
    watched = watch(model, truncation=True)
    model.zero_grad()
    loss = (model(x, own)[-losses:] - target[-losses:]).square().mean()
    loss.backward()
    watched.step(loss)
    rows = table(watched, "truncation")
    assert not watched.not_seen
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
    assert ("the loop's own cut after 3 timesteps changes it by" in said) == bool(own)


@pytest.mark.parametrize(
    ("make", "call", "why"),
    [
        (lambda: nn.LSTM(2, 3, bidirectional=True), lambda model, x: model(x)[0], "bidirectional"),
        (
            lambda: nn.ModuleList([nn.RNN(2, 3), nn.RNN(3, 3)]),
            lambda model, x: model[1](model[0](x)[0])[0],
            "one layer may read another one's output",
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


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.LSTMCell])
def test_an_outlier_is_traced_to_its_timestep_sample_layer_and_gate(watch, table, kind):
    """One sequence has a huge input at timestep 5 of 8; the loss reads the last timestep."""
    model = InPieces(kind)
    with torch.no_grad():
        for name, one in model.rnn.named_parameters():
            if "bias" in name:
                one.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    watched = watch(model, spikes=True, spike_batches=True, every=1000, parameters=False)
    for step in range(1, 61):
        x = 0.1 * torch.randn(TIME, BATCH, INPUT)
        if step == 60:
            x[4, 2] *= 100
            calm = x.clone()
            calm[4, 2] /= 100
            limit = grad(model, calm)
        optimizer.zero_grad()
        loss = (model(x)[-1] - 1).square().mean()
        loss.backward()
        watched.step(loss)
        optimizer.step()
    rows = table(watched, "spikes")
    assert (rows["step"].tolist(), rows["sample"].tolist(), rows["layer"].tolist()) == ([60], [2], [0])
    row = rows.iloc[0]
    assert row["grad_norm"] > row["limit"] > limit
    assert row["timestep"] == 5
    assert "[" in row["parameter"] or "weight_ih" in row["parameter"]
    saved = torch.load(watched.path / "spikes" / "60.pt", weights_only=False)
    assert torch.equal(saved["calls"][0]["input"].reshape(-1, BATCH, INPUT)[-1], x[0 if kind is nn.LSTMCell else -1])
    assert "timestep 5 of 8, in layer 0" in finding(watched)


def grad(model, x):
    model.zero_grad()
    (model(x)[-1] - 1).square().mean().backward()
    return float(nn.utils.get_total_norm([one.grad for one in model.parameters()]))
