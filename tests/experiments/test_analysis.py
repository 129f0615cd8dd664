from pathlib import Path

import numpy as np
import pytest

from experiments.errors import UsageError
from experiments.profiles import Profile, gain_per_timestep, horizon
from experiments.study import Run, compared_keys, differing_keys, find_study


def profile(*norms, every=1):
    return Profile(np.arange(len(norms)) * every, np.array(norms, float))


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
    assert horizon(profile(1, 0.1, 0.01, 0.0011, 0.0009, 0), 6) == 3
    assert horizon(profile(1, 0.1, 0.01, every=10), 30) == 29
    assert horizon(profile(1, 1e-4, 1e-2, 1e-5), 4) == 2
    assert horizon(profile(1, 1e-4, np.inf, np.nan), 4) == 3  # what overflows has not vanished
    assert horizon(profile(1, 10, np.nan, 1e-9), 4) == 2
    assert horizon(profile(1, 1e-4, 1e-2, every=10), 30) == 29  # as far back as is seen
    assert horizon(profile(0, 1), 2) is None
    assert horizon(profile(), 2) is None


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
    with pytest.raises(UsageError, match="there is mine"):
        find_study("other", str(tmp_path))
    with pytest.raises(UsageError, match="run `bptt run`"):
        find_study("other", str(tmp_path / "nowhere"))
