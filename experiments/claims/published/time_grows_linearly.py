"""Any length: the time of a training step grows in proportion to the length, because timesteps wait for each other."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, everywhere, over_seeds

STATEMENT = "The recurrence is slow: each timestep waits for the one before it"
SOURCE = "Vaswani et al. 2017, section 1 and table 1"
PREDICTION = (
    "beyond what a step takes at 100 timesteps, its time grows as the number of further timesteps to the power of "
    "0.85 to 1.15, and from each length to its double to the power of 0.7 to 1.3; 1500 further timesteps take at least "
    "twice as long as 15 further sequences"
)
REFUTED_BY = (
    "a time that grows faster or more slowly than the length, or timesteps that take no longer than as many "
    "multiplications side by side"
)
CONTROL = (
    "the same number of multiplications side by side; what a step does once, such as the update, is left out by the "
    "difference to 100 timesteps"
)
NULL = shuffled("task.length")
REMARK = (
    "Processor time with one thread. On a busy machine the times scatter, so run this study alone and with one job. "
    "Here, the RNN's time triples from 1600 to 3200 timesteps, and about doubles elsewhere."
)
FIGURE = "cost"
VIEW = {"where": ("batch_size=1", "steps=11")}
TIMED = ["cell", "batch_size", "timesteps", "seed"]
SHORTEST = 100


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the slope of ln time against ln length, and what the same work costs in turn and side by side."""
    times = seconds_per_step(tables.summary)
    quantities = []
    for cell in ("rnn", "lstm", "gru"):
        of_cell = times[times.index.get_level_values("cell") == cell].droplevel("cell")
        is_single = of_cell.index.get_level_values("batch_size") == 1
        by_length = of_cell[is_single].droplevel("batch_size").unstack("timesteps")
        once = by_length.get(SHORTEST, pd.Series(dtype=float))
        further = by_length.drop(columns=SHORTEST, errors="ignore").sub(once, axis=0)
        side_by_side = of_cell[~is_single].groupby("seed").mean() - once
        in_turn = further.get(1600, pd.Series(dtype=float))
        powers = [_power(of_seed[of_seed > 0]) for _, of_seed in further.iterrows()]
        quantities += [
            over_seeds(f"{cell}: power of the length", powers, at_least=0.85, at_most=1.15),
            everywhere(
                f"{cell}: power from each length to its double",
                _local_powers(further.median()),
                at_least=0.7,
                at_most=1.3,
            ),
            over_seeds(f"{cell}: time in turn over time side by side", in_turn / side_by_side, at_least=2),
        ]
    return quantities


def seconds_per_step(summary: pd.DataFrame) -> "pd.Series[float]":
    """The processor time of a training step by cell, batch size, length and seed.

    It is the time of a run with several steps minus that of a run with one, over the difference in steps. So what a run
    does once, such as its evaluations, is left out. Times that are not above 0 are left out as well.

    Args:
        summary: Rows of summary.csv with all configuration keys.
    """
    runs = summary[[*TIMED, "steps", "processor_seconds"]].astype({"processor_seconds": float})
    runs = runs[runs["processor_seconds"].notna()].sort_values("steps")
    ends = runs.groupby(TIMED, observed=True)[["steps", "processor_seconds"]].agg(["first", "last"])
    steps, seconds = ends["steps"], ends["processor_seconds"]
    steps, seconds = steps["last"] - steps["first"], seconds["last"] - seconds["first"]
    known: pd.Series[float] = (seconds / steps)[(steps > 0) & (seconds > 0)]
    return known


def _power(times: "pd.Series[float]") -> float:
    """The slope for one seed, from the further time by length; nan with fewer than two lengths."""
    if len(times) < 2:
        return np.nan
    further = times.index.to_numpy(float) - SHORTEST
    slope, _ = np.polyfit(np.log(further), np.log(times.to_numpy(float)), 1)
    return float(slope)


def _local_powers(times: "pd.Series[float]") -> np.ndarray:
    """The slopes between neighbouring lengths, from the further time by length; nan where it is not above 0."""
    known = times.where(times > 0).to_numpy(float)
    further = times.index.to_numpy(float) - SHORTEST
    slopes: np.ndarray = np.diff(np.log(known)) / np.diff(np.log(further))
    return slopes
