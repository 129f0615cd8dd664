"""The gradient of a single timestep's loss by lag, averaged over the timesteps; for tasks with a loss at several."""

import numpy as np
import pandas as pd

from experiments.store.studies import Run


def has_several_losses(run: Run) -> bool:
    """Whether the run's task has a loss at several timesteps; gradients.csv then holds the sum of their gradients."""
    several: bool = run.info["readout_steps"] > 1
    return several


def gradients_by_lag(run: Run) -> pd.DataFrame:
    """The rows that show how far back a gradient reaches.

    These are the rows of gradients.csv for a task with a single loss. For a task with several they are those of
    `average_over_losses`; there are none if the run has no lags.csv.
    """
    return average_over_losses(run.table("lags")) if has_several_losses(run) else run.table("gradients")


def with_single_losses(gradients: pd.DataFrame, lags: pd.DataFrame) -> pd.DataFrame:
    """Replace the rows of runs with several losses by those of `average_over_losses` where lags.csv has the run.

    Args:
        gradients: Rows of gradients.csv of several runs.
        lags: Rows of lags.csv of these runs, with `readout_steps`; empty if there are none.
    """
    if lags.empty or (lags := lags[lags["readout_steps"] > 1]).empty:
        return gradients
    others = gradients[~gradients["run_id"].isin(lags["run_id"].unique())]
    return pd.concat([others, average_over_losses(lags)], ignore_index=True)


def average_over_losses(lags: pd.DataFrame) -> pd.DataFrame:
    """Average lags.csv over the timesteps of the losses.

    The norms of each loss are divided by its own norm at lag 0, so that a loss with a large gradient does not decide
    alone. Each lag has the mean over the losses that have as many timesteps before them, times the mean norm at lag 0.
    A loss whose norm at lag 0 is 0 or not finite is left out.

    Args:
        lags: Rows of lags.csv of one run, or of several with a column `run_id`.

    Returns:
        A row for each step, layer, state and lag, in the order of the rows of lags.csv: `grad_norm` (nan if all losses
        are left out), `losses` (the number of losses it is the mean of), and the `lowest` and `highest` norm among
        them, divided and multiplied in the same way. Empty if `lags` is.
    """
    if lags.empty:
        return pd.DataFrame()
    keys = [key for key in ("run_id", "step", "layer", "state") if key in lags]
    own = lags.loc[lags["lag"] == 0, [*keys, "loss_timestep", "grad_norm"]].rename(columns={"grad_norm": "start"})
    own = own[(own["start"] > 0) & np.isfinite(own["start"])]
    own["mean_start"] = own.groupby(keys, observed=True)["start"].transform("mean")
    means = own[[*keys, "mean_start"]].drop_duplicates(keys)
    rows = lags.merge(own.drop(columns="mean_start"), how="left", on=[*keys, "loss_timestep"])
    group = rows.groupby([*keys, "lag"], observed=True, sort=False).ngroup().to_numpy()
    counts = rows["start"].notna().to_numpy()
    with np.errstate(over="ignore"):
        shares = (rows["grad_norm"] / rows["start"]).to_numpy(float)[counts]
    group_of_share = group[counts]
    _, first = np.unique(group, return_index=True)
    losses = np.bincount(group_of_share, minlength=len(first))
    lowest, highest = np.full(len(first), np.inf), np.full(len(first), -np.inf)
    with np.errstate(invalid="ignore"):
        np.minimum.at(lowest, group_of_share, shares)
        np.maximum.at(highest, group_of_share, shares)
        mean = np.bincount(group_of_share, shares, minlength=len(first)) / losses
    averaged = rows.iloc[first][[*keys, "lag"]].merge(means, how="left", on=keys)
    scale = averaged.pop("mean_start").to_numpy(float)
    averaged = averaged.assign(
        grad_norm=mean * scale, losses=losses, lowest=lowest * scale, highest=highest * scale, first=first
    )
    # A lag that only losses that are left out reach has no mean; if all are left out, nothing is known of any lag.
    known = averaged[(losses > 0) | np.isnan(scale)]
    in_order: pd.DataFrame = known.sort_values("first").drop(columns="first").reset_index(drop=True)
    return in_order
