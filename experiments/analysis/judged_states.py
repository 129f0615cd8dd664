"""Which state of a cell a configuration is judged by: the one whose gradient reaches farthest back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.analysis.summary import FLOW
from experiments.store.config_keys import compared_keys, rank
from experiments.store.studies import Run

Flows = Mapping[str, pd.DataFrame]
"""The columns `FLOW` of each state in layer 0, by the state's name; a row per run, nan if it is not known."""

SUFFIXES = ("_at_init", "")
"""Suffixes of the columns `FLOW` at the first and at the last recorded step."""


def configurations(runs: Sequence[Run]) -> list[list[int]]:
    """The places of the runs of each configuration, which differ only in their seed, in the order of their values."""
    keys = compared_keys(runs) or ["cell"]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault((*(rank(run.config.get(key)) for key in keys), kind_of(run)), []).append(i)
    return [rows for _, rows in sorted(groups.items())]


def kind_of(run: Run) -> str:
    """Say of a probe what kind it is; empty for a training."""
    if not run.is_probe:
        return ""
    return "probe of a trained network" if run.info.get("checkpoint") else "probe"


def flows_of_states(runs: Sequence[Run], summary: pd.DataFrame, states: pd.DataFrame) -> Flows:
    """Collect how the gradient of each state in layer 0 flows back; a probe has only h, for all of its states.

    Args:
        runs: Runs of a study.
        summary: Their rows of summary.csv, in the same order.
        states: Rows of states.csv.
    """
    recorded = states[(states["layer"] == 0) & ~states["run_id"].isin([run.id for run in runs if run.is_probe])]
    flows = {"h": summary[[*FLOW]].astype(float)}
    for state, rows in recorded[recorded["state"] != "h"].groupby("state"):
        flows[str(state)] = rows.set_index("run_id")[[*FLOW]].reindex([run.id for run in runs]).astype(float)
    return flows


def judged_state(flows: Flows, at: str) -> str:
    """Choose the state that carries the gradient of a configuration at its first or last recorded step.

    Args:
        flows: How the gradient of each state flows back in the runs of the configuration.
        at: Suffix of the columns: '_at_init' for the first recorded step, '' for the last.
    """
    return state_that_carries({state: flow[f"horizon{at}"].to_numpy() for state, flow in flows.items()})


def state_that_carries(horizons: Mapping[str, np.ndarray]) -> str:
    """Choose the state with the largest median horizon, over the runs in which both its own and that of h are known."""
    largest, found = 0.0, "h"
    for state, of_state in horizons.items():
        both = ~np.isnan(of_state + horizons["h"])
        lead = np.median(of_state[both]) - np.median(horizons["h"][both]) if both.any() else 0.0
        if lead > largest:
            largest, found = float(lead), state
    return found


def with_judged_states(runs: Sequence[Run], summary: pd.DataFrame, states: pd.DataFrame) -> pd.DataFrame:
    """Return rows of summary.csv in which gain, horizon and arriving are those of the states that findings judge.

    These are the states that carry the gradient of a configuration: one at the first recorded step, for the columns
    that end in `_at_init`, and one at the last. The column `state` has their names, such as 's', or 'h before, z after'
    if they differ; it is empty if all rows have h.

    Args:
        runs: Runs of a study.
        summary: Their rows of summary.csv, in the same order.
        states: Rows of states.csv.
    """
    flows = flows_of_states(runs, summary, states)
    judged = summary.assign(state="h")
    for rows in configurations(runs):
        before, after = (judged_state({state: flow.iloc[rows] for state, flow in flows.items()}, at) for at in SUFFIXES)
        judged.loc[judged.index[rows], "state"] = after if before == after else f"{before} before, {after} after"
        for state, at in ((before, SUFFIXES[0]), (after, SUFFIXES[1])):
            if state != "h":
                columns = [name for name in FLOW if name.endswith(SUFFIXES[0]) == bool(at)]
                judged.loc[judged.index[rows], columns] = flows[state].iloc[rows][columns].to_numpy()
    return judged if (judged["state"] != "h").any() else judged.assign(state=None)
