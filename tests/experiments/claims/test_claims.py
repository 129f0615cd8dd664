"""Every claim can fail: it holds on data as published, but neither on doctored data nor on its own null."""

from functools import cache

import matplotlib as mpl
import pandas as pd
import pytest

from experiments.catalogue.choices import claims_of_studies
from experiments.claims.claim import NAMES, read_claim
from experiments.claims.evaluation import evaluate_claims
from experiments.drawing.style import settings
from experiments.reports import claims_report as claims_page
from tests.experiments.claims.world import make_up

STUDIES = claims_of_studies()

DOCTORED = {
    "contributions_add_up": lambda config, facts: {"sum": 1 + 1e-6},
    "earlier_steps_contribute": lambda config, facts: {"last_share": 1.0},
    "size_stays": lambda config, facts: {"parameters": 10 * config.task["length"]},
    "time_grows_linearly": lambda config, facts: {"power": 0.3},
    "gradient_shrinks": lambda config, facts: {"gain": 1.02},
    "length_follows_horizon": lambda config, facts: {"solved_at": 400 if config.init.get("gain") == 0.6 else None},
    "beyond_reach": lambda config, facts: {"solved_at": 400},
    "gradient_grows": lambda config, facts: {"gain": 0.9},
    "training_jumps": lambda config, facts: {"leap": 2.0},
    "clipping_prevents": lambda config, facts: {"leap": 1e6},
    "clipped_learns": lambda config, facts: {"solved_at": 400},
    "half_to_ten_times": lambda config, facts: {"leap": 1e6},
    "lstm_learns_longer": lambda config, facts: {"solved_at": 600},
    "cell_state_carries": lambda config, facts: {"trained_through_h": 1.1},
    "default_lstm_forgets": lambda config, facts: {"gain": 0.99},
    "forget_bias_helps": lambda config, facts: {"solved_at": 600},
    "forget_gate_is_gain": lambda config, facts: {"forget": 0.7 * facts["forget"]},
    "forget_gate_alone": lambda config, facts: {"trained_forget": 0.6},
    "gates_close": lambda config, facts: {"closing": 0.0},
    "gru_forgets_at_first": lambda config, facts: {"gain": 0.95},
    "gru_learns_longer": lambda config, facts: {"solved_at": None},
    "gru_as_fast_as_lstm": lambda config, facts: {"solved_at": 1200 if config.cell["name"] == "gru" else 300},
    "gru_explodes_later": lambda config, facts: {"gain": 1.5},
}


EXACT = ("contributions_add_up", "size_stays")
"""Claims that need only one seed."""


def study_of(claim):
    return next(study for study, claims in STUDIES.items() if claim in claims)


def held_against(claim, study, ids):
    (one,) = evaluate_claims(study, ids, [read_claim(claim)], null_draws=0)
    return one


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The studies as published, each written when it is first asked for."""
    folder = tmp_path_factory.mktemp("published")
    return cache(lambda study: make_up(study, folder))


def together(study, ids, null_draws=0):
    """All claims of a study, evaluated on these runs, by their names."""
    claims = [read_claim(claim) for claim in STUDIES[study.name]]
    return {one.claim.name: one for one in evaluate_claims(study, ids, claims, null_draws)}


@pytest.fixture(scope="module")
def evaluated(published):
    """Evaluates a claim on its study as published, and on draws of its null."""
    of_study = cache(lambda study: together(*published(study), null_draws=5))
    return lambda claim: of_study(study_of(claim))[claim]


@pytest.fixture(scope="module")
def of_two_seeds(published):
    """Evaluates a claim on the runs of two seeds."""

    @cache
    def of_study(study):
        folder, seeds = published(study)
        few = sorted(set(seeds.values()))[:2]
        return together(folder, [run for run, seed in seeds.items() if seed in few])

    return lambda claim: of_study(study_of(claim))[claim]


def test_every_claim_has_a_study_and_every_study_its_claims():
    assert set(NAMES) == {claim for claims in STUDIES.values() for claim in claims} == set(DOCTORED)
    assert len(STUDIES) == 7


@pytest.mark.parametrize("claim", DOCTORED)
def test_a_claim_holds_where_the_data_are_as_published(claim, evaluated):
    one = evaluated(claim)
    assert one.verdict == "holds", one.quantities


@pytest.mark.parametrize("claim", DOCTORED)
def test_a_claim_does_not_hold_where_they_are_doctored(claim, tmp_path):
    one = held_against(claim, *make_up(study_of(claim), tmp_path, DOCTORED[claim]))
    assert one.verdict == "does not hold here", one.quantities


FURTHER = [
    ("earlier_steps_contribute", {"last_share": 0.01}, "share of the earlier timesteps"),
    ("earlier_steps_contribute", {"follows": False}, "rank correlation"),
    ("time_grows_linearly", {"power": 1.2}, "power of the length"),
    ("time_grows_linearly", {"batch_power": 1.0}, "side by side"),
    ("forget_gate_alone", {"trained_through_h": 1.1, "through_h": 1.1}, "gain along c alone"),
    ("gates_close", {"trained_output": 0.2}, "output gate, at T"),
]
"""Claims with several quantities, what is changed, and the quantity that it refutes."""


@pytest.mark.parametrize(("claim", "changed", "what"), FURTHER)
def test_each_quantity_of_a_claim_can_refute_it(claim, changed, what, tmp_path):
    one = held_against(claim, *make_up(study_of(claim), tmp_path, lambda config, facts: changed))
    refuted = [quantity.what for quantity in one.quantities if quantity.verdict == "does not hold here"]
    assert refuted
    assert all(what in quantity for quantity in refuted)


@pytest.mark.parametrize("claim", NAMES)
def test_a_claim_names_the_observation_that_would_refute_it(claim):
    assert read_claim(claim).refuted_by


@pytest.mark.parametrize("claim", NAMES)
def test_a_claim_holds_on_no_draw_of_its_null(claim, evaluated):
    """The null takes out of the published data what the claim is about, by the claim's own NULL."""
    one = evaluated(claim)
    assert one.nulls, "a claim of ours needs a NULL"
    assert [(null.holds, null.draws) for null in one.nulls] == [(0, 5)] * len(one.nulls), one.fault


