import numpy as np
import pandas as pd
import pytest
import torch

from experiments.analysis.findings import describe_run, probe_readings
from experiments.analysis.summary import write_summary
from experiments.config.composing import compose
from experiments.config.identity import probe_id
from experiments.errors import UsageError
from experiments.store.studies import read_runs
from experiments.training.probe import config_of_checkpoint, probe
from experiments.training.run import run
from models.rnn import RNN

SMALL = ["model.hidden_size=12", "batch_size=8", "probe.samples=3", "probe.batches=4"]


def test_a_probe_of_a_linear_recurrence_is_exact_and_says_what_theory_says(tmp_path):
    options = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.8", "task.length=31", "record.windows=all"]
    options += ["dtype=float64"]
    result = probe(compose([*SMALL, *options, f"results_dir={tmp_path}"]))
    assert (result.status, result.error) == ("completed", None)
    jacobian = pd.read_csv(result.folder / "jacobian.csv")
    assert jacobian["lag"].tolist() == list(range(31))
    assert (jacobian["lag"] + jacobian["timestep"] == 31).all()
    for column in ("log10_sv_max", "log10_sv_mean", "log10_sv_min"):
        np.testing.assert_allclose(jacobian[column], jacobian["lag"] * np.log10(0.8), atol=1e-12)
    np.testing.assert_allclose(jacobian["mean_squared_sv"], 0.8 ** (2.0 * jacobian["lag"]), rtol=1e-11)
    lyapunov = pd.read_csv(result.folder / "lyapunov.csv")
    assert lyapunov["index"].tolist() == list(range(1, 13))
    np.testing.assert_allclose(lyapunov["exponent"], np.log(0.8), atol=1e-12)
    (found,) = read_runs(tmp_path / "default")
    assert found.info["theory"]["gain"] == 0.8
    (row,) = write_summary(tmp_path / "default")[0].to_dict("records")
    assert row["gain_per_timestep"] == pytest.approx(0.8, abs=1e-12)
    assert row["gain_at_init"] == pytest.approx(0.8, abs=1e-9)
    readings = {reading.name: reading for reading in probe_readings(found, row)}
    assert readings["gain per timestep"].value == "0.8"
    assert readings["gain in theory"].value == "0.8"
    assert readings["gain per timestep"].meaning.startswith("of ds_T/ds_t; shrinks: ")  # 0.8^30 is 1.2e-3
    assert readings["horizon"].value == "30"
    norms = pd.read_csv(result.folder / "metrics.csv")["grad_norm"]
    assert readings["gradient norm"].meaning == f"median; {norms.max():.3g} at most, over 4 batches, untrained"
    assert readings["parameters"].value == str(12 * 2 + 12 * 12 + 2 * 12 + 13)


