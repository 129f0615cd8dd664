"""The findings of configurations: what runs that differ only in their seed say together, in words."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.analysis.advice import say_watched_clipping
from experiments.analysis.advice_over_runs import (
    say_cut_of_all,
    say_data_of_all,
    say_remedy_of_all,
    say_scale_of_all,
    say_spikes_of_all,
    say_threshold_of_all,
)
from experiments.analysis.findings import (
    MIN_STEPS,
    against_chance,
    cut_by,
    evaluations_of,
    gradient_of,
    kind_of_network,
    losses_averaged,
    norm_with_penalty,
    quantiles,
    recorded_every,
    say_too_small,
    say_truncated,
    spread,
)
from experiments.analysis.gain_and_horizon import fate_of
from experiments.analysis.judged_states import Flows, configurations, flows_of_states, judged_state, kind_of
from experiments.analysis.nonfinite_findings import say_nonfinite_of_all
from experiments.analysis.single_losses import average_over_losses, has_several_losses
from experiments.analysis.summary import FLOW, NORMS, reachable, summarize_runs
from experiments.analysis.watched_runs import is_watched, losses_add_up
from experiments.store.combined_tables import read_combined_table
from experiments.store.config_keys import compared_keys, format_value
from experiments.store.studies import Run
from experiments.wording import percent


def describe_configurations(runs: Sequence[Run], summary: pd.DataFrame, states: pd.DataFrame) -> dict[str, str]:
    """Describe each configuration: all of its runs together, which differ only in their seed.

    Args:
        runs: Runs of a study.
        summary: Their rows of summary.csv, in the same order.
        states: Rows of states.csv.

    Returns:
        The findings by the keys that tell the configurations apart, in the order of their values.
    """
    numbers = [*FLOW, *NORMS, "clipped_fraction", "underflow_at_init", "underflow"]
    summary = summary.astype(dict.fromkeys(numbers, float))
    flows = flows_of_states(runs, summary, states)
    with_losses = [run for run in runs if has_several_losses(run) and not run.is_probe]
    averaged = average_over_losses(read_combined_table(with_losses, "lags", ends=True))
    keys = compared_keys(runs) or ["cell"]
    found = {}
    for rows in configurations(runs):
        kind = kind_of(runs[rows[0]])
        name = ", ".join(f"{key} = {format_value(runs[rows[0]].config.get(key))}" for key in keys)
        of_rows = {state: flow.iloc[rows] for state, flow in flows.items()}
        of_group = [runs[i] for i in rows]
        losses = averaged[averaged["run_id"].isin([run.id for run in of_group])] if len(averaged) else averaged
        sentence = _describe(of_group, summary.iloc[rows], of_rows, losses)
        found[f"{name} ({kind})" if kind else name] = sentence
    return found


def describe_best_trial(trials: Sequence[Run], best: Run) -> str:
    """Compare the best error of a search's best trial with chance, as the smallest of all errors that the search saw.

    Args:
        trials: All runs of the search.
        best: Run that the search chose.
    """
    (outcome,) = summarize_runs([best])[0].to_dict("records")
    if outcome["best_error"] is None:
        return ""
    tries = sum(map(evaluations_of, trials))
    verdict = against_chance(outcome["best_error"], outcome["chance_error"], outcome["evaluation_samples"], tries)
    errors = f"best error {outcome['best_error']:.1%}, chance {percent(outcome['chance_error'])}"
    return f"{errors}: {verdict}, as the smallest of {tries} errors"


def _describe(runs: Sequence[Run], summary: pd.DataFrame, flows: Flows, averaged: pd.DataFrame) -> str:
    """Describe runs that differ only in their seed: medians, and in brackets the smallest and the largest value.

    Args:
        runs: Runs of one configuration.
        summary: Their rows of summary.csv.
        flows: How the gradient of each state flows back in these runs.
        averaged: Their rows of `average_over_losses`, for a task with a loss at several timesteps.
    """
    sentences = [
        say_truncated(runs[0]),
        _gradient_flow(runs, summary, flows, averaged),
        say_cut_of_all(runs),
        _underflow(runs, summary),
        say_data_of_all(runs),
        _errors(runs, summary),
        say_nonfinite_of_all(runs, summary["nonfinite_steps"].tolist()),
        _norms_of_all(runs, summary),
        say_spikes_of_all(runs),
        say_threshold_of_all(runs),
        say_remedy_of_all(runs, summary),
    ]
    for reason, count in Counter(run.info["stopped"] for run in runs if run.info.get("stopped")).items():
        stopped = f"stopped early: {reason}"
        sentences.append(f"{count} of {len(runs)} runs {stopped}" if len(runs) > 1 else stopped)
    for status in ("diverged", "failed", "interrupted", "running"):
        if count := int((summary["status"] == status).sum()):
            sentences.append(f"{count} of {len(runs)} runs {status}" if len(runs) > 1 else status)
    found = "; ".join(filter(None, sentences)) or "no gradient and no error was recorded"
    return f"medians (ranges) over {_count(runs)}; {found}" if len(runs) > 1 else found


def _count(runs: Sequence[Run]) -> str:
    seeds = {run.config.get("seed") for run in runs}
    return f"{len(runs)} {'seeds' if len(seeds) == len(runs) else 'runs'}"


def _gradient_flow(runs: Sequence[Run], summary: pd.DataFrame, flows: Flows, averaged: pd.DataFrame) -> str:
    """Say how the gradient flows back before training and after it; for probes, what the Jacobians say."""
    if runs[0].is_probe:
        return _flow_at(kind_of_network(runs[0]), "", runs, flows, averaged)
    if has_several_losses(runs[0]) and averaged.empty:
        return losses_add_up(runs[0])
    steps = {run.config.get("steps") for run in runs}
    completed = (summary["status"] == "completed").all() and not any(run.info.get("stopped") for run in runs)
    ended = len(steps) == 1 and completed
    last = f"at step {next(iter(steps))}" if ended else "at the last recorded step"
    first = "before training"
    if all(map(is_watched, runs)):  # such a loop may train a network further, and its last step need not be recorded
        recorded = {int(run.table("gradients")["step"].max()) for run in runs if len(run.table("gradients"))}
        first, last = "at step 1", f"at step {recorded.pop()}" if len(recorded) == 1 else "at the last recorded step"
    before = _flow_at(first, "_at_init", runs, flows, averaged)
    after = "" if steps == {1} else _flow_at(last, "", runs, flows, averaged)
    return "; ".join(filter(None, [before, after]))


def _underflow(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """Say what share of the gradient's entries was too small for the dtype, before training and after it."""
    shares = summary[["underflow_at_init", "underflow"]].dropna().to_numpy(float)
    if not shares.any():
        return ""
    before, after = (spread(100 * column, "{:.3g}%") if column.any() else "none" for column in shares.T)
    if runs[0].is_probe or {run.config.get("steps") for run in runs} == {1}:
        return say_too_small(runs[0], f"{before} of the gradient's entries")
    both = f"{before} of the gradient's entries before training and {after} at the last recorded step"
    return say_too_small(runs[0], both)


