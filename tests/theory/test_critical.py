"""init=critical: the gain at which mean-field theory predicts gradients that neither vanish nor explode."""

import json
from itertools import islice

import numpy as np
import pytest
import torch

from experiments.config.composing import compose
from experiments.config.parts import build, draft
from experiments.errors import UsageError
from experiments.tasks.digits import _split
from experiments.training.critical import critical_gain
from experiments.training.probe import probe
from experiments.training.run import run
from experiments.training.seeding import generator_of
from experiments.training.theory import input_variances, mean_field_chi, predict
from models.jacobian import analyze, backward_step_jacobians


@pytest.mark.parametrize(
    ("variance", "gain"), [(0.0, 1.0), (0.01, 1.1934), (0.05, 1.32701), (0.1, 1.4093), (0.5, 1.6862), (1.0, 1.8556)]
)
def test_the_critical_gain_is_the_published_one(variance, gain):
    assert critical_gain(variance) == pytest.approx(gain, abs=1e-4)


@pytest.mark.parametrize("task", ["adding", "digits"])
def test_a_network_starts_where_chi_is_one_for_its_task(task):
    options = ["init=critical", f"task={task}", "model.hidden_size=400", "dtype=float64"]
    config = compose(options)
    parts = build(config)
    (cell,) = parts.network.cells
    x = parts.task.draw(1000, generator_of(3, "theory")).inputs.double()
    gain = cell.weight_hh.std().item() * 400**0.5
    assert mean_field_chi(gain, input_variances(cell, x).mean().item()) == pytest.approx(1, abs=0.02)
    single = build(compose([*options, "dtype=float32"])).network.cells[0].weight_hh
    torch.testing.assert_close(single.double(), cell.weight_hh, rtol=1e-5, atol=1e-8)


def test_checking_a_wide_network_draws_nothing():
    """The draft is on torch's meta device; the digits, which are read once for all runs, must not be."""
    _split.cache_clear()
    drafted = draft(compose(["init=critical", "task=digits", "model.hidden_size=3000"]))
    assert drafted.network.cells[0].weight_hh.is_meta
    with torch.device("meta"):
        assert _split()[0].device.type == "cpu"


def test_the_theory_of_a_run_is_a_gain_of_one_where_the_input_variance_is_steady(tmp_path):
    options = ["init=critical", "steps=1", "task.length=20", "record.evaluate_samples=2"]
    config = compose([*options, f"results_dir={tmp_path}"])
    for result in (run(config), probe(config)):
        theory = json.loads((result.folder / "run.json").read_text())["theory"]
        assert (theory["gain"], theory["state"]) == (1.0, "h")
        assert theory["law"].startswith("chi = 1: init=critical")
    parts = build(config)
    x = parts.task.draw(32, generator_of(0, "theory")).inputs
    assert predict(config, parts.network.cells, torch.cat([x[:10], 10 * x[10:]])).gain is None
    assert predict(config, parts.network.cells, x, trained=True).gain is None


def test_a_critical_network_keeps_the_mean_square_of_its_gradient():
    logs = []
    for seed in range(3):
        parts = build(compose(["init=critical", "model.hidden_size=256", "dtype=float64", f"seed={seed}"]))
        (cell,) = parts.network.cells
        x = parts.task.draw(2, generator_of(0, "theory")).inputs[:40].double()
        jacobians = backward_step_jacobians(cell.unroll(x, cell.initial_state(2), [(1, 40)]))
        spectra, _ = analyze(islice(jacobians, 16), {16}, 0)
        logs += (spectra[0].log_mean_squared / 16).tolist()
    assert np.exp(np.mean(logs)) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["cell=gru"], "init=critical: is for tanh units; it needs cell=rnn with cell.nonlinearity=tanh"),
        (["cell.nonlinearity=relu"], "init=critical: is for tanh units; it needs cell=rnn with cell.nonlinearity=tanh"),
        (
            ["task=noise", "task.std=1e39"],
            "init=critical: some inputs of the task are nan, or larger than 1e19; it needs finite inputs",
        ),
        (["model.num_layers=2"], "init=critical: knows the input of the first layer only; it needs model.num_layers=1"),
    ],
)
def test_where_there_is_no_such_theory_it_says_so_and_writes_nothing(options, message, tmp_path):
    config = compose(["init=critical", *options, f"results_dir={tmp_path}"])
    for command in (run, probe):
        with pytest.raises(UsageError, match=f"^{message}$"):
            command(config)
    assert not list(tmp_path.iterdir())
