import json
import resource
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.analysis.summary import write_summary
from experiments.catalogue.measures import measures
from experiments.config.composing import compose
from experiments.store.run_folders import prepare_folder
from experiments.store.studies import read_runs
from experiments.sweeps.plan import plan
from experiments.sweeps.sweep import sweep
from experiments.training.loop import Evaluation
from experiments.training.run import run
from experiments.training.seeding import generator_of

SMALL = ["task.length=20", "model.hidden_size=8", "batch_size=4", "steps=12", "record.every=5", "record.windows=4"]
TABLES = ["metrics", "evaluation", "gradients", "contributions", "parameters"]


def small(tmp_path, *overrides):
    return compose([*SMALL, "record.evaluate_samples=50", f"results_dir={tmp_path}", *overrides])


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("task", ["adding", "copy", "temporal_order", "digits task.length=70"])
def test_the_same_command_twice_writes_the_same_bytes(tmp_path, cell, task):
    options = [f"cell={cell}", "model.num_layers=2", "clip=norm", *f"task={task}".split()]
    one = run(compose([*SMALL[1:], *options, "record.evaluate_samples=50", f"results_dir={tmp_path / 'one'}"]))
    torch.randn(3)  # other draws in the process do not matter
    two = run(compose([*SMALL[1:], *options, "record.evaluate_samples=50", f"results_dir={tmp_path / 'two'}"]))
    assert one.status == two.status == "completed"
    assert contents(one.folder) == contents(two.folder)
    gates = [] if cell == "rnn" else ["gates"]  # no gates, no file
    assert set(contents(one.folder)) == {f"{name}.csv" for name in TABLES + gates}


@pytest.mark.parametrize(("launcher", "jobs"), [("basic", 1), ("joblib", 2), ("submitit_local", 2)])
def test_a_run_in_a_sweep_equals_the_same_run_alone(tmp_path, launcher, jobs):
    overrides = [*SMALL, "record.evaluate_samples=50", "cell=rnn,lstm", "clip=none,norm"]
    planned = plan([*overrides, f"results_dir={tmp_path / 'sweep'}"])
    results = sweep(planned, launcher=launcher, jobs=jobs)
    assert [result.status for result in results] == ["completed"] * 4
    for result, config in zip(results, planned.configs, strict=True):
        assert result.folder == config.run_folder
        alone = run(config.model_copy(update={"results_dir": str(tmp_path / "alone")}))
        assert contents(result.folder) == contents(alone.folder)


def test_a_run_that_records_nothing_writes_two_tables(tmp_path):
    assert set(contents(run(small(tmp_path, "record=none")).folder)) == {"metrics.csv", "evaluation.csv"}


@pytest.mark.parametrize(
    ("recorded", "asked", "lacks"),
    [
        ([], [], {}),
        (["record=none"], ["record=none", "record.gradients=true"], {"gradients": True}),
        ([], ["record=none"], {}),
        ([], ["record.every=10", "record.gates=false"], {}),
        ([], ["record.every=7"], {}),
        (["record.every=7"], [], {"every": 5}),
        (["record.windows=7"], [], {}),
        (["record.windows=all"], [], {}),
        ([], ["record.windows=5", "record.lags=true"], {"lags": True, "windows": 5}),
        (["record.lags=true"], ["record.lags=true", "record.lag_samples=2"], {"lag_samples": 2}),
    ],
)
def test_a_finished_run_says_what_it_has_not_recorded(tmp_path, recorded, asked, lacks):
    """What is recorded does not make it another run, and nothing that is asked for is silently left out."""
    before = run(small(tmp_path, *recorded))
    again = run(small(tmp_path, *asked))
    assert (again.folder, again.skipped, again.unrecorded) == (before.folder, True, lacks)


