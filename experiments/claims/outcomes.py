"""How a training came out, for claims about learning: the same rules for every run, in the group and in its control."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables


def solved_at(tables: RunTables) -> "pd.Series[float]":
    """The step at which each run met its task's criterion for the second time in a row; inf if it never did.

    One evaluation may meet the criterion by chance, and the best of many evaluations is a selected one. Two in a row
    are asked for, as by `stop=solved`.

    Returns:
        A step for each evaluated run, by `run_id`.
    """
    evaluation = tables["evaluation"]
    runs = evaluation["run_id"]
    met = evaluation["solved"] == 1
    twice = met & met.groupby(runs, observed=True).shift(fill_value=False)
    steps = evaluation["step"].where(twice, np.inf).groupby(runs, observed=True).min()
    return steps.astype(float)


def final_error_over_chance(tables: RunTables) -> "pd.Series[float]":
    """The error at each run's last evaluation over that of the best answer without a memory, by `run_id`."""
    last = tables["evaluation"].groupby("run_id", observed=True)[["error", "chance_error"]].last()
    return (last["error"] / last["chance_error"]).reindex([run.id for run in tables.runs]).astype(float)


def with_outcomes(tables: RunTables) -> pd.DataFrame:
    """The summary of the runs with `steps_needed` (see `solved_at`) and `learned`, whether that is finite."""
    runs = tables.summary
    needed = solved_at(tables).reindex(runs["run_id"]).to_numpy()
    return runs.assign(steps_needed=needed, learned=np.isfinite(needed))
