"""What cannot be seen is named in one warning, and what is refused says why; a training goes on."""

import json
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.experiments.watching.test_watch import run_bptt


def step(watched, layer, x, **options):
    loss = layer(x, **options)[0].sum()
    loss.backward()
    watched.step(loss)


def test_weights_that_changed_before_the_step(watch):
    layer = nn.GRU(2, 3)
    watched = watch(layer)
    layer(torch.randn(4, 2, 2))[0].sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.1).step()
    with pytest.warns(UserWarning, match="GRU is not seen: its weights changed before watch.step; call watch.step"):
        watched.step(0.0)


def test_a_layer_that_computes_something_else(watch):
    class Scaled(nn.LSTM):
        def forward(self, x, hx=None):
            output, state = super().forward(x, hx)
            return output * 2, state

    layer = Scaled(2, 3)
    watched = watch(layer)
    with pytest.warns(UserWarning, match="come out differently"):
        step(watched, layer, torch.randn(4, 2, 2))
    assert "gradients.csv" not in {one.name for one in watched.path.glob("*")}


def test_a_layer_that_no_gradient_reaches(watch, table):
    model = nn.ModuleDict({"used": nn.GRU(2, 3), "unused": nn.GRU(2, 3)})
    watched = watch(model)
    with torch.no_grad():
        model["unused"](torch.randn(4, 2, 2))
    with pytest.warns(UserWarning, match="unused is not seen: no gradient reached its output at step 1"):
        step(watched, model["used"], torch.randn(4, 2, 2))
    assert table(watched)["layer"].unique().tolist() == [0]
    assert list(json.loads((watched.path / "run.json").read_text())["not_seen"]) == ["unused"]


def test_a_compiled_and_a_scripted_layer(watch):
    model = nn.ModuleDict({"plain": nn.RNN(2, 3), "fast": nn.RNN(2, 3)})
    model["fast"].compile(backend="eager")
    with pytest.warns(UserWarning, match="fast is not seen: it is compiled"):
        watched = watch(model)
    assert watched.layers == ["plain"]


def test_evaluation_and_checkpointed_layers(watch, table):
    """An evaluation leaves no rows; activation checkpointing calls the layer twice, and it counts once."""
    layer = nn.GRU(2, 3)
    watched = watch(layer)
    x = torch.randn(5, 2, 2, requires_grad=True)
    with torch.no_grad():
        layer(x)
    loss = checkpoint(lambda x: layer(x)[0], x, use_reentrant=False).sum()
    loss.backward()
    watched.step(loss)
    assert table(watched)["timestep"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every=0: must be a whole number from 1"),
        ({"windows": "ten"}, TypeError, "windows='ten': must be a whole number from 1, or 'all'"),
        ({"gates": 1}, TypeError, "gates=1: must be True or False"),
        ({"settings": {"task": "x"}}, ValueError, "settings: 'task' cannot be a key"),
        ({"name": "a/b"}, ValueError, "name='a/b': must be the name of a folder"),
    ],
)
def test_arguments_are_refused_and_nothing_is_written(watch, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        watch(nn.GRU(2, 3), **options)
    assert not list(tmp_path.iterdir())


def test_a_model_without_recurrent_layers(watch):
    with pytest.raises(ValueError, match="model: has no nn"):
        watch(nn.Linear(2, 3))


SCRIPT = """
import sys, torch, bptt
layer = torch.nn.GRU(2, 3)
watch = bptt.watch(layer, "study")
loss = layer(torch.randn(4, 2, 2))[0].sum()
loss.backward()
watch.step(loss)
{end}
"""


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [("", "completed", 0), ("raise ValueError('no')", "failed", 1), ("raise KeyboardInterrupt", "interrupted", -2)],
)
def test_how_a_script_ends(tmp_path, python, end, status, code):
    done = python("-c", SCRIPT.format(end=end))
    info = json.loads((tmp_path / "study/runs/run1/run.json").read_text())
    assert (info["status"], done.returncode) == (status, code)
    assert info.get("error") == ("ValueError: no" if status == "failed" else None)
    assert len((tmp_path / "study/runs/run1/gradients.csv").read_text().splitlines()) == 5


def test_a_training_of_which_nothing_is_seen_is_a_run_that_says_why(watch, monkeypatch, capsys):
    """Two runs of one study: under autocast, and without a call of watch.step."""
    layer = nn.GRU(2, 3).to(torch.float32)
    watched = watch(layer)
    with pytest.warns(UserWarning, match="autocast"), torch.autocast("cpu", torch.bfloat16):
        step(watched, layer, torch.randn(4, 2, 2, dtype=torch.float32))
    never = watch(layer)
    for one in (watched, never):
        one.close()
    study = watched.path.parents[1]
    for words in (["status", study], ["report", study], ["plot", study]):
        code, printed = run_bptt(monkeypatch, capsys, *words)
        assert code == 0
        assert "damaged" not in printed
        if words[0] == "status":
            said = " ".join(printed.split())
            assert "run1: no layer was seen (GRU: it is called under torch.autocast" in said
            assert "run2: no layer was seen (watch.step: it was never called)" in said
    assert "no layer was seen (GRU: it is called" in (study / "report.html").read_text()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("zero_grad", "watch.step: no parameter has a gradient at step 1: call it between loss.backward"),
        ("zeros", "watch.step: all gradients are 0 at step 1: call it between loss.backward"),
        ("clip", "watch.step: the gradients are already clipped at step 1"),
        ("clip_value", "watch.step: the gradients are already clipped at step 1"),
    ],
)
def test_a_step_at_the_wrong_place_is_named_once_and_has_no_norm(watch, table, wrong, message):
    layer = nn.GRU(2, 3)
    watched = watch(layer, spikes=True)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            loss = layer(torch.randn(4, 2, 2))[0].sum()
            loss.backward()
            if wrong == "clip":
                nn.utils.clip_grad_norm_(layer.parameters(), 0.1)
            elif wrong == "clip_value":
                nn.utils.clip_grad_value_(layer.parameters(), 0.1)
            else:
                optimizer.zero_grad(set_to_none=wrong == "zero_grad")
            watched.step(loss)
            optimizer.step()
            optimizer.zero_grad()
    assert [str(one.message).startswith(message) for one in caught] == [True]
    assert table(watched, "metrics")["grad_norm"].isna().tolist() == [True] * 3
    assert "nan" not in (watched.path / "metrics.csv").read_text(), "nan would be drawn as not finite"
    assert {"spikes.csv", "parameters.csv"}.isdisjoint(one.name for one in watched.path.glob("*"))
    assert (watched.path / "gradients.csv").exists() == wrong.startswith("clip")  # which is right all the same