def test_steps_and_columns_are_those_of_the_contract(tmp_path):
    result = run(small(tmp_path, "cell=lstm", "record.evaluate_every=4"))
    tables = {name: pd.read_csv(result.folder / f"{name}.csv") for name in (*TABLES, "gates")}
    assert tables["metrics"]["step"].tolist() == list(range(1, 13))
    assert tables["evaluation"]["step"].tolist() == [1, 5, 9, 12]
    for name in measures().keys() - {"lags", "activations", "truncation", "spikes"}:
        assert tables[name]["step"].unique().tolist() == [1, 6, 11, 12]
    gradients = tables["gradients"].query("step == 6")
    assert gradients["state"].tolist() == ["h"] * 4 + ["c"] * 4
    assert gradients["timestep"].tolist() == [5, 10, 15, 20] * 2
    assert (gradients["timestep"] + gradients["lag"] == 20).all()
    blocks = tables["parameters"].query("step == 6").set_index("parameter")
    assert blocks["sigma_max"].dropna().index.tolist() == [
        f"layers.0.weight_hh[{gate}]" for gate in ("input", "forget", "candidate", "output")
    ]
    assert (blocks["sigma_max"] >= blocks["spectral_radius"]).sum() == 4
    squares = (blocks[["grad_norm", "weight_norm", "update_norm"]] ** 2).filter(like="[", axis=0).sum() ** 0.5
    np.testing.assert_allclose(squares, blocks.loc["layers.0.weight_hh", squares.index].astype(float), rtol=1e-6)
    assert (blocks["update_norm"] > 0).all()


def test_every_state_of_every_layer_has_its_gain_and_horizon(tmp_path):
    result = run(small(tmp_path, "cell=lstm", "model.num_layers=2", "steps=1", "record.windows=all", "dtype=float64"))
    summary = write_summary(tmp_path / "default")[0].iloc[0]
    states = pd.read_csv(tmp_path / "default" / "states.csv")
    assert list(zip(states["layer"], states["state"], strict=True)) == [(0, "c"), (0, "h"), (1, "c"), (1, "h")]
    own = states.query("layer == 0 and state == 'h'").iloc[0]
    assert (own["gain_per_timestep"], own["horizon"]) == (summary["gain_per_timestep"], summary["horizon"])
    gradients = pd.read_csv(result.folder / "gradients.csv").query("layer == 1 and state == 'c'")
    slope = np.polyfit(gradients["lag"], np.log(gradients["grad_norm"]), 1)[0]
    assert states.query("layer == 1 and state == 'c'")["gain_at_init"].item() == pytest.approx(np.exp(slope), rel=1e-9)


def test_metrics_say_what_clipping_did(tmp_path):
    metrics = pd.read_csv(run(small(tmp_path, "clip=norm", "clip.threshold=0.5")).folder / "metrics.csv")
    clipped = metrics["grad_norm"] > 0.5
    assert clipped.any()
    assert (metrics["clipped_grad_norm"] <= 0.5).all()
    np.testing.assert_allclose(metrics["clipped_grad_norm"][clipped], 0.5, rtol=1e-6)
    assert (metrics["clip_scale"][~clipped] == 1).all()
    np.testing.assert_allclose(metrics["clip_scale"], metrics["clipped_grad_norm"] / metrics["grad_norm"])


def test_the_norm_of_all_parameters_is_that_of_its_parts(tmp_path):
    folder = run(small(tmp_path, "clip=norm", "clip.threshold=1e-3", "dtype=float64")).folder
    metrics = pd.read_csv(folder / "metrics.csv").set_index("step")["grad_norm"]
    parts = pd.read_csv(folder / "parameters.csv").groupby("step")["grad_norm"].apply(lambda n: (n**2).sum() ** 0.5)
    np.testing.assert_allclose(parts, metrics[parts.index], rtol=1e-12)
    weight = pd.read_csv(folder / "contributions.csv").query("parameter == 'layers.0.weight_hh' and step == 1")
    whole = pd.read_csv(folder / "parameters.csv").query("parameter == 'layers.0.weight_hh' and step == 1")
    assert (weight["grad_norm"] * weight["share"]).sum() <= whole["grad_norm"].item() * (1 + 1e-12)


@pytest.mark.parametrize("record", ["default", "none"])
def test_divergence_is_recorded_with_the_infinite_norm(tmp_path, record):
    linear = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=1.6", "task.length=100"]
    result = run(compose([*linear, "clip=norm", f"record={record}", f"results_dir={tmp_path}"]))
    assert (result.status, result.error) == ("diverged", None)
    (row,) = (result.folder / "metrics.csv").read_text().splitlines()[1:]
    assert row == "1,inf,inf,,,0.01,,,,"
    summary = write_summary(tmp_path / "default")[0].iloc[0]
    assert (summary["status"], summary["diverged_at_step"], summary["max_grad_norm"]) == ("diverged", 1, np.inf)
    assert summary["best_error"] is None
    assert ",diverged," in (tmp_path / "default" / "summary.csv").read_text()