@pytest.mark.parametrize("equations", [True, False])
def test_a_probe_of_different_lengths_is_about_the_timesteps_that_all_samples_have(tmp_path, equations, monkeypatch):
    monkeypatch.setattr(RNN, "has_equations", equations)
    options = [
        "cell.nonlinearity=identity",
        "init=orthogonal",
        "init.gain=0.8",
        "task.length=20",
        "task.length_spread=0.5",
        "dtype=float64",
    ]
    result = probe(compose([*SMALL, *options, "record.windows=all", f"results_dir={tmp_path}"]))
    jacobian = pd.read_csv(result.folder / "jacobian.csv")
    assert 19 <= jacobian["lag"].max() < 28
    np.testing.assert_allclose(jacobian["log10_sv_max"], jacobian["lag"] * np.log10(0.8), atol=1e-6)
    np.testing.assert_allclose(pd.read_csv(result.folder / "lyapunov.csv")["exponent"], np.log(0.8), atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_probe_of_a_stack_covers_every_layer_and_is_repeatable(tmp_path, cell):
    options = [f"cell={cell}", "model.num_layers=2", "task=digits", "task.length=66"]
    one, two = (probe(compose([*SMALL, *options, f"results_dir={tmp_path / name}"])) for name in "ab")
    assert one.status == "completed"
    for table in ("jacobian", "lyapunov", "metrics", "gradients"):
        assert (one.folder / f"{table}.csv").read_bytes() == (two.folder / f"{table}.csv").read_bytes()
    jacobian = pd.read_csv(one.folder / "jacobian.csv")
    assert jacobian["layer"].unique().tolist() == [0, 1]
    assert (jacobian["log10_sv_max"] >= jacobian["log10_sv_mean"] - 1e-12).all()
    assert (jacobian["log10_sv_mean"] >= jacobian["log10_sv_min"] - 1e-12).all()
    exponents = pd.read_csv(one.folder / "lyapunov.csv").groupby("layer")["exponent"]
    assert exponents.size().tolist() == [12 * (2 if cell == "lstm" else 1)] * 2
    assert exponents.is_monotonic_decreasing.all()


def test_a_probe_looks_at_the_gradient_of_the_first_training_step(tmp_path):
    options = [*SMALL, "dtype=float64", "steps=1", "task.length=20", f"results_dir={tmp_path}"]
    config = compose(options)
    tables = [pd.read_csv(make(config).folder / "gradients.csv") for make in (run, probe)]
    pd.testing.assert_frame_equal(*tables)
    assert len(read_runs(tmp_path / "default")) == 2  # both are in one study


def test_a_checkpoint_is_probed_as_training_left_it(tmp_path):
    config = compose([*SMALL, "dtype=float64", "steps=30", "task.length=15", f"results_dir={tmp_path}"])
    trained = run(config)
    result = probe(config_of_checkpoint(trained.folder), checkpoint=trained.folder)
    assert result.status == "completed", result.error
    assert result.folder.name == f"probe-trained-{probe_id(config)}"
    assert result.folder.name.endswith(f"-{config.run_id}")
    saved = torch.load(trained.folder / "network.pt", weights_only=True)
    norms = pd.read_csv(result.folder / "parameters.csv").set_index("parameter")["weight_norm"]
    assert norms["layers.0.weight_hh"] == pytest.approx(saved["layers.0.weight_hh"].norm().item())
    with pytest.raises(UsageError, match=r"contains no network\.pt"):
        config_of_checkpoint(tmp_path)
    (trained.folder / "network.pt").write_bytes(b"garbage")
    with pytest.raises(UsageError, match=r"its network\.pt is damaged"):
        probe(config, checkpoint=trained.folder)


def test_findings_of_networks_with_a_known_gradient(tmp_path):
    def said(*overrides):
        results = tmp_path / str(len(list(tmp_path.iterdir())))
        result = run(compose([*overrides, "record.evaluate_samples=200", f"results_dir={results}"]))
        (found,) = read_runs(result.folder.parent.parent)
        return describe_run(found, write_summary(result.folder.parent.parent)[0].to_dict("records")[0])

    linear = ["cell.nonlinearity=identity", "init=orthogonal", "record.windows=all", "steps=1"]
    vanishing = said(*linear, "init.gain=0.5")
    assert vanishing.startswith(  # 0.5^10 is the first power below 1e-3
        "at step 1, the gradient vanishes: timesteps before 91 of 100 get less than a thousandth of what the last one "
        "gets (horizon 9); best error "
    )
    assert "chance 63.9%: worse than chance; update: " in vanishing
    carried = said(*linear)
    assert carried.startswith("at step 1, the gradient arrives: at timestep 1 its norm is 1 times that at timestep 100")
    copying = said("task=copy", "task.length=5", "steps=1")
    assert copying.startswith("reach unknown: the gradients of 25 losses add up (record.lags=true records them apart)")
    diverged = said(*linear, "init.gain=1.6")
    assert diverged.startswith("diverged at step 1: loss inf, gradient norm inf; at step 1, the gradient explodes: ")
    assert "update" not in diverged


@pytest.mark.parametrize(
    ("gain", "hidden", "length", "largest"),
    [
        (1.414, 64, 60, -0.136),
        (1.65, 64, 60, 0.010),
        (1.7, 64, 60, 0.080),
        (1.75, 64, 60, 0.109),
        (1.6, 32, 200, -0.206),
    ],
)
def test_exponents_of_relu_networks_are_the_published_corrections(tmp_path, gain, hidden, length, largest):
    """The tolerance covers the effect of another start of the product, or another direction, at so few timesteps."""
    options = ["cell.nonlinearity=relu", "init=gaussian", f"init.gain={gain}", f"task.length={length}", "record=none"]
    options += [f"model.hidden_size={hidden}", "probe.batches=1", f"results_dir={tmp_path}"]
    exponents = pd.read_csv(probe(compose(options)).folder / "lyapunov.csv")["exponent"]
    assert exponents[0] == pytest.approx(largest, abs=0.015)
    assert not exponents.isna().any()
    assert exponents.is_monotonic_decreasing
    assert np.isneginf(exponents).sum() > hidden / 2  # at each timestep about half of the units are inactive
    assert exponents[np.isfinite(exponents)].min() > -2  # no exponent is a rounding error


def test_unknown_values_of_a_probe_are_empty(tmp_path):
    """Relu states that overflow float64: no Jacobian is known there, and no product before it."""
    options = ["cell.nonlinearity=relu", "init=gaussian", "init.gain=1e9", "task.length=60", f"results_dir={tmp_path}"]
    result = probe(compose([*SMALL, *options]))
    assert result.status == "completed", result.error
    lyapunov = (result.folder / "lyapunov.csv").read_text().splitlines()
    assert lyapunov[1:] == [f"0,{index}," for index in range(1, 13)]
    assert all(line.endswith(",,,,,") for line in (result.folder / "jacobian.csv").read_text().splitlines()[2:])
    (found,) = read_runs(tmp_path / "default")
    (row,) = write_summary(tmp_path / "default")[0].to_dict("records")
    assert "largest Lyapunov exponent" not in [reading.name for reading in probe_readings(found, row)]


def test_the_horizon_of_a_known_gradient_does_not_depend_on_the_windows(tmp_path):
    """At a gain of 0.866 per timestep, 0.1 % of the gradient is left after 48 timesteps, at any spacing of lags."""
    options = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.866", "task.length=200", "probe.batches=1"]
    for windows, resolution in (("all", 1), ("2", 100)):
        config = compose([*SMALL[:3], *options, f"record.windows={windows}", f"results_dir={tmp_path / windows}"])
        (row,) = write_summary(probe(config).folder.parents[1])[0].to_dict("records")
        assert (row["horizon"], row["horizon_at_init"], row["horizon_resolution"]) == (48, 48, resolution)
