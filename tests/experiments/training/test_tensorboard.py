"""TensorBoard reads from a run exactly what its CSV files contain."""

import importlib.util
import json
import warnings

import numpy as np
import pandas as pd
import pytest

from experiments.catalogue.measures import measures
from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.store.run_folders import prepare_folder
from experiments.training.run import run
from experiments.training.tensorboard import NAMED_BY

SMALL = [
    *("task.length=8", "model.hidden_size=4", "model.num_layers=2", "batch_size=3", "steps=7", "record.every=3"),
    *("record.windows=4", "record.evaluate_every=3", "record.evaluate_samples=5", "clip=norm"),
]
HAVE = importlib.util.find_spec("tensorboard") is not None
needs_tensorboard = pytest.mark.skipif(not HAVE, reason="the Python package tensorboard is not installed")


def scalars(folder):
    """All scalars of an event file by name and step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from protobuf
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        return {(tag, e.step): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}


@needs_tensorboard
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_every_number_of_the_csv_files_is_a_scalar(tmp_path, cell):
    folder = run(compose([*SMALL, f"cell={cell}", "record.tensorboard=true", f"results_dir={tmp_path}"])).folder
    found = scalars(folder)
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    off = {"lags", "activations", "truncation", "spikes"} | ({"gates"} if cell == "rnn" else set())
    assert set(tables) == {"metrics", "evaluation", *measures()} - off
    expected = 0
    for name, table in tables.items():
        for row in table.to_dict("records"):
            for column in set(table.columns) - set(NAMED_BY) - {"step"}:
                if not pd.isna(row[column]):
                    expected += 1
                    matching = [
                        value
                        for (tag, step), value in found.items()
                        if step == row["step"] and tag.startswith(f"{name}/") and tag.endswith(f"/{column}")
                    ]
                    assert np.float32(row[column]) in np.float32(matching), (name, row)
    assert len(found) == expected
    gradient = tables["gradients"].query("layer == 1 and state == 'h' and lag == 2 and step == 4")["grad_norm"].item()
    assert found["gradients/layer_1/h/lag_2/grad_norm", 4] == np.float32(gradient)
    assert found["metrics/loss", 7] == np.float32(tables["metrics"]["loss"].iloc[-1])
    if cell == "lstm":
        assert ("parameters/layers.0.weight_hh.forget/sigma_max", 7) in found
        share = tables["contributions"].query("parameter == 'layers.0.weight_ih' and first_timestep == 3 and step == 1")
        assert found["contributions/layers.0.weight_ih/from_3/to_4/share", 1] == np.float32(share["share"].item())


@needs_tensorboard
def test_the_run_is_the_same_with_and_without(tmp_path):
    with_it = compose([*SMALL, "record.tensorboard=true", f"results_dir={tmp_path / 'with'}"])
    without = compose([*SMALL, f"results_dir={tmp_path / 'without'}"])
    assert with_it.run_id == without.run_id
    folders = [run(config).folder for config in (with_it, without)]
    for path in folders[0].glob("*.csv"):
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
    assert [len(list(folder.glob("events.*"))) for folder in folders] == [1, 0]
    assert run(with_it).skipped
    prepare_folder(with_it.run_folder, fresh=True)
    run(with_it)
    assert len(list(folders[0].glob("events.*"))) == 1


@needs_tensorboard
def test_a_writer_that_fails_loses_no_row(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    result = run(compose([*SMALL, "record.tensorboard=true", f"results_dir={tmp_path}"]))
    assert result.error.startswith("OSError: No space left on device")
    assert json.loads((result.folder / "run.json").read_text())["status"] == "failed"
    (written,) = result.folder.glob("*.csv")  # the writer fails at the first table that gets rows
    assert len(pd.read_csv(written)) > 0


def test_without_the_package_it_is_an_error_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.config.schema.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"record.tensorboard=True: must be false .* pip install 'tensorboard>="):
        compose([*SMALL, "record.tensorboard=true", f"results_dir={tmp_path}"])
    assert not list(tmp_path.iterdir())
