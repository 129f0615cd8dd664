"""What cannot be seen is named in one warning, and what is refused says why; a training goes on."""

import json

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


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
