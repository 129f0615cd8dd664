"""Theory and bounds beside the measured gradient: only where they hold, and never above what they bound."""

import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from experiments.analysis.gradient_law import bounds, with_law
from experiments.analysis.run_tables import RunTables
from experiments.config.composing import compose
from experiments.drawing.style import settings
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.view import DEFAULT_VIEW
from experiments.store.studies import read_runs
from experiments.sweeps.plan import plan
from experiments.sweeps.sweep import sweep
from experiments.training.probe import config_of_checkpoint, probe
from experiments.training.run import run

SMALL = ["model.hidden_size=4", "batch_size=3", "steps=1", "dtype=float64", "record.evaluate_samples=1"]

THEORY = ("theory_gain", "theory_bound")


def made(folder, *options):
    """The runs of a sweep, and what theory says of their gradients, layer 0, first step."""
    sweep(plan([*SMALL, *options, f"results_dir={folder}"]))
    runs = read_runs(folder / "default")
    assert {found.info["status"] for found in runs} == {"completed"}
    return runs, with_law(RunTables(runs)["gradients"])


def test_no_measured_gradient_is_above_its_bound(tmp_path):
    """Over nonlinearities, starts, depths and tasks; a bound that no run has would bound nothing."""
    grid = ["cell.nonlinearity=tanh,relu,identity", "init=orthogonal,gaussian,identity", "init.gain=1.3"]
    grid += ["model.num_layers=1,3", "task=adding,temporal_order", "task.length=15", "record=none"]
    grid += ["record.gradients=true", "record.windows=all"]
    runs, law = made(tmp_path, *grid)
    assert len(runs) == 36
    assert law["bound"].notna().all()
    assert (law["grad_norm"] <= law["bound"] * (1 + 1e-12)).all()
    assert (law["grad_norm"] >= 0.1 * law["bound"]).groupby(law["run_id"], observed=True).any().all()
    layers = {found.id: found.config["model.num_layers"] for found in runs}
    stacks = law["run_id"].map(layers).astype(int) > 1
    assert law[stacks]["predicted"].isna().all()
    assert law[~stacks]["predicted"].notna().any()


def test_a_loss_at_each_timestep_has_neither_law_nor_bound(tmp_path):
    linear = ["init=orthogonal", "init.gain=0.5", "cell.nonlinearity=identity"]
    _, law = made(tmp_path, "task=copy", "task.length=6", "model.num_layers=1,2", *linear)
    assert law[["predicted", "bound"]].isna().all(axis=None)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gated_cells_have_no_bound(tmp_path, cell):
    _, law = made(tmp_path, f"cell={cell}", "task.length=6", "init=gaussian", "init.gain=0.5,0")
    assert law["bound"].isna().all()
    assert law["predicted"].notna().any() == (cell == "lstm")  # without recurrent weights
    assert law[law["state"] == "h"]["predicted"].isna().all()


def test_the_bound_of_a_stack_is_the_sum_over_all_ways():
    """Two layers: from layer 1 down at any of the timesteps, with sigma^k before and after."""
    found = bounds([3.0, 5.0], [0.5, 0.7], [1.1], 4)
    down = [0.5**lag * 3 + sum(0.5 ** (lag - k) * 1.1 * 0.7**k * 5 for k in range(1, lag + 1)) for lag in range(5)]
    np.testing.assert_allclose(found, down, rtol=1e-12)
    np.testing.assert_allclose(bounds([2.0], [3.0], [], 3), [2, 6, 18, 54])
    assert bounds([1.0], [10.0], [], 400)[-1] == np.inf


