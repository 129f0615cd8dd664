"""What a watched loop leaves behind: its files, and a training that is bitwise the same."""

import json
import re
import sys

import matplotlib as mpl
import pytest
import torch
from torch import nn

from cli.main import app
from experiments.analysis.configuration_findings import describe_configurations
from experiments.analysis.summary import summarize_runs
from experiments.drawing.style import settings
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.view import View
from experiments.store.studies import read_runs


def run_bptt(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["bptt", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        app()
    return ended.value.code, capsys.readouterr().out


class Pump(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(2, 6, num_layers=2, dropout=0.3, batch_first=True)
        self.out = nn.Linear(6, 1)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


def train(steps, watching=None):
    torch.manual_seed(1)
    model = Pump().to(torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched = None if watching is None else watching(model)
    for _ in range(steps):
        x = torch.randn(5, 8, 2, dtype=torch.float32)
        optimizer.zero_grad()
        loss = (model(x) - x.mean((1, 2))[:, None]).square().mean()
        loss.backward()
        if watched is not None:
            watched.step(loss)
        optimizer.step()
    return model, watched


def test_watching_changes_no_weight(watch):
    plain, _ = train(100)
    model, watched = train(100, lambda model: watch(model, every=3, lags=True))
    assert not watched.not_seen
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_commands_read_the_folder(watch, table, monkeypatch, capsys):
    _, watched = train(21, lambda model: watch(model, every=10, activations=True, lags=True, settings={"lr": 0.01}))
    rows = table(watched)
    assert rows["step"].unique().tolist() == [1, 11, 21]
    assert (rows.groupby(["step", "layer", "state"])["timestep"].count() == 8).all()
    assert table(watched, "metrics")["step"].tolist() == list(range(1, 22))
    updates = table(watched, "parameters")
    assert updates["step"].unique().tolist() == [1, 11, 21]
    assert updates["update_norm"].gt(0).all()
    info = json.loads((watched.path / "run.json").read_text())
    assert (info["status"], info["timesteps"], info["readout_steps"]) == ("completed", 8, 1)
    assert (info["watched"], info["not_seen"]) == (["rnn[0]", "rnn[1]"], {})
    study = watched.path.parents[1]
    for words in (["status", study], ["plot", study], ["report", study]):
        code, printed = run_bptt(monkeypatch, capsys, *words)
        assert code == 0, printed
    assert {"gradient_flow.png", "gates.png", "contributions.png"} <= {one.name for one in study.glob("figures/*")}
    assert "run=run1" not in (study / "report.html").read_text()


def test_figures_of_a_watched_run_name_its_last_recorded_step_and_its_layer(watch, table):
    _, watched = train(15, lambda model: watch(model, every=10))
    table(watched)
    runs = read_runs(watched.path.parents[1])
    (together,) = describe_configurations(runs, *summarize_runs(runs)).values()
    assert re.match(r"at step 1, the gradient .*in layer rnn\[0\] .*; at step 11, the gradient ", together)
    drawer = FigureDrawer(runs, View())
    with mpl.rc_context(settings()):
        for name in ("gradient_flow", "contributions", "gates"):
            figure = drawer.draw(name).figure
            titles = [ax.get_title() for ax in figure.axes][:2]
            assert titles == ["at step 1", "at the last recorded step (11)"]
            caption = figure.get_supxlabel().replace("\n", " ")
            assert "Of the layers rnn[0], rnn[1], the figure shows rnn[0]." in caption
        assert "Of the layers" not in drawer.draw("clipping").figure.get_supxlabel()


def test_retain_grad_on_a_stack_does_not_hide_the_total_derivative(watch, table):
    """The gradient of the stacked states is only the direct part: 0 at all timesteps that the loss does not read."""
    cell, h, states = nn.RNNCell(2, 4), torch.zeros(3, 4), []
    watched = watch(nn.ModuleList([cell]))
    for x in torch.randn(6, 3, 2):
        h = cell(x, h)
        h.retain_grad()
        states.append(h)
    stack = torch.stack(states)
    stack.retain_grad()
    loss = stack[-1].square().sum()
    loss.backward()
    watched.step(loss)
    assert not stack.grad[:-1].any()
    total = [float(one.grad.norm() * 3**0.5) for one in states]
    read = table(watched)
    assert read["grad_norm"].tolist() == pytest.approx(total, rel=1e-10)