def test_what_flows_back_through_h_is_told_from_what_a_mean_gate_hides(tmp_path):
    """Two networks with a gain of 1.1 forget gates: one uses paths through h, in the other the units differ."""
    ratios = {}
    for name, doctored in (("paths", {"through_h": 1.1}), ("units", {})):
        facts = {"gain": 0.8, "forget": 0.8 / 1.1, "trained_gain": 0.8, "trained_forget": 0.8 / 1.1} | doctored
        one = held_against("forget_gate_alone", *make_up("gates", tmp_path / name, lambda *_, f=facts: f))
        ratios[name] = {quantity.what.removeprefix("before training: "): quantity.middle for quantity in one.quantities}
    for name, along, through in (("paths", 1.0, 1.1), ("units", 1.1, 1.0)):
        assert ratios[name]["gain of c over forget gate"] == pytest.approx(1.1)
        assert ratios[name]["gain along c alone over forget gate"] == pytest.approx(along)
        assert ratios[name]["gain of c over gain along c alone"] == pytest.approx(through)


def test_runs_older_than_the_gradient_along_c_leave_its_quantities_undecided(tmp_path):
    study, seeds = make_up("gates", tmp_path)
    for path in study.glob("runs/*/gradients.csv"):
        pd.read_csv(path).drop(columns="grad_norm_direct").to_csv(path, index=False)
    one = held_against("forget_gate_alone", study, seeds)
    assert one.verdict == "undecided"
    assert {quantity.measured for quantity in one.quantities if "along c alone" in quantity.what} == {"not measured"}
    assert "not measured" not in {quantity.measured for quantity in one.quantities if "alone" not in quantity.what}


@pytest.mark.parametrize("claim", [name for name in DOCTORED if name not in EXACT])
def test_with_few_seeds_nothing_is_decided(claim, of_two_seeds):
    one = of_two_seeds(claim)
    assert one.runs
    assert one.verdict == "undecided", one.quantities


def test_without_runs_nothing_is_decided(published):
    study, _ = published("gates")
    one = held_against("gates_close", study, [])
    assert (one.verdict, one.quantities, one.runs) == ("undecided", [], [])


def figure_of(claim, evaluated):
    with mpl.rc_context(settings()):
        figure = claims_page._figure(evaluated(claim))
    assert figure is not None
    return figure


def labels(ax):
    return {line.get_label() for line in ax.get_lines() if not line.get_label().startswith("_")}


def test_the_figure_of_a_claim_shows_what_it_is_about(evaluated):
    """Jumps are of the loss; growth rises; size is against length; two cells are compared."""
    assert figure_of("training_jumps", evaluated).axes[0].get_ylabel() == "training loss"

    (before,) = figure_of("gradient_grows", evaluated).axes
    (line,) = (line for line in before.get_lines() if line.get_label() == "2")
    assert (line.get_ydata()[1:] > line.get_ydata()[:-1]).all()

    (size,) = figure_of("size_stays", evaluated).axes
    assert (size.get_xlabel(), size.get_ylabel()) == ("task.length", "parameters")
    (time,) = figure_of("time_grows_linearly", evaluated).axes
    assert "step" in time.get_ylabel()

    lines = {label for ax in figure_of("lstm_learns_longer", evaluated).axes for label in labels(ax)}
    assert {label.split(",")[0] for label in lines} == {"rnn", "lstm", "chance"}