def test_neither_law_nor_bound_sets_the_axis_and_both_are_medians_of_runs(tmp_path):
    """A start of gain 3 has a bound of about 6^lag, 1e60 at the end."""
    options = [
        "init=gaussian",
        "init.gain=2,3",
        "task.length=80",
        "seed=0,1,2",
        "model.hidden_size=8",
        "record.windows=20",
    ]
    runs, _ = made(tmp_path, *options)
    with mpl.rc_context(settings()):
        drawn = FigureDrawer(runs, DEFAULT_VIEW).draw("gradient_flow")
    panel, lines = drawn.panels[0], {}
    for numbers in panel.numbers:
        lines.setdefault(numbers.name, []).append(numbers.y)
    quartiles = [name for name in lines if name.endswith("quartile")]
    measured = [lines[name][0] for name in sorted(name for name in lines if name not in {*quartiles, *THEORY})]
    low, high = panel.ax.get_ylim()
    shown = np.concatenate([*measured, *(lines[name][0] for name in quartiles)])
    assert shown.min() / 10 < low < shown.min() < shown.max() < high < 10 * shown.max()
    assert max(norms.max() for norms in lines["theory_bound"]) > 1e20
    assert len(lines["theory_bound"]) == len(lines["theory_gain"]) == len(measured) == 2
    for norms, bound in zip(measured, lines["theory_bound"], strict=True):
        assert (norms <= bound * (1 + 1e-12)).all()


def test_a_trained_network_keeps_its_own_bound_and_has_no_law(tmp_path):
    config = compose(
        [
            *SMALL,
            "steps=20",
            "init=orthogonal",
            "cell.nonlinearity=identity",
            "optimizer.lr=0.1",
            "task.length=8",
            f"results_dir={tmp_path}",
        ]
    )
    trained = run(config)
    result = probe(config_of_checkpoint(trained.folder), checkpoint=trained.folder)
    before, after = (json.loads((made.folder / "run.json").read_text())["theory"] for made in (trained, result))
    assert (before["gain"] is None, after["gain"]) == (False, None)
    sigma = pd.read_csv(result.folder / "parameters.csv").set_index("parameter")["sigma_max"]["layers.0.weight_hh"]
    assert after["bound"] == pytest.approx(sigma, rel=1e-12)
    assert after["bound"] != pytest.approx(before["bound"], rel=1e-3)
    (found,) = (found for found in read_runs(tmp_path / "default") if found.is_probe)
    law = with_law(RunTables([found])["gradients"])
    assert law["predicted"].isna().all()
    assert (law["grad_norm"] <= law["bound"] * (1 + 1e-12)).all()


def test_runs_of_before_have_a_bound_where_one_layer_has_it(tmp_path):
    """run.json once had no singular values but the first layer's."""
    for layers, bounded in ((1, True), (2, False)):
        runs, _ = made(tmp_path / str(layers), f"model.num_layers={layers}", "init=gaussian", "task.length=6")
        for found in runs:
            found.info["theory"] = {key: found.info["theory"][key] for key in ("gain", "state", "law", "bound")}
        assert with_law(RunTables(runs)["gradients"])["bound"].notna().all() == bounded


def test_theory_ends_no_sweep(tmp_path):
    """A start beyond float32 makes a run that diverges; the others are made."""
    small = [*SMALL, "dtype=float32", "task.length=6", "init=identity", "init.gain=1e39,1.0", f"results_dir={tmp_path}"]
    results = sweep(plan(small))
    assert [result.status for result in results] == ["diverged", "completed"]


def test_a_task_that_fails_at_a_draw_fails_its_run_and_no_other(tmp_path, monkeypatch):
    from experiments.tasks.adding import Adding

    draw = Adding.draw

    def broken(self, batch_size, generator):
        if self.timesteps == 7:
            raise RuntimeError("no data")
        return draw(self, batch_size, generator)

    monkeypatch.setattr(Adding, "draw", broken)
    failed, done = sweep(plan([*SMALL, "task.length=7,8", f"results_dir={tmp_path}"]))
    assert (failed.status, failed.error.partition(" (")[0]) == ("failed", "RuntimeError: no data")
    assert done.status == "completed"
