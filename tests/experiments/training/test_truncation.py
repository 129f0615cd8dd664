"""truncation=K in a run and a probe: what training uses, what is recorded, and what is said about it."""

import json

import pandas as pd
import pytest

from experiments.analysis.configuration_findings import describe_configurations
from experiments.analysis.findings import describe_run, probe_readings
from experiments.analysis.gradient_law import with_law
from experiments.analysis.run_tables import RunTables
from experiments.analysis.summary import summarize_runs
from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.store.studies import read_runs
from experiments.training.probe import probe
from experiments.training.run import run
from tests.experiments.training.test_seams import contents

SMALL = [
    *("task.length=12", "model.hidden_size=6", "batch_size=3", "steps=7", "record.every=3", "record.windows=all"),
    *("record.evaluate_samples=20", "model.num_layers=2", "init=orthogonal"),
]


@pytest.fixture
def choose(tmp_path):
    return lambda folder, *overrides: compose([*SMALL, f"results_dir={tmp_path / folder}", *overrides])


def made(config, how=run):
    """Make a run, and read it back with its row of summary.csv."""
    folder = how(config).folder
    (found,) = [one for one in read_runs(config.study_folder) if one.folder == folder]
    return found, summarize_runs([found])[0].iloc[0].to_dict()


def test_zero_and_negative_numbers_are_refused():
    for number in (0, -3):
        with pytest.raises(UsageError, match=f"^truncation={number}: must be greater than 0"):
            compose([f"truncation={number}"])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_cut_beyond_the_sequence_changes_nothing(choose, cell):
    configs = [choose(name, f"cell={cell}", f"truncation={name}") for name in ("null", "12", "99")]
    for config in configs:
        run(config)
    one, *others = [
        contents(config) | {"network": (config.run_folder / "network.pt").read_bytes()} for config in configs
    ]
    assert others == [one, one]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_watching_a_truncated_training_changes_nothing(choose, cell):
    configs = [choose(name, f"cell={cell}", "truncation=5", f"record={name}") for name in ("full", "none")]
    for config in configs:
        run(config)
    one, other = ((config.run_folder / "network.pt").read_bytes() for config in configs)
    assert one == other
    assert contents(configs[0])["metrics.csv"] == contents(configs[1])["metrics.csv"]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_tables_show_the_cut(choose, cell):
    config = choose("x", f"cell={cell}", "truncation=5")
    whole = choose("whole", f"cell={cell}", "steps=1", "dtype=float64")
    cut = choose("cut", f"cell={cell}", "steps=1", "dtype=float64", "truncation=5")
    for one in (config, whole, cut):
        run(one)
    gradients = pd.read_csv(config.run_folder / "gradients.csv")
    assert (gradients["grad_norm"] > 0).tolist() == (gradients["lag"] < 5).tolist()
    shares = pd.read_csv(config.run_folder / "contributions.csv")
    assert (shares["grad_norm"] > 0).tolist() == (shares["first_timestep"] > 7).tolist()
    one, other = (
        pd.read_csv(each.run_folder / "gradients.csv").query("layer == 1 and lag < 5")["grad_norm"]
        for each in (whole, cut)
    )
    assert one.tolist() == pytest.approx(other.tolist(), rel=1e-10)  # up to the cut, it is the same gradient
    losses = [pd.read_csv(each.run_folder / "metrics.csv")["loss"][0] for each in (whole, cut)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_single_losses_and_parameters_are_truncated(choose):
    config = choose("x", "task=copy", "truncation=5", "record.lags=true", "record.lag_samples=99")
    run(config)
    lags = pd.read_csv(config.run_folder / "lags.csv")
    length = json.loads((config.run_folder / "run.json").read_text())["timesteps"]
    first = length - (length - lags["loss_timestep"]) // 5 * 5 - 4  # of the piece
    assert (lags["grad_norm"] > 0).tolist() == (lags["loss_timestep"] - lags["lag"] >= first).tolist()
    shares = pd.read_csv(config.run_folder / "contributions.csv")
    sums = shares.groupby(["step", "parameter"])["share"].sum()
    assert sums.tolist() == pytest.approx([1] * len(sums), abs=1e-5)


def test_a_run_says_that_its_gradient_was_cut(choose):
    found, outcome = made(choose("x", "truncation=5"))
    said = describe_run(found, outcome)
    assert said.startswith(
        "the gradient was cut after 5 of 12 timesteps (truncation); at step 7, the gradient in layer 0 "
    )
    assert "at timestep 8 of 12, the earliest recorded before the cut, its norm is" in said
    assert "were 0 or below" not in said
    assert (outcome["horizon"], outcome["horizon_resolution"], outcome["underflow"]) == (4, 1, 0)
    assert outcome["arriving"] == 0
    whole, outcome = made(choose("y"))
    assert "cut" not in describe_run(whole, outcome)


def test_the_horizon_ends_at_the_cut_whatever_is_recorded(choose):
    found, outcome = made(choose("x", "truncation=5", "record.windows=4"))  # lags 0, 3, 6, 9
    assert (outcome["horizon"], outcome["horizon_resolution"]) == (4, 2)
    found, outcome = made(choose("x", "truncation=2", "record.windows=4"))
    assert outcome["horizon"] is None
    assert describe_run(found, outcome).startswith(
        "the gradient was cut after 2 of 12 timesteps (truncation); best error"
    )


def test_configurations_say_that_their_gradient_was_cut(choose):
    for truncation in (2, 5):
        for seed in (0, 1):
            run(choose("x", f"truncation={truncation}", f"seed={seed}", "record.windows=4"))
    runs = read_runs(choose("x").study_folder)
    two, five = describe_configurations(runs, *summarize_runs(runs)).values()
    assert "; the gradient was cut after 5 of 12 timesteps (truncation); before training, the gradient in " in five
    assert "before training, the gradient in layer 0 is cut: horizon 4 of 11" in five
    assert "; at step 7, the gradient in layer 0 is cut: horizon 4 of 11" in five
    assert (
        "; before training, the gradient in layer 0 is cut; at step 7, the gradient in layer 0 is cut; best error"
        in two
    )


def test_no_line_of_theory_is_drawn_for_a_truncated_gradient(choose):
    overrides = ["model.num_layers=1", "cell.nonlinearity=identity"]
    for truncation, drawn in (("null", True), (5, False)):
        found, _ = made(choose(str(truncation), *overrides, f"truncation={truncation}"))
        assert found.info["theory"]["gain"] == 1
        rows = with_law(RunTables([found])["gradients"])
        assert rows[["predicted", "bound"]].notna().any().tolist() == [drawn, drawn]


def test_a_probe_cuts_the_gradient_and_not_the_jacobians(choose):
    whole, cut = (choose(name, f"truncation={name}", "probe.batches=2", "cell=lstm") for name in ("null", "5"))
    (probed, outcome), (of_whole, _) = made(cut, probe), made(whole, probe)
    gradients = probed.table("gradients")
    assert (gradients["grad_norm"] > 0).tolist() == (gradients["lag"] < 5).tolist()
    for name in ("jacobian", "lyapunov"):
        assert (probed.folder / f"{name}.csv").read_bytes() == (of_whole.folder / f"{name}.csv").read_bytes()
    readings = {one.name: one.meaning for one in probe_readings(probed, outcome)}
    said = "the gradient was cut after 5 of 12 timesteps (truncation), but ds_T/ds_t was not"
    assert readings["gain of the gradient"].endswith(f"; {said}")
    assert said in describe_run(probed, outcome)


def test_a_truncated_run_resumes(choose, cut_off):
    unbroken, broken = (choose(name, "truncation=5", "cell=lstm", "checkpoint_seconds=0") for name in ("a", "b"))
    run(unbroken)
    cut_off(broken, 4)
    run(broken)
    assert contents(unbroken) == contents(broken)
