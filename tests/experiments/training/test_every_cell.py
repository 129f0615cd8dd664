"""Every cell with a task of each kind, with all measures and probed: its CSV files say what it says of itself.

`make cross` also runs every other pair of cell and task.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.catalogue.choices import choices
from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.training.probe import probe
from experiments.training.run import run
from tests.experiments.tasks.idx_files import write_images
from tests.experiments.tasks.mxl_files import write_scales

SMALL = ["steps=2", "model.hidden_size=4", "batch_size=2", "record.evaluate_samples=4", "record.every=1"]
SMALL += ["record.windows=3", "probe.samples=2", "probe.batches=1"]
TASKS = {  # a number at the end, classes at many timesteps, real data, a class at the end
    "adding": ["task.length=6", "model.num_layers=2"],
    "copy": ["task.length=2", "record.lags=true", "record.lag_samples=2"],
    "digits": ["task.length=64"],
    "temporal_order": ["task.length=6"],
}

CELLS = choices("cell")
LENGTH = "task.length=8"
OTHER_TASKS = {name: [LENGTH] for name in choices("task") if name not in TASKS} | {
    "delayed_parity": [LENGTH, "task.delay=2"],
    "delayed_xor": [LENGTH, "task.delay=4"],
    "fashion_mnist": ["task.by=row", "task.path={folder}"],
    "music": [LENGTH, "task.path={folder}"],
    "csv": [LENGTH, "task.path={folder}/pump.csv", "task.target=a"],
}
REPRESENTATIVES = ("rnn", "lstm", "lru")  # written equations, torch's kernel, a complex state


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Small data files."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "pump.csv").write_text("a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(90)))
    write_images(folder)
    write_scales(folder, pieces=12, length=20)
    return folder


@cache
def composed(*options):
    """A small configuration. Composing takes longer than a short run."""
    return compose([*options, *SMALL])


def with_cell(name, config, folder):
    """The configuration with another cell."""
    cell = composed(f"cell={name}", LENGTH).cell
    return config.model_copy(update={"cell": cell, "results_dir": str(folder)})


def table(result, name):
    return pd.read_csv(result.folder / f"{name}.csv")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_learns_from_a_task_and_is_recorded(name, task, tmp_path):
    check_run(with_cell(name, composed(f"task={task}", *TASKS[task]), tmp_path))


@pytest.mark.parametrize("task", OTHER_TASKS)
@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_every_task_is_learned_from_by_cells_of_each_kind(name, task, tmp_path, folder):
    options = (option.format(folder=folder) for option in OTHER_TASKS[task])
    check_run(with_cell(name, composed(f"task={task}", *options), tmp_path))


@pytest.mark.cross
@pytest.mark.parametrize("task", OTHER_TASKS)
@pytest.mark.parametrize("name", [name for name in CELLS if name not in REPRESENTATIVES])
def test_every_cell_learns_from_every_task(name, task, tmp_path, folder):
    test_every_task_is_learned_from_by_cells_of_each_kind(name, task, tmp_path, folder)


def check_run(config):
    """Run, and check that the CSV files are complete and agree with the cell."""
    result, task = run(config), config.task["name"]
    assert (result.status, result.error) == ("completed", None)
    cell = build(config).network.cells[0]
    metrics, gradients, contributions = (table(result, one) for one in ("metrics", "gradients", "contributions"))
    assert metrics["step"].tolist() == [1, 2]
    assert np.isfinite(metrics[["loss", "grad_norm"]]).all(axis=None)
    assert set(gradients["state"]) == set(cell.state_names)
    assert set(gradients["layer"]) == set(range(config.model.num_layers))
    assert table(result, "evaluation")["step"].tolist() == [1, 2]
    top = gradients[gradients["layer"] == config.model.num_layers - 1]
    assert top.query("lag == 0 and state == 'h'")["grad_norm"].gt(0).all()
    if task == "copy":
        assert table(result, "lags")["grad_norm"].gt(0).any()
    assert np.isfinite(gradients["grad_norm"]).all()
    kept = gradients["state"].isin(cell.kept_by)
    assert gradients["grad_norm_direct"].notna().equals(kept)
    at_the_end = gradients[kept & (gradients["lag"] == 0)]
    np.testing.assert_allclose(at_the_end["grad_norm_direct"], at_the_end["grad_norm"], rtol=1e-4)
    shares = contributions.groupby(["step", "parameter"])["share"].sum(min_count=1).dropna()
    np.testing.assert_allclose(shares, 1, atol=1e-4)
    recurrent = {block.name for block in cell.recurrent_blocks()}
    spectra = table(result, "parameters").dropna(subset="sigma_max")["parameter"]
    assert set(spectra) == {f"layers.{n}.{block}" for n in range(config.model.num_layers) for block in recurrent}
    gates = cell.all_gates(torch.zeros(2, cell.input_size), cell.initial_state(2))
    assert (set(table(result, "gates")["gate"]) if gates else set()) == set(gates)
    assert {gate.removeprefix("1 - ") for gate in cell.kept_by.values()} <= set(gates)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_probed(name, tmp_path):
    result = probe(with_cell(name, composed("task=adding", *TASKS["adding"]), tmp_path))
    assert (result.status, result.error) == ("completed", None)
    jacobian, lyapunov = table(result, "jacobian"), table(result, "lyapunov")
    assert jacobian["log10_sv_max"].notna().all()
    assert len(lyapunov) >= 2 * 4
