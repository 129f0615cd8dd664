"""With GradScaler, a watch records what it records without; a step that the scaler skips is a step."""

import pandas as pd
import pytest
import torch
from torch import nn

NAMES = ("metrics", "gradients", "contributions", "parameters")


def train(watched_by, *, scaled, unscale="", late=False, clip=False, fused=False, infinite=0):
    """Train for six steps of two backward passes each; the scale grows at every second step."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"rnn": nn.GRU(2, 3), "readout": nn.Linear(3, 1)}).to(torch.float32)
    optimizer = (
        torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
        if fused
        else torch.optim.SGD(model.parameters(), lr=0.1)
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2, enabled=scaled)
    watched = watched_by(model)
    for step in range(1, 7):
        optimizer.zero_grad()
        for _ in range(2):
            output = model["rnn"](torch.randn(6, 4, 2, dtype=torch.float32))[0]
            loss = (model["readout"](output) - 1).square().mean()
            if step == infinite:
                loss = loss + 1e38 * output[2, 1, 0] * 1e5
            scaler.scale(loss / 2).backward()
        if not late:
            watched.step(loss)
        if unscale:
            scaler.unscale_(optimizer)
        if late:
            watched.step(loss)
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        scaler.step(optimizer)
        scaler.update()
    return watched


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"unscale": True, "clip": True},
        {"unscale": True, "late": True, "clip": True},
        {"fused": True},
    ],
)
def test_scaling_changes_nothing_that_is_recorded(watch, table, how):
    """Scales that are powers of 2 change no bit, wherever `watch.step` is called."""
    with_scaler, without = (train(lambda model: watch(model), scaled=scaled, **how) for scaled in (True, False))
    for name in NAMES:
        assert not table(without, name).empty
        pd.testing.assert_frame_equal(table(with_scaler, name), table(without, name), check_exact=True)


@pytest.mark.parametrize("fused", [False, True])
def test_a_skipped_step_is_a_spike_that_is_traced(watch, table, fused):
    watched = train(lambda model: watch(model, spikes=True), scaled=True, infinite=4, fused=fused)
    metrics, spikes = table(watched, "metrics"), table(watched, "spikes")
    assert metrics["step"].tolist() == list(range(1, 7))
    assert (~torch.tensor(metrics["grad_norm"]).isfinite()).nonzero().flatten().tolist() == [3]
    assert not metrics["clip_scale"][3] <= 1
    row = spikes[["step", "timestep", "layer", "state", "sample"]].iloc[0].tolist()
    assert (len(spikes), row) == (1, [4, 3, 0, "h", 1])


@pytest.mark.parametrize("divided_early", [False, True])
def test_a_layer_that_is_not_scaled_stays_as_it_is_beside_others(watch, table, divided_early):
    """Of three layers with an optimizer each, the first is not scaled, and the second is divided before the step."""
    found = []
    for scaled in (True, False):
        torch.manual_seed(0)
        layers = nn.ModuleList([nn.GRU(2, 3), nn.RNN(2, 3), nn.LSTM(2, 3)])
        plain, *others = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in layers]
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=scaled)
        watched = watch(layers)
        for _ in range(2):
            losses = [layer(torch.randn(4, 2, 2))[0].sum() for layer in layers]
            losses[0].backward()
            scaler.scale(losses[1] + losses[2]).backward()
            if divided_early:
                scaler.unscale_(others[0])
            watched.step(losses[0])
            plain.step()
            for optimizer in others:
                scaler.step(optimizer)
            scaler.update()
            layers.zero_grad()
        found.append(watched)
    for name in ("gradients", "parameters"):
        pd.testing.assert_frame_equal(table(found[0], name), table(found[1], name), check_exact=True)
    norms = [table(one, "metrics")["grad_norm"].tolist() for one in found]
    assert norms[0] == norms[1]


def test_clipping_of_scaled_gradients_is_named_once_in_a_loop_of_ones_own(watch):
    with pytest.warns(UserWarning, match="clips gradients that GradScaler has multiplied by 1024") as caught:
        train(lambda model: watch(model, every=100), scaled=True, clip=True)
    assert sum("GradScaler" in str(one.message) for one in caught) == 1


SCRIPT = """
import sys, torch
from torch import nn
torch.manual_seed(0)
rnn, readout = nn.GRU(2, 3), nn.Linear(3, 1)
both = [*rnn.parameters(), *readout.parameters()]
optimizer = torch.optim.SGD(both, lr=0.1)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2, enabled=sys.argv[1] == "scaled")
for step in range(1, 9):
    optimizer.zero_grad()
    for _ in range(2):
        output = rnn(torch.randn(6, 4, 2))[0]
        loss = (readout(output) - 1).square().mean()
        if step == 8:
            loss = loss + 1e38 * output[2, 1, 0] * 1e5
        scaler.scale(loss / 2).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(both, 0.1)
    scaler.step(optimizer)
    scaler.update()
"""


def test_scaling_changes_nothing_that_is_recorded_of_a_script(tmp_path, bptt):
    (tmp_path / "train.py").write_text(SCRIPT)
    found = {}
    for scaled in ("plain", "scaled"):
        done = bptt("watch", "--every", 1, "--spikes", "--study", scaled, "--", "train.py", scaled)
        assert done.returncode == 0, done.stderr
        run = tmp_path / "results" / scaled / "runs" / "run1"
        found[scaled] = {name: pd.read_csv(run / f"{name}.csv") for name in (*NAMES, "spikes")}
    for name in ("gradients", "contributions"):
        pd.testing.assert_frame_equal(found["scaled"][name], found["plain"][name], check_exact=True)
    plain, scaled = (found[one]["metrics"] for one in ("plain", "scaled"))
    before_update = ["step", "loss", "grad_norm"]
    pd.testing.assert_frame_equal(scaled[before_update], plain[before_update], check_exact=True)
    assert scaled["clip_scale"][:7].tolist() == plain["clip_scale"][:7].tolist()
    assert scaled["lr"].isna().tolist() == [False] * 7 + [True]  # the scaler skips the last step
    row = found["scaled"]["spikes"][["step", "timestep", "state", "sample"]].values.tolist()
    assert row == found["plain"]["spikes"][["step", "timestep", "state", "sample"]].values.tolist() == [[8, 3, "h", 1]]