def test_the_step_at_which_a_run_diverges_is_always_recorded(tmp_path):
    options = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=1.57", "task.length=100", "clip=norm"]
    options += ["optimizer.lr=0.001", "steps=60"]
    result = run(compose([*options, "record.every=50", f"results_dir={tmp_path}"]))
    assert json.loads((result.folder / "run.json").read_text())["diverged_at_step"] == 2
    for name in ("gradients", "contributions", "parameters"):
        assert pd.read_csv(result.folder / f"{name}.csv")["step"].unique().tolist() == [1, 2]
    parameters = pd.read_csv(result.folder / "parameters.csv").query("step == 2")
    assert (parameters["update_norm"] == 0).all()


def test_a_run_that_raises_is_recorded_with_its_error(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.training.run.evaluate", lambda *_: 1 / 0)
    result = run(small(tmp_path))
    assert (result.status, result.error.partition(" (")[0]) == ("failed", "ZeroDivisionError: division by zero")
    info = json.loads((result.folder / "run.json").read_text())
    assert info["status"] == "failed"
    assert "in after_step" in info["traceback"]
    assert len(pd.read_csv(result.folder / "metrics.csv")) == 1
    monkeypatch.undo()
    again = run(small(tmp_path))
    assert (again.status, again.error, again.skipped) == ("failed", result.error, True)
    prepare_folder(result.folder, retry=True)
    assert run(small(tmp_path)).status == "completed"


def test_an_interrupted_run_keeps_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "experiments.training.run.evaluate", Mock(side_effect=[Evaluation(0.0, 0.0, 1), KeyboardInterrupt])
    )
    with pytest.raises(KeyboardInterrupt):
        run(small(tmp_path, "record.evaluate_every=6"))
    (found,) = read_runs(tmp_path / "default")
    assert found.info["status"] == "interrupted"
    assert found.table("metrics")["step"].tolist() == list(range(1, 8))
    assert write_summary(tmp_path / "default")[0]["status"].tolist() == ["interrupted"]


def test_a_finished_run_is_skipped_unless_fresh(tmp_path):
    config = small(tmp_path)
    first = run(config)
    stamp = (first.folder / "metrics.csv").stat().st_mtime_ns
    assert run(config).skipped
    assert (first.folder / "metrics.csv").stat().st_mtime_ns == stamp
    prepare_folder(first.folder, fresh=True)
    again = run(config)
    assert not again.skipped
    assert (first.folder / "metrics.csv").stat().st_mtime_ns > stamp


def test_run_json_records_the_provenance(tmp_path):
    result = run(small(tmp_path, "seed=5"))
    info = json.loads((result.folder / "run.json").read_text())
    assert info["status"] == "completed"
    assert info["seed"] == 5
    assert info["versions"]["torch"] == torch.__version__
    assert info["parameters"] == 8 * 2 + 8 * 8 + 2 * 8 + 8 + 1
    assert info["machine"]["cores"] >= 1
    assert info["started"] <= info["finished"]
    assert (Path(__file__).parents[3] / ".git").exists() == (info["git"] is not None)


def test_a_saved_configuration_is_enough_to_repeat_the_run(tmp_path):
    import yaml

    from experiments.config.composing import from_saved

    config = small(tmp_path, "cell=lstm", "init=orthogonal")
    saved = from_saved(yaml.safe_load((run(config).folder / ".hydra" / "config.yaml").read_text()))
    assert saved == config
    assert saved.run_id == config.run_id


def test_each_purpose_has_its_own_stream():
    draws = [torch.rand(3, generator=generator_of(*key)) for key in ((0, "a"), (0, "b"), (1, "a"), (0, "a"))]
    assert torch.equal(draws[0], draws[3])
    assert not any(torch.equal(draws[0], other) for other in draws[1:3])


def test_thousands_of_steps_keep_flat_memory(tmp_path, monkeypatch):
    used = []

    def look(*arguments):
        used.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
        return Evaluation(0.0, 0.0, 1)

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc/self/statm on this machine to read the memory from")
    options = ["task.length=4", "model.hidden_size=4", "batch_size=2", "steps=2000", "record.every=20"]
    monkeypatch.setattr("experiments.training.run.evaluate", look)
    config = compose([*options, "record.evaluate_every=400", f"results_dir={tmp_path}"])
    assert run(config).status == "completed"
    assert len(used) == 6  # at steps 1, 401, ..., 1601 and 2000
    assert used[-1] - used[1] < 1.5e6
