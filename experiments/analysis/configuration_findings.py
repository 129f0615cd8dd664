"""The findings of each configuration: what its runs, which differ in their seed only, say together."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.analysis.findings import (
    FEWEST_STEPS,
    against_chance,
    cut_by,
    evaluations_of,
    fate_of,
    gradient_of,
    kind_of_network,
    losses_add_up,
    percent,
    quantiles,
    recorded_every,
    too_small,
)
from experiments.analysis.summary import FLOW, NORMS, outcomes
from experiments.store.config_keys import compared_keys, format_value, rank
from experiments.store.studies import Run

OF_C = "_of_c"


def by_configuration(runs: Sequence[Run], summary: pd.DataFrame, states: pd.DataFrame) -> dict[str, str]:
    """What is known of each configuration, by the keys that tell them apart, in the order of their values.

    Args:
        runs: The runs of a study.
        summary: Their rows of summary.csv, in the same order.
        states: The rows of states.csv.
    """
    of_c = states[(states["layer"] == 0) & (states["state"] == "c")].set_index("run_id")[list(FLOW)]
    of_c = of_c.drop([run.id for run in runs if run.is_probe], errors="ignore")  # a probe's are of h and c together
    summary = summary.join(of_c.add_suffix(OF_C), on="run_id")
    numbers = [*FLOW, *(name + OF_C for name in FLOW), *NORMS, "clipped_fraction", "underflow_at_init", "underflow"]
    summary = summary.astype(dict.fromkeys(numbers, float))
    keys = compared_keys(runs) or ["cell"]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault((*(rank(run.config.get(key)) for key in keys), _kind(run)), []).append(i)
    found = {}
    for (*_, kind), rows in sorted(groups.items()):
        name = ", ".join(f"{key} = {format_value(runs[rows[0]].config.get(key))}" for key in keys)
        found[f"{name} ({kind})" if kind else name] = _describe([runs[i] for i in rows], summary.iloc[rows])
    return found


def best_of(trials: Sequence[Run], best: Run) -> str:
    """The best error of a search's best trial beside chance: it is the smallest of all that the search looked at.

    Args:
        trials: All runs of the search.
        best: The one that it chose.
    """
    (outcome,) = outcomes([best])[0].to_dict("records")
    if outcome["best_error"] is None:
        return ""
    tries = sum(map(evaluations_of, trials))
    verdict = against_chance(outcome["best_error"], outcome["chance_error"], outcome["evaluation_samples"], tries)
    errors = f"best error {outcome['best_error']:.1%}, chance {percent(outcome['chance_error'])}"
    return f"{errors}: {verdict}, as the smallest of {tries} errors"


def _kind(run: Run) -> str:
    if not run.is_probe:
        return ""
    return "probe of a trained network" if run.info.get("checkpoint") else "probe"


def _describe(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """What is known of runs that differ in their seed only: medians, and in brackets the smallest and the largest.

    Args:
        runs: The runs of one configuration.
        summary: Their rows of summary.csv, with the flow of c beside that of h.
    """
    sentences = [_flows(runs, summary), _underflow(runs, summary), _errors(runs, summary), _norms_of_all(runs, summary)]
    for status in ("diverged", "failed", "interrupted", "running"):
        if count := int((summary["status"] == status).sum()):
            sentences.append(f"{count} of {len(runs)} runs {status}" if len(runs) > 1 else status)
    found = "; ".join(filter(None, sentences)) or "no gradient and no error was recorded"
    return f"medians (ranges) over {_count(runs)}; {found}" if len(runs) > 1 else found


def _count(runs: Sequence[Run]) -> str:
    seeds = {run.config.get("seed") for run in runs}
    return f"{len(runs)} {'seeds' if len(seeds) == len(runs) else 'runs'}"


def _flows(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """How the gradient flows back before training and after it; of probes, what the Jacobians say."""
    if runs[0].is_probe:
        return _flow_at(kind_of_network(runs[0]), "", runs, summary)
    if runs[0].info["readout_steps"] > 1:
        return losses_add_up(runs[0])
    steps = {run.config.get("steps") for run in runs}
    ended = len(steps) == 1 and (summary["status"] == "completed").all()
    last = f"at step {next(iter(steps))}" if ended else "at the last recorded step"
    before = _flow_at("before training", "_at_init", runs, summary)
    after = "" if steps == {1} else _flow_at(last, "", runs, summary)
    return "; ".join(filter(None, [before, after]))


def _underflow(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """What share of the gradients' entries was too small for the runs' numbers, before training and after it."""
    shares = summary[["underflow_at_init", "underflow"]].dropna().to_numpy(float)
    if not shares.any():
        return ""
    before, after = (_spread(100 * column, "{:.3g}%") for column in shares.T)
    if runs[0].is_probe or {run.config.get("steps") for run in runs} == {1}:
        return too_small(runs[0], f"{before} of the gradient's entries")
    both = f"{before} of the gradient's entries before training and {after} at the last recorded step"
    return too_small(runs[0], both)


def _flow_at(when: str, at: str, runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """How the gradient flows back at one recorded step.

    Args:
        when: That step, in words; of a probe, with what it looks at.
        at: Suffix of its columns, '_at_init' or ''.
        runs: The runs of one configuration.
        summary: Their rows of summary.csv, with the flow of c beside that of h.
    """
    gain = "gain_at_init" if at else "gain_per_timestep"
    columns = [f"horizon{at}", f"arriving{at}", gain, "horizon_resolution"]
    of_h, of_c = (summary[[name + suffix for name in columns]].to_numpy() for suffix in ("", OF_C))
    both = ~np.isnan(of_h[:, 0] + of_c[:, 0])
    carried = both.any() and np.median(of_c[both, 0]) > np.median(of_h[both, 0])
    flow = of_c if carried else of_h
    horizons, left, gains, apart = flow[~np.isnan(flow[:, 1])].T
    if not len(left):
        return ""
    length = max(run.info["timesteps"] for run in runs)
    fates = [fate_of(reach, there, length) for reach, there in zip(horizons, left, strict=True)]
    what = "ds_T/ds_t" if runs[0].is_probe else gradient_of(runs[0], "c" if carried else "h")
    known = "" if len(left) == len(runs) else f" in {len(left)} of them"
    details = []
    if "vanishes" in fates:
        details.append(f"horizon {_spread(horizons, '{:.0f}')} of {length - 1}{recorded_every(apart.max())}")
    if set(fates) != {"vanishes"}:
        details.append(f"{_spread(left, '{:.3g}')} times as large at the earliest recorded timestep")
    if not np.isnan(gains).any():
        digits = "{:.3f}" if gains.min() > 0.01 and gains.max() < 100 else "{:.3g}"
        details.append(f"gain {_spread(gains, digits)} per timestep")
    return f"{when}, {what}{known} {_counted(fates)}: {', '.join(details)}"


def _counted(words: Sequence[str]) -> str:
    """'vanishes', or 'vanishes in 2, arrives in 1'."""
    counts = Counter(words).most_common()
    return words[0] if len(counts) == 1 else ", ".join(f"{word} in {count}" for word, count in counts)


def _spread(values: np.ndarray, form: str) -> str:
    """The median, and from the smallest to the largest where they differ."""
    low, middle, high = (form.format(of(values)) for of in (np.min, np.median, np.max))
    return middle if low == high else f"{middle} ({low} to {high})"


def _errors(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """The best errors of several runs, how many are better than chance, and how many solved the task."""
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
    words = f"best error{known} {_spread(errors, '{:.1%}')}, chance {percent(rows[0][1])}: {_counted(verdicts)}"
    solved = [bool(row[4]) for row in rows if pd.notna(row[4])]
    if not any(solved):
        return words
    return f"{words}; solved by {sum(solved)} of {len(solved)}" if len(runs) > 1 else f"{words}; solved"


def _norms_of_all(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """The distribution of the gradient's norm while several runs trained: medians over the runs, the largest of all."""
    norms = summary[[*NORMS, "clipped_fraction"]].dropna()
    if norms.empty or runs[0].is_probe or min(int(run.config.get("steps") or 1) for run in runs) < FEWEST_STEPS:
        return ""
    typical = {**norms.median(), "max_grad_norm": norms["max_grad_norm"].max()}
    cut = cut_by(runs[0], f"{_spread(norms['clipped_fraction'].to_numpy(), '{:.0%}')} of the steps")
    words = f"gradient norm over all steps: {quantiles(typical)}{' in any run' if len(norms) > 1 else ''}"
    return f"{words}; {cut}" if cut else words
