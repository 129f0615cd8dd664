from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.gain_and_horizon import Profile, arriving, gain_per_timestep, horizon, overflow_lag
from experiments.analysis.summary import FLOW, NORMS, summarize_runs
from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.store.config_keys import compared_keys, differing_keys
from experiments.store.studies import Run, find_study, read_runs
from experiments.training.probe import probe


def profile(*norms, every=1):
    return Profile.of(np.arange(len(norms)) * every, norms)


def test_the_gain_is_the_slope_a_timestep_whatever_the_windows():
    for every in (1, 10):
        lags = np.arange(6) * every
        assert gain_per_timestep(profile(*(3 * 0.8**lags), every=every)) == pytest.approx(0.8, rel=1e-12)
        assert gain_per_timestep(profile(*(3 * 1.2**lags), every=every)) == pytest.approx(1.2, rel=1e-12)


def test_the_gain_of_what_underflows_or_overflows_is_that_of_the_part_before():
    assert gain_per_timestep(profile(1, 0.5, 0.25, 0, 0)) == pytest.approx(0.5)
    assert gain_per_timestep(profile(1, 2, 4, np.inf)) == pytest.approx(2)
    assert gain_per_timestep(profile(1, 2, np.nan, 8)) == pytest.approx(2)


@pytest.mark.parametrize("norms", [(), (1.0,), (0.0, 1.0, 2.0), (np.nan, 1.0), (1.0, 0.0)])
def test_a_gain_that_cannot_be_had_is_none(norms):
    assert gain_per_timestep(profile(*norms)) is None


def test_the_horizon_is_the_largest_lag_with_a_thousandth_left():
    assert horizon(profile(1, 0.1, 0.01, 0.0011, 0.0009, 0), 6).lag == 3
    assert horizon(profile(1, 0.1, 0.01, every=10), 30).lag == 29
    assert horizon(profile(1, 1e-4, 1e-2, 1e-5), 4).lag == 2
    assert horizon(profile(1, 1e-4, np.inf, np.inf), 4).lag == 3  # what overflows has not vanished
    assert horizon(profile(1, 1e-4, 1e-2, every=10), 30).lag == 29  # as far back as is seen
    for unknown in (profile(), profile(1), profile(0, 1), profile(np.nan, 1), profile(1, 10, np.nan, 1e-9)):
        assert horizon(unknown, 2) == (None, None)


@pytest.mark.parametrize("norms", [(1, np.nan, np.inf), (1, np.inf, np.nan), (1, np.nan, 1e-9), (1, 0, np.nan)])
def test_with_a_norm_that_is_nan_neither_the_horizon_nor_what_arrives_is_known(norms):
    assert horizon(profile(*norms), 3) == (None, None)
    assert arriving(profile(*norms)) is None


@pytest.mark.parametrize("every", [1, 7, 40, 200])
@pytest.mark.parametrize("gain", [0.577, 0.866, 0.99])
def test_the_horizon_of_a_straight_line_does_not_depend_on_the_windows(every, gain):
    lags = np.arange(0, 2000, every)
    found = horizon(Profile.of_logs(lags, lags * np.log(gain)), 2000)
    assert found == (int(np.log(1000) / -np.log(gain)), every)


def test_the_horizon_lies_between_the_recorded_lags_around_it():
    """However the norm falls between them: no lag that was recorded as held or as fallen is contradicted."""
    draws = np.random.default_rng(0)
    for _ in range(200):
        norms = 10 ** draws.uniform(-5, 1, size=6)
        every, fallen = int(draws.integers(1, 30)), norms < 1e-3 * norms[0]
        found = horizon(profile(*norms, every=every), 6 * every)
        if fallen[-1]:
            held = np.flatnonzero(~fallen).max() * every
            assert held <= found.lag < held + every == held + found.resolution
        else:
            assert found == (6 * every - 1, every)


def test_a_norm_of_zero_bounds_the_horizon_from_above():
    lags = np.arange(0, 2000, 200)
    flushed = profile(*np.where(0.577**lags < np.finfo(np.float32).tiny, 0, 0.577**lags), every=200)
    assert horizon(flushed, 2000) == (15, 200)  # 12 with every timestep recorded, which nobody can know here
    assert horizon(flushed, 2000, smallest=1e-300) == (2, 200)
    assert horizon(profile(1e-42, 0, every=200), 400).lag < 200


