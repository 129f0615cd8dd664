"""Null versions of tables: they move measured values and labels, and what is computed from these follows."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.gain_and_horizon import gain_per_timestep, gradient_profiles
from experiments.analysis.run_tables import RunTables
from experiments.claims.claim import Claim
from experiments.claims.evaluation import evaluate_claims, evaluate_nulls
from experiments.claims.null import noise, shuffled
from experiments.claims.quantity import everywhere, over_seeds
from experiments.claims.tables import claims_table
from experiments.errors import UsageError
from experiments.store.studies import read_runs
from tests.experiments.claims.world import make_up

LABELS = ["cell", "cell.forget_bias"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_up("lstm_memory", tmp_path_factory.mktemp("made_up"))


@pytest.fixture(scope="module")
def tables(study):
    return RunTables(read_runs(study[0]))


@pytest.fixture
def draw(tables):
    return lambda null, number=0: null.draw(tables, np.random.default_rng(number))


def claim_of(measure, null):
    return Claim("mine", "I claim", "me", "this", measure, null=null)


def test_noise_has_the_values_of_the_column_in_another_order(tables, draw):
    before, after = tables["gradients"], draw(noise("gradients", "grad_norm"))["gradients"]
    assert (before["grad_norm"] != after["grad_norm"]).mean() > 0.9
    assert sorted(before["grad_norm"]) == sorted(after["grad_norm"])
    pd.testing.assert_frame_equal(before.drop(columns="grad_norm"), after.drop(columns="grad_norm"))


def test_values_that_are_missing_stay_where_they_are(tables, draw):
    """h has no gate of its own along which a gradient could flow."""
    before, after = tables["gradients"], draw(noise("gradients", "grad_norm_direct"))["gradients"]
    assert 0 < before["grad_norm_direct"].isna().sum() < len(before)
    assert before["grad_norm_direct"].isna().equals(after["grad_norm_direct"].isna())
    assert sorted(before["grad_norm_direct"].dropna()) == sorted(after["grad_norm_direct"].dropna())


def test_the_summary_follows_noise_in_what_it_is_computed_from(tables, draw):
    drawn = draw(noise("gradients", "grad_norm"))
    before, after = tables.summary, drawn.summary
    assert not after["gain_at_init"].equals(before["gain_at_init"])
    assert after["final_loss"].equals(before["final_loss"])
    gradients, of_state = drawn["gradients"], drawn["states"].set_index(["run_id", "state"])["gain_at_init"]
    for run, gain in after.set_index("run_id")["gain_at_init"].items():
        first, _ = gradient_profiles(gradients[gradients["run_id"] == run])
        assert gain_per_timestep(first) == gain == of_state[run, "h"]
    assert draw(noise("contributions", "share")).summary is tables.summary
    assert draw(noise("gates", "mean")).summary is tables.summary


def test_a_column_of_the_summary_can_be_noise_itself(tables, draw):
    summary = draw(noise("summary", "gain_at_init", "solved_at_step")).summary
    assert sorted(summary["gain_at_init"]) == sorted(tables.summary["gain_at_init"])
    assert not summary["gain_at_init"].equals(tables.summary["gain_at_init"])
    moved = tables.summary["gain_at_init"].map({gain: i for i, gain in enumerate(summary["gain_at_init"])})
    assert not summary["solved_at_step"].take(moved).equals(tables.summary["solved_at_step"])  # an order of its own


def test_the_kept_share_of_a_state_follows_noise_in_its_gate(tables):
    cell = {"states": ["h", "c"], "kept_by": {"c": "forget"}}
    runs = [replace(run, info={**run.info, "cell": cell}) for run in tables.runs if run.config["cell"] == "lstm"]
    gates = noise("gates", "mean").draw(RunTables(runs), np.random.default_rng(0))["gates"]
    forget = gates[gates["gate"] == "forget"]
    assert len(forget)
    assert forget["kept"].equals(forget["mean"])


def test_shuffled_keys_change_places_together_and_the_measured_values_stay(tables, draw):
    before, drawn = tables.summary, draw(shuffled(*LABELS))
    after = drawn.summary
    assert not before["cell"].equals(after["cell"])
    pd.testing.assert_frame_equal(before.drop(columns=LABELS), after.drop(columns=LABELS))
    pairs = [sorted(zip(table["cell"], table["cell.forget_bias"].fillna(-1), strict=True)) for table in (before, after)]
    assert pairs[0] == pairs[1]  # no rnn has a forget bias
    assert [run.config["cell"] for run in drawn.runs] == list(after["cell"])
    assert drawn["gradients"] is tables["gradients"]


def test_timesteps_goes_with_the_shuffled_length(tables, draw):
    summary = draw(shuffled("task.length")).summary
    assert not summary["timesteps"].equals(tables.summary["timesteps"])
    assert (summary["timesteps"] == summary["task.length"]).all()
    assert draw(shuffled("cell")).summary["timesteps"].equals(tables.summary["timesteps"])


def test_a_label_that_stands_in_another_table_is_that_of_its_run(tmp_path):
    tables = RunTables(read_runs(make_up("exploding", tmp_path)[0]))
    drawn = shuffled("clip", "clip.threshold").draw(tables, np.random.default_rng(0))
    labels = drawn["metrics"].groupby("run_id", sort=False, observed=True)[["clip", "clip.threshold"]].first()
    assert labels["clip"].tolist() == drawn.summary["clip"].tolist()
    assert labels["clip.threshold"].equals(drawn.summary.set_index("run_id")["clip.threshold"])
    assert not drawn.summary["clip"].equals(tables.summary["clip"])


def test_a_draw_leaves_the_tables_alone_and_comes_again(tables, draw):
    before = tables["gradients"].copy()
    null = noise("gradients", "grad_norm")
    one, same, other = (draw(null, number)["gradients"] for number in (0, 0, 1))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)
    pd.testing.assert_frame_equal(tables["gradients"], before)


@pytest.mark.parametrize(
    ("null", "message"),
    [
        (noise("gradients", "grad_nrom"), "gradients has no column grad_nrom; it has step, layer"),
        (shuffled("cel"), "cel shuffled: no run of the study has a key cel"),
    ],
)
def test_what_the_tables_lack_is_named(draw, null, message):
    with pytest.raises(UsageError, match=message):
        draw(null)


def test_a_table_that_no_run_has_cannot_be_noise(tables, draw):
    assert draw(noise("jacobian", "mean_squared_sv")) is tables


def test_a_claim_that_cannot_fail_holds_on_every_draw_and_the_fault_is_named(study):
    def idle(tables):
        yield everywhere("norm", tables["gradients"]["grad_norm"], at_least=0)

    nulls = (noise("gradients", "grad_norm"), shuffled("cell"))
    (one,) = evaluate_claims(*study, [claim_of(idle, nulls)])
    assert [str(null) for null in one.nulls] == ["10 of 10", "10 of 10"]
    assert one.fault == (
        "mine holds on its null, too, so it cannot fail (noise in gradients.grad_norm: 10 of 10 draws; "
        "cell shuffled: 10 of 10 draws)"
    )
    row = claims_table([one]).iloc[0]
    assert row["null"] == "noise in gradients.grad_norm; cell shuffled"
    assert row["null_holds"] == "10 of 10; 10 of 10"


def test_a_null_may_leave_nothing_to_measure(study):
    """Logarithms of nothing and means of nothing warn nobody; the claim does not hold there."""

    def of_one_cell(tables):
        summary = tables.summary
        assert np.log(np.zeros(1)) == -np.inf
        yield over_seeds("gain", summary.loc[summary["cell"] == "none of these", "gain_at_init"], at_least=0)

    tables = RunTables(read_runs(study[0]))
    assert [str(null) for (null,) in evaluate_nulls(tables, [claim_of(of_one_cell, shuffled("cell"))], 3)] == ["0 of 3"]


def test_a_draw_on_which_a_claim_cannot_be_measured_does_not_count(study):
    """Noise may bring a norm of 0 where a claim takes a logarithm."""
    first_rows = []

    def logarithm(tables):
        first_rows.append(tables["gradients"]["grad_norm"].iloc[0])
        yield everywhere("logarithm", [math.log(first_rows[-1] - 0.05)], at_most=-100)

    (one,) = evaluate_claims(*study, [claim_of(logarithm, noise("gradients", "grad_norm"))])
    (null,) = one.nulls
    positive = sum(value > 0.05 for value in first_rows[1:])
    assert (null.holds, null.draws) == (0, positive)
    assert 0 < positive < len(first_rows) - 1
    assert one.fault == ""

    tables = RunTables(read_runs(study[0]))

    def nothing(tables):
        return [everywhere("quotient", [1 // 0], at_least=0)]

    ((outcome,),) = evaluate_nulls(tables, [claim_of(nothing, shuffled("cell"))], 3)
    assert str(outcome) == "0 of 0"
    never = one._replace(nulls=(outcome,))
    assert never.fault == "mine could not be measured on any draw of its null (cell shuffled); give it another NULL"


def test_a_claim_without_a_null_says_nothing_of_it(study):
    (one,) = evaluate_claims(*study, [claim_of(lambda tables: [everywhere("x", [1], at_least=0)], ())])
    assert (one.nulls, one.fault) == ((), "")
    assert list(claims_table([one])[["null", "null_holds"]].iloc[0]) == ["", ""]
    (without_runs,) = evaluate_claims(Path(study[0]), [], [claim_of(lambda tables: [], shuffled("cell"))])
    assert without_runs.nulls == ()