def _flow_at(when: str, at: str, runs: Sequence[Run], flows: Flows, averaged: pd.DataFrame) -> str:
    """Say how the gradient flows back at one recorded step, in the state with the largest median horizon.

    Args:
        when: That step in words; for a probe, which network it looked at.
        at: Suffix of the columns, '_at_init' or ''.
        runs: Runs of one configuration.
        flows: How the gradient of each state flows back in these runs.
        averaged: Their rows of `average_over_losses`, for a task with a loss at several timesteps.
    """
    gain = "gain_at_init" if at else "gain_per_timestep"
    columns = [f"horizon{at}", f"arriving{at}", gain, "horizon_resolution"]
    state = judged_state(flows, at)
    flow = flows[state][columns].to_numpy()
    horizons, left, gains, apart = flow[~np.isnan(flow[:, 1])].T
    if not len(left):
        return ""
    length = max(run.info["timesteps"] for run in runs)
    within = length if runs[0].is_probe else max(map(reachable, runs))
    # The norm beyond a cut is 0, which says nothing about how the gradient came to it.
    fates = [
        "is cut" if within < length and not reach < within - 1 else fate_of(reach, there, length)
        for reach, there in zip(horizons, left, strict=True)
    ]
    what = "ds_T/ds_t" if runs[0].is_probe else gradient_of(runs[0], state)
    known = "" if len(left) == len(runs) else f" in {len(left)} of them"
    details = []
    if {"vanishes", "is cut"} & set(fates) and not np.isnan(horizons).any():
        details.append(f"horizon {spread(horizons, '{:.0f}')} of {length - 1}{recorded_every(apart.max())}")
    if set(fates) - {"vanishes", "is cut"}:
        where = "earliest recorded timestep" if averaged.empty else "largest recorded lag"
        details.append(f"{spread(left, '{:.3g}')} times as large at the {where}")
    if not np.isnan(gains).any():
        digits = "{:.3f}" if gains.min() > 0.01 and gains.max() < 100 else "{:.3g}"
        details.append(f"gain {spread(gains, digits)} per timestep")
    if len(averaged):
        details.append(losses_averaged(averaged, state, "min" if at else "max"))
    return f"{when}, {what}{known} {_counted(fates)}{': ' if details else ''}{', '.join(details)}"


