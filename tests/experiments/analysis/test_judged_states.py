"""The table of runs shows the gain and the horizon of the state that the findings name."""

import re
from itertools import product

import pytest

from experiments.analysis.configuration_findings import describe_configurations
from experiments.analysis.findings import describe_run
from experiments.analysis.judged_states import with_judged_states
from experiments.analysis.summary import summarize_runs

FAST, SLOW = ([factor**lag for lag in range(0, 100, 10)] for factor in (0.5, 0.95))


@pytest.fixture
def runs(write):
    """Two seeds of a cell whose s carries the gradient, a cell with h alone, and one whose h carries it."""
    return [
        write("scrn", 0, states={"h": (FAST, FAST), "s": (SLOW, SLOW)}),
        write("rnn", states={"h": (FAST, SLOW)}),
        write("scrn", 1, states={"h": (FAST, SLOW), "s": (SLOW, FAST)}),
        write("lstm", states={"h": (FAST, SLOW), "c": (SLOW, FAST)}),
    ]


def test_the_numbers_are_those_of_the_states_that_findings_judge(runs):
    chosen = [runs[0], *runs[1:2], runs[3]]
    summary, states = summarize_runs(chosen)
    judged = with_judged_states(chosen, summary, states)
    assert judged["state"].tolist() == ["s", "h", "c before, h after"]
    assert judged["gain_per_timestep"].tolist() == pytest.approx([0.95, 0.95, 0.95])
    assert judged["gain_at_init"].tolist() == pytest.approx([0.95, 0.5, 0.95])
    assert judged["horizon"].tolist() == [99, 99, 99]
    assert summary["horizon"].tolist() == [9, 99, 99], "summary.csv keeps the numbers of h"
    assert "gradient of the state s" in describe_run(chosen[0], summary.iloc[0].to_dict())
    for name, sentence in describe_configurations(chosen, summary, states).items():
        named = re.search("at step 51, the gradient of the state ([a-z])", sentence)
        assert (named[1] if named else "h") == {"cell = scrn": "s"}.get(name, "h")


def test_all_seeds_of_a_configuration_show_the_same_state(runs):
    scrn = [runs[0], runs[2]]
    summary, states = summarize_runs(scrn)
    judged = with_judged_states(scrn, summary, states)
    assert judged["state"].tolist() == ["s before, h after"] * 2, (
        "in the median, s reaches no farther than h at the last"
    )
    assert judged["gain_at_init"].tolist() == pytest.approx([0.95, 0.95])
    assert judged["horizon"].tolist() == summary["horizon"].tolist()


@pytest.mark.parametrize("names", [("h",), ("h", "z"), ("h", "c", "n")])
def test_table_and_finding_name_the_same_state_before_training_and_after(write, names):
    """For each pair of states that carry the gradient first and last, such as h and then z of lem or cornn."""
    pairs = list(product(names, names))
    runs = [
        write(f"cell{number}", states={name: [FAST if name != one else SLOW for one in pair] for name in names})
        for number, pair in enumerate(pairs)
    ]
    summary, states = summarize_runs(runs)
    judged = with_judged_states(runs, summary, states)
    assert judged["gain_at_init"].tolist() == judged["gain_per_timestep"].tolist() == pytest.approx([0.95] * len(pairs))
    assert judged["horizon_at_init"].tolist() == judged["horizon"].tolist() == [99] * len(pairs)
    sentences = describe_configurations(runs, summary, states).values()
    for pair, state, sentence in zip(pairs, judged["state"].fillna("h"), sentences, strict=True):
        found = re.findall("(before training|at step 51), the gradient(?: of the state ([a-z]))? shrinks", sentence)
        assert tuple(name or "h" for _, name in found) == pair
        assert state == (pair[0] if len(set(pair)) == 1 else "{} before, {} after".format(*pair))