def test_a_last_digit_does_not_decide_the_horizon():
    assert horizon(profile(1, 1e-3 * (1 - 1e-8), 1e-4), 3) == horizon(profile(1, 1e-3 * (1 + 1e-8), 1e-4), 3) == (1, 1)


def test_what_arrives_is_the_norm_at_the_earliest_recorded_timestep():
    assert arriving(profile(2, 1, 0.5)) == pytest.approx(0.25)
    assert arriving(profile(2, 1, 0)) == 0
    assert arriving(profile(1, 2, np.inf, np.inf)) == np.inf
    assert arriving(Profile.of_logs([0, 1], [0, 1e4])) == np.inf
    for unknown in (profile(1), profile(0, 1), profile(1, np.nan), profile(np.inf, 1)):
        assert arriving(unknown) is None


def test_an_overflow_is_placed_only_where_it_was_seen_to_happen():
    assert overflow_lag(profile(1, 2, np.inf, np.nan, every=10)) == 20
    for nowhere in (profile(1, 2), profile(np.inf, np.inf), profile(1, np.nan, np.inf), profile()):
        assert overflow_lag(nowhere) is None


def runs(*configs):
    return [Run(Path(f"run{i}"), config, {}) for i, config in enumerate(configs)]


def test_keys_that_follow_a_choice_tell_no_runs_apart():
    found = runs(
        {"study": "s", "cell": "rnn", "clip": "none", "seed": 0, "cell.nonlinearity": "tanh"},
        {"study": "s", "cell": "lstm", "clip": "norm", "seed": 1, "cell.forget_bias": 1.0, "clip.threshold": 1.0},
    )
    assert differing_keys(found) == ["cell", "clip", "seed"]
    assert compared_keys(found) == ["cell", "clip"]
    found += runs(
        {"study": "s", "cell": "lstm", "clip": "norm", "seed": 1, "cell.forget_bias": 1.0, "clip.threshold": 5.0}
    )
    assert compared_keys(found) == ["cell", "clip", "clip.threshold"]


def test_a_study_is_found_by_name_or_path(tmp_path):
    (tmp_path / "mine" / "runs").mkdir(parents=True)
    assert find_study("mine", str(tmp_path)) == tmp_path / "mine"
    assert find_study(str(tmp_path / "mine"), "elsewhere") == tmp_path / "mine"
    with pytest.raises(UsageError, match="choose from mine"):
        find_study("other", str(tmp_path))
    with pytest.raises(UsageError, match="run `bptt sweep`"):
        find_study("other", str(tmp_path / "nowhere"))


def test_a_task_with_a_loss_at_every_timestep_has_no_gain_and_no_horizon(make_run):
    small = ["task=copy", "task.length=5", "model.hidden_size=4", "steps=2", "cell=lstm"]
    copying = make_run(*small)
    summary, states = summarize_runs([copying])
    assert copying.info["readout_steps"] > 1
    assert summary[[*FLOW]].isna().all(axis=None)
    assert states[[*FLOW]].isna().all(axis=None)
    assert states["state"].tolist() == ["c", "h"]
    probed = probe(compose([*small, "probe.batches=1", "probe.samples=1", f"results_dir={copying.folder.parents[2]}"]))
    run = next(run for run in read_runs(probed.folder.parents[1]) if run.is_probe)
    (row,) = summarize_runs([run])[0].to_dict("records")
    assert row["gain_at_init"] is row["horizon_at_init"] is row["arriving_at_init"] is None
    assert row["gain_per_timestep"] < 1  # of ds_T/ds_t, in which there is no loss


def test_the_norms_are_quantiles_that_steps_had(tmp_path):
    norms = [*range(1, 100), np.inf, np.nan]
    pd.DataFrame({"step": range(1, 102), "loss": 1, "grad_norm": norms, "clip_scale": [0.5] * 25 + [1] * 76}).assign(
        clipped_grad_norm=1, lr=1
    ).to_csv(tmp_path / "metrics.csv", index=False)
    run = Run(tmp_path, {}, {"status": "diverged", "timesteps": 1, "readout_steps": 1, "parameters": 1})
    (row,) = summarize_runs([run])[0].to_dict("records")
    assert [row[name] for name in NORMS] == [50, 90, 99, np.inf]
    assert row["clipped_fraction"] == 25 / 101
