"""Watching changes nothing: a run trains the same network, byte for byte, whatever `record` says."""

import importlib.util
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn.functional import dropout

from experiments.catalogue.measures import measures
from experiments.config.composing import compose
from experiments.training.run import run
from models.cell import Cell

TRAINED = ("metrics.csv", "evaluation.csv", "network.pt")
HAVE_TENSORBOARD = importlib.util.find_spec("tensorboard") is not None

SMALL = [
    *("model.hidden_size=8", "model.num_layers=2", "batch_size=3", "steps=9", "clip=norm", "clip.threshold=0.05"),
    *("record.evaluate_every=4", "record.evaluate_samples=6"),
]
RECORDS = {
    "nothing": ["record=none"],
    "everything": ["record=full", "record.every=1", "record.windows=all", "record.lags=true"],
    "truncation": ["record=none", "record.truncation=true", "record.spikes=true", "record.every=5", "record.windows=2"],
    "gradients": ["record=none", "record.gradients=true", "record.every=1000", "record.windows=3"],
    "contributions": ["record=none", "record.contributions=true", "record.every=3", "record.windows=3"],
    "parameters": ["record=none", "record.parameters=true", "record.gates=true", "record.every=1"],
    "activations": ["record=none", "record.activations=true", "record.every=2"],
    "lags": ["record=none", "record.lags=true", "record.every=3", "record.windows=all"],
    "tensorboard": ["record.every=3", f"record.tensorboard={str(HAVE_TENSORBOARD).lower()}"],
}


class Dropped(Cell):
    """A tanh network with dropout in its step, and running statistics."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.norm = nn.BatchNorm1d(hidden_size)

    def step(self, x, state):
        return (torch.tanh(self.norm(self.read(x)) + self.recur(dropout(state[0], 0.2))),)


CELLS = {
    "rnn": ["cell=rnn"],
    "relu": ["cell=rnn", "cell.nonlinearity=relu"],
    "lstm": ["cell=lstm"],
    "gru": ["cell=gru"],
    "own": [],
}


@cache
def recorded(name):
    return compose([*SMALL, *RECORDS[name]]).record


def configured(cell, *options):
    config = compose([*SMALL, *CELLS[cell], *options])
    if cell == "own":
        own = {"name": "own", "_target_": f"{__name__}.Dropped", "_partial_": True}
        config = config.model_copy(update={"cell": own})
    return config


def trained(folder, config, record):
    """The files of a run that do not depend on what is recorded, and the names of all its tables."""
    result = run(config.model_copy(update={"results_dir": str(folder / record), "record": recorded(record)}))
    assert result.error is None
    files = {name: (result.folder / name).read_bytes() for name in TRAINED if (result.folder / name).exists()}
    return result.status, files, {path.stem for path in result.folder.glob("*.csv")}


@pytest.mark.parametrize(
    ("cell", "dtype"), [*((cell, "float32") for cell in CELLS), ("rnn", "float64"), ("lstm", "float64")]
)
def test_the_bytes_of_a_training_do_not_depend_on_what_is_recorded(tmp_path, cell, dtype):
    task = ["task=adding", "task.length=12"] if cell in ("rnn", "own") else ["task=copy", "task.length=1"]
    config = configured(cell, *task, f"dtype={dtype}")
    runs = {record: trained(tmp_path, config, record) for record in RECORDS}
    status, bare, tables = runs["nothing"]
    assert status == "completed"
    assert bare.keys() == set(TRAINED)
    assert tables == {"metrics", "evaluation"}
    gates = {"gates"} if cell in ("lstm", "gru") else set()
    assert runs["everything"][2] == {"metrics", "evaluation", *measures()} - {"gates", "spikes", "truncation"} | gates
    for record, (status, files, _) in runs.items():
        assert status == "completed", record
        for name in TRAINED:
            assert files[name] == bare[name], (record, name)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_nor_do_those_of_a_training_that_diverges(tmp_path, cell):
    exploding = ["init=gaussian", "init.gain=40", "task.length=150", "optimizer=sgd", "optimizer.lr=1e30"]
    config = configured(cell, *exploding)
    runs = {record: trained(tmp_path, config, record) for record in ("nothing", "everything", "contributions")}
    assert {status for status, _, _ in runs.values()} == {"diverged"}
    for _, files, _ in runs.values():
        assert files == runs["nothing"][1]
