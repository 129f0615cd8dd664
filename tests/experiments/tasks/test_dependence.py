"""How far back data carry information: known series, the definition, and how often noise passes the bound."""

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from experiments.tasks.dependence import MOST_ROWS, dependence_by_lag
from experiments.tasks.series import Series
from experiments.tasks.text import Text


def generator(seed=0):
    return np.random.default_rng(seed)


def recursive(rows, weights, seed=0):
    """A series with y_t = sum of weights[k] y_(t-k) + noise."""
    past = np.zeros(max(weights) + 1)
    past[0] = 1
    for lag, weight in weights.items():
        past[lag] = -weight
    return lfilter([1.0], past, generator(seed).normal(size=rows + 1000))[1000:]


def forecast(series, timesteps=50, columns=("y",)):
    inputs = series.reshape(len(series), -1)
    return dependence_by_lag([(inputs[:-1], inputs[1:, :1])], columns, timesteps)


def found(rows):
    return [row.lag for row in rows if row.dependence > row.bound]


@pytest.mark.parametrize("weight", [0.5, 0.8])
def test_an_echo_30_rows_before_the_answer_is_found_at_lag_29(weight):
    assert max(found(forecast(recursive(6000, {1: weight, 30: 0.95 - weight})))) == 29


@pytest.mark.parametrize(
    "series",
    [
        recursive(3000, {1: 0.9}),
        recursive(3000, {1: 0.99}),
        generator().normal(size=3000).cumsum(),
        np.repeat(generator().normal(size=30), 100) + 0.01 * generator(1).normal(size=3000).cumsum(),
    ],
    ids=["ar 0.9", "ar 0.99", "random walk", "steps"],
)
def test_a_dependence_on_the_last_row_alone_is_not_read_as_a_long_one(series):
    assert found(forecast(series)) == [0]


def test_noise_a_trend_and_independent_slow_series_have_no_reach():
    noise, slow = generator().normal(size=3000), recursive(3000, {1: 0.95}, seed=1)
    assert found(forecast(noise)) == []
    assert found(forecast(np.arange(3000) + noise)) == []
    assert found(dependence_by_lag([(slow[:, None], recursive(3000, {1: 0.95}, 2)[:, None])], ["x"], 50)) == []
    assert found(forecast(np.ones(3000))) == []


def test_noise_without_structure_rarely_passes_the_bound():
    passed = [bool(found(forecast(generator(seed).standard_t(4, size=500), 20))) for seed in range(100)]
    assert sum(passed) <= 4  # 1 is expected


def test_the_square_is_the_share_that_a_lag_adds_to_a_regression_on_all_smaller_lags():
    lags, pieces = 15, []
    for seed, size in ((0, 700), (1, 460)):
        inputs = np.stack([recursive(size, {1: 0.7, 3: 0.2}, seed), recursive(size, {1: 0.5}, seed + 10)], axis=1)
        answers = inputs[:, :1] + np.roll(inputs[:, 1:], 4, axis=0) + generator(seed).normal(size=(size, 1))
        pieces.append((inputs, answers))
    rows = dependence_by_lag(pieces, ["a", "b"], 20)
    place = np.arange(700), np.arange(460)
    flat = [
        [values - np.stack([np.polyval(np.polyfit(t, v, 1), t) for v in values.T], axis=1) for values in piece]
        for t, piece in zip(place, pieces, strict=True)
    ]
    most = max(row.lag for row in rows) + 1
    answer = np.concatenate([y[most - 1 :, 0] for _, y in flat])

    def column(lag, which):
        return np.concatenate([x[most - 1 - lag : len(x) - lag, which] for x, _ in flat])

    def explained(columns):
        if not columns:
            return 0.0
        design = np.stack([column(*one) for one in columns], axis=1)
        left = answer - design @ np.linalg.lstsq(design, answer, rcond=None)[0]
        return 1 - (left @ left) / (answer @ answer)

    for row in rows[: 2 * lags]:
        smaller = [(lag, which) for lag in range(row.lag) for which in (0, 1)]
        added = explained([*smaller, (row.lag, "ab".index(row.column))]) - explained(smaller)
        assert row.dependence**2 == pytest.approx(added, abs=1e-6)
    assert max(found(rows)) == 4


def test_a_long_table_is_read_in_pieces_and_short_ones_give_few_lags_or_none():
    long = forecast(generator().normal(size=3 * MOST_ROWS))
    assert {row.rows for row in long} == {MOST_ROWS}
    assert len(forecast(generator().normal(size=150))) == 14
    assert forecast(generator().normal(size=8)) == []


def test_a_table_is_measured_in_its_training_part_alone(tmp_path):
    frame = pd.DataFrame({"a": recursive(1000, {1: 0.5, 10: 0.4}), "b,\nc": generator().normal(size=1000)})

    def measured(**changed):
        frame.assign(**changed).to_csv(tmp_path / "pump.csv", index=False)
        return Series(20, str(tmp_path / "pump.csv"), target="a").dependence()

    rows = measured()
    assert max(found(rows)) == 9
    assert {row.column for row in rows} == {"a", "b, c"}
    assert measured(a=frame["a"].where(frame.index < 800, 0)) == rows


def test_labels_and_groups_have_a_reach(tmp_path):
    parts = []
    for machine in range(3):
        a = generator(machine).normal(size=1000)
        state = np.where(np.roll(a, 12) + 0.3 * generator(9).normal(size=1000) > 0, "on", "off")
        parts.append(pd.DataFrame({"a": a, "state": state, "machine": machine}))
    pd.concat(parts).to_csv(tmp_path / "pump.csv", index=False)
    task = Series(20, str(tmp_path / "pump.csv"), label="state", group="machine", horizon=2)
    assert found(task.dependence()) == [10]


def test_a_text_reaches_as_far_as_its_characters_depend_on_earlier_ones(tmp_path):
    letters = generator().integers(0, 5, size=8000)
    echo, chain = letters.copy(), letters.copy()
    copied = generator(1).random(8000) < 0.5
    for i in range(30, 8000):
        echo[i] = echo[i - 30] if copied[i] else letters[i]
        chain[i] = (chain[i - 1] + 1) % 5 if copied[i] else letters[i]
    reaches = []
    for codes in (echo, chain, letters):
        (tmp_path / "notes.txt").write_text("".join(" e\n,中"[code] for code in codes), encoding="utf-8")
        rows = Text(40, str(tmp_path / "notes.txt")).dependence()
        assert {row.column for row in rows} == {"space", "e", "newline", "U+002C", "中"}
        reaches.append(sorted({*found(rows)}))
    assert reaches == [[29], [0], []]
