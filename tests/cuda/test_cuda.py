"""Runs, traces, probes, checkpoints and sweeps on a GPU, held to the CPU: `make cuda`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.config.composing import compose
from experiments.training import loop
from experiments.training.probe import _load, probe
from experiments.training.run import run

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use"),
    pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk"),
]

SMALL = (
    *("task.length=24", "model.hidden_size=12", "batch_size=6", "steps=8", "dtype=float64", "clip=norm"),
    *("record.every=1", "record.windows=all", "record.lags=true", "record.evaluate_every=4"),
    *("record.evaluate_samples=40", "probe.samples=3", "probe.batches=2"),
)
CELLS = {
    "tanh": ["cell=rnn"],
    "relu": ["cell=rnn", "cell.nonlinearity=relu"],
    "identity": ["cell=rnn", "cell.nonlinearity=identity"],
    "lstm": ["cell=lstm"],
    "gru": ["cell=gru"],
    "layers": ["cell=gru", "model.num_layers=2"],
    "losses": ["cell=lstm", "task=copy", "task.length=6"],
    "truncated": ["cell=lstm", "truncation=7", "model.num_layers=2"],
}


def config(folder, device, *overrides):
    return compose([*SMALL, f"device={device}", f"results_dir={folder / device}", *overrides])


def assert_same_tables(one, other):
    names = {path.name for path in one.glob("*.csv")}
    assert names == {path.name for path in other.glob("*.csv")}
    for name in names:
        pd.testing.assert_frame_equal(pd.read_csv(one / name), pd.read_csv(other / name), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_run_and_its_trace_are_those_of_the_cpu(cell, tmp_path):
    results = [run(config(tmp_path, device, *CELLS[cell])) for device in ("cpu", "cuda")]
    assert [result.status for result in results] == ["completed"] * 2
    assert_same_tables(*(result.folder for result in results))


@pytest.mark.parametrize("cell", CELLS)
def test_a_probe_is_that_of_the_cpu(cell, tmp_path):
    results = [probe(config(tmp_path, device, *CELLS[cell])) for device in ("cpu", "cuda")]
    assert [result.status for result in results] == ["completed"] * 2
    assert_same_tables(*(result.folder for result in results))


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_watching_changes_nothing(cell, tmp_path):
    watched, alone = (
        run(config(tmp_path / record, "cuda", *CELLS[cell], f"record={record}")).folder for record in ("full", "none")
    )
    for name in ("metrics.csv", "evaluation.csv"):
        assert (watched / name).read_bytes() == (alone / name).read_bytes()
    weights = [torch.load(folder / "network.pt", map_location="cpu") for folder in (watched, alone)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_an_interrupted_run_resumes(cell, tmp_path, monkeypatch):
    whole = run(config(tmp_path / "whole", "cuda", *CELLS[cell])).folder
    cut = config(tmp_path / "cut", "cuda", *CELLS[cell], "checkpoint_seconds=0")
    passes = [loop.backpropagate] * 4 + [interrupt]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "backpropagate", lambda *given, **options: passes.pop(0)(*given, **options))
        with pytest.raises(KeyboardInterrupt):
            run(cut)
    assert run(cut).status == "completed"
    for path in whole.glob("*.csv"):
        assert path.read_bytes() == (cut.run_folder / path.name).read_bytes()


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_network_trained_on_the_gpu_can_be_loaded_without_one(tmp_path):
    trained = run(config(tmp_path, "cuda", "cell=lstm")).folder
    assert {weight.device.type for weight in _load(trained).values()} == {"cpu"}
    assert probe(config(tmp_path, "cuda", "cell=lstm"), checkpoint=trained).status == "completed"


def test_a_sweep_with_two_workers(tmp_path):
    command = [Path(sys.executable).with_name("bptt"), "sweep", *SMALL, "cell=rnn,lstm,gru", "device=cuda"]
    done = subprocess.run([*command, "--jobs", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "results" / "default" / "summary.csv")
    assert summary["status"].tolist() == ["completed"] * 3
    here = run(config(tmp_path, "cpu", "cell=lstm")).folder
    swept = next((tmp_path / "results" / "default" / "runs").glob("lstm-*"))
    np.testing.assert_allclose(*(pd.read_csv(folder / "metrics.csv")["loss"] for folder in (here, swept)), rtol=1e-8)
