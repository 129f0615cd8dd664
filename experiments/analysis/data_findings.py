"""The finding on a user's own data: how far back they say something about the answer, and how far the gradient goes."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.analysis.gain_and_horizon import gradient_profiles, horizon
from experiments.analysis.single_losses import gradients_by_lag
from experiments.analysis.summary import reachable, smallest_normal
from experiments.store.studies import Run
from experiments.wording import counted


class DataReach(NamedTuple):
    """How far back the data of a run carry information about the answer.

    Attributes:
        lag: Largest lag at which the answer depends on an input; None if there is none.
        dependence: Largest dependence at that lag; None if there is none.
        most: Largest lag that was looked at.
        rows: Number of rows that were read.
    """

    lag: int | None
    dependence: float | None
    most: int
    rows: int


def data_reach(lags: pd.DataFrame) -> DataReach | None:
    """How far back the data of a run reach, from its data_lags.csv; None if the table is empty."""
    if lags.empty:
        return None
    above = lags[lags["dependence"] > lags["bound"]]
    farthest = above[above["lag"] == above["lag"].max()]
    lag = int(farthest["lag"].iloc[0]) if len(above) else None
    dependence = float(farthest["dependence"].max()) if len(above) else None
    return DataReach(lag, dependence, int(lags["lag"].max()), int(lags["rows"].iloc[0]))


def gradient_reach(run: Run) -> int | None:
    """The horizon of the gradient in layer 0 at the last recorded step, of the state with the largest one."""
    by_lag, within = gradients_by_lag(run), reachable(run)
    if by_lag.empty:
        return None
    profiles = [gradient_profiles(by_lag, state=str(state))[1].within(within) for state in by_lag["state"].unique()]
    reaches = [horizon(profile, within, smallest_normal(run)).lag for profile in profiles]
    return max((reach for reach in reaches if reach is not None), default=None)


def describe_data(run: Run) -> str:
    """Say how far back the answer depends on its inputs, and if the gradient reaches as far; empty without data."""
    data = data_reach(run.table("data_lags"))
    if data is None:
        return ""
    answer = answer_of(run)
    if data.lag is None:
        return f"no linear dependence of {answer} on its inputs was found up to lag {data.most} ({data.rows:,} rows)"
    end = "" if data.lag < data.most else " or more, as no larger one was looked at"
    there = f"{_before(run, data.lag)}dependence {data.dependence:.2g} there"
    return f"{answer} depends on inputs up to lag {data.lag}{end} ({there}), {_against(run, data.lag)}"


def data_reading(run: Run) -> list[tuple[str, str]]:
    """The reach of the data as a number and what it means, for a probe; empty without data."""
    data = data_reach(run.table("data_lags"))
    if data is None:
        return []
    return [("none" if data.lag is None else f"lag {data.lag}", describe_data(run))]


def answer_of(run: Run) -> str:
    """What the task of a run asks for, such as the name of a column."""
    named = run.config.get("task.target"), run.config.get("task.label")
    return next((str(name) for name in named if name is not None), f"the next {run.config.get('task.unit') or 'row'}")


def _before(run: Run, lag: int) -> str:
    """Say how many rows before the answer a lag is, if they are not the same."""
    ahead = int(run.config.get("task.horizon") or 0)
    return f"{counted(lag + ahead, 'row')} before it, " if ahead else ""


def _against(run: Run, lag: int) -> str:
    """How far the gradient reaches, against the reach of the data, and what the sequences are too short for."""
    length, reach = int(run.info["timesteps"]), gradient_reach(run)
    needs = f"; lag {lag} is beyond the {counted(length, 'timestep')} of a sequence: set task.length={lag + 1} or more"
    if reach is None:
        words = "and how far the gradient reaches is not known"
    elif reach >= lag:
        words = f"and the gradient reaches lag {reach}"
    else:
        words = f"but the gradient reaches only lag {reach}"
    return words + (needs if lag >= length else "")


def lag_shares(gradients: pd.DataFrame) -> pd.DataFrame:
    """The norm at each lag relative to that at lag 0, of each run, in layer 0: the largest over the states.

    Args:
        gradients: Rows of one recorded step of each run, with `run_id`.
    """
    rows = gradients[gradients["layer"] == 0]
    at_0 = rows[rows["lag"] == 0].set_index(["run_id", "state"])["grad_norm"]
    starts = at_0[~at_0.index.duplicated()].reindex(pd.MultiIndex.from_frame(rows[["run_id", "state"]])).to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = rows.assign(share=rows["grad_norm"].to_numpy(float) / starts)
    place = rows.groupby(["run_id", "lag"], observed=True)["share"].idxmax().dropna()
    return rows.loc[place]