def _counted(words: Sequence[str]) -> str:
    """Count the words: 'vanishes', or 'vanishes in 2, arrives in 1'."""
    counts = Counter(words).most_common()
    return words[0] if len(counts) == 1 else ", ".join(f"{word} in {count}" for word, count in counts)


def _errors(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """Describe the best errors of several runs, how many are better than chance, and how many solved the task."""
    rows = [
        (row["best_error"], row["chance_error"], row["evaluation_samples"], evaluations_of(run), row["solved"])
        for run, (_, row) in zip(runs, summary.iterrows(), strict=True)
        if pd.notna(row["best_error"])
    ]
    if not rows:
        return ""
    errors = np.array([row[0] for row in rows], float)
    verdicts = [against_chance(*row[:4]) for row in rows]
    known = f" in {len(rows)} of them" if len(rows) < len(runs) else ""
    words = f"best error{known} {spread(errors, '{:.1%}')}, chance {percent(rows[0][1])}: {_counted(verdicts)}"
    solved = [bool(row[4]) for row in rows if pd.notna(row[4])]
    if not any(solved):
        return words
    return f"{words}; solved by {sum(solved)} of {len(solved)}" if len(runs) > 1 else f"{words}; solved"


def _norms_of_all(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """Describe how the gradient norm was distributed over training: medians over the runs, and the largest of all."""
    norms = summary[[*NORMS, "clipped_fraction"]].dropna(subset=[*NORMS])  # a watched run's clipping is not known
    if norms.empty or runs[0].is_probe or min(int(run.config.get("steps") or 1) for run in runs) < MIN_STEPS:
        return ""
    typical = {**norms.median(), "max_grad_norm": norms["max_grad_norm"].max()}
    share = spread(norms["clipped_fraction"].to_numpy(), "{:.0%}")
    cut = cut_by(runs[0], f"{share} of the steps{say_scale_of_all(runs)}")
    cut = cut or (say_watched_clipping(runs[0]) if len(runs) == 1 else "")
    in_any = " in any run" if len(norms) > 1 else ""
    finite = [np.isfinite(run.table("metrics")["grad_norm"].to_numpy(float)) for run in runs]
    known, steps = sum(one.sum() for one in finite), sum(map(len, finite))
    over = "all steps" if known == steps else f"the {known} of {steps} steps with a finite norm"
    words = f"{norm_with_penalty(runs[0])} over {over}: {quantiles(typical)}{in_any}"
    return f"{words}; {cut}" if cut else words
