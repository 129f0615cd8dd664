"""The tables that figures and claims read: the CSV files of some runs, each read once, with derived columns."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from experiments.analysis.gradient_law import LAWS
from experiments.analysis.summary import summarize_runs
from experiments.store.combined_tables import read_combined_table
from experiments.store.studies import Run

RECORDED = ("gradients", "contributions", "gates", "lags", "activations")
"""Tables that have many rows per recorded step."""


class RunTables:
    """The CSV files of some runs, one combined table for each file name.

    Args:
        runs: Runs to read, in the order of the rows.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self._read: dict[tuple[str, bool], pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Get a table by name, such as 'gradients', 'summary' or 'states'; it is empty if no run has it."""
        return self.read(name)

    def read(self, name: str, *, ends: bool = False) -> pd.DataFrame:
        """Get a table by name.

        Args:
            name: Name of the table.
            ends: Whether rows of other steps than each run's first and last recorded one may be left out.
        """
        if name == "summary":
            return self._summary
        if name == "states":
            return self._summary_and_states[1]
        ends = ends and name in RECORDED
        if (name, ends) not in self._read:
            table = read_combined_table(self.runs, name, self._added_columns(name), ends=ends)
            self._read[name, ends] = add_kept_states(table, self.runs) if name == "gates" else table
        return self._read[name, ends]

    def _added_columns(self, name: str) -> dict[str, list[Any]]:
        """Columns that are added to a table: the loss's timesteps and the predicted gradient, or the clipping."""
        losses = {"readout_steps": [run.info["readout_steps"] for run in self.runs]}
        if name == "gradients":
            return losses | {f"theory_{key}": [of(run) for run in self.runs] for key, of in LAWS.items()}
        if name in ("contributions", "lags"):
            return losses
        if name == "metrics":
            configs = [run.config for run in self.runs]
            plain = [config.get("optimizer") == "sgd" and not config.get("optimizer.momentum") for config in configs]
            keys = ("clip", "clip.threshold")
            return {key: [config.get(key) for config in configs] for key in keys} | {"plain_sgd": plain}
        return {}

    @cached_property
    def _summary_and_states(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return summarize_runs(self.runs, self.read)

    @property
    def summary_csv(self) -> pd.DataFrame:
        """The rows of summary.csv."""
        return self._summary_and_states[0]

    @property
    def summary(self) -> pd.DataFrame:
        """The rows of summary.csv with all configuration keys; columns of numbers have a number type."""
        return self.read("summary")

    @cached_property
    def _summary(self) -> pd.DataFrame:
        summary = self.summary_csv.infer_objects()
        keys = dict.fromkeys(key for run in self.runs for key in run.config)
        further: dict[str, Any] = {
            key: [run.config.get(key) for run in self.runs] for key in keys if key not in summary
        }
        places = {key: [run.info[key] for run in self.runs] for key in ("timesteps", "readout_steps")}
        return summary.assign(**further, **places)


def add_kept_states(gates: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """Add to each row of gates.csv the state that its gate keeps, and the share of it that is kept.

    `keeps` is the name of that state, empty if the gate keeps none. `kept` is the mean share that the state keeps from
    one timestep to the next: `mean`, or 1 - `mean` in a cell that keeps the state by one minus the gate; nan if the
    gate keeps no state. A gate that keeps several states stands for the first of them.

    Args:
        gates: Rows of gates.csv of some runs, with `run_id`.
        runs: Those runs.
    """
    if gates.empty:
        return gates
    run_ids, names = (gates[column].astype("category").cat for column in ("run_id", "gate"))
    states = ["", *dict.fromkeys(state for run in runs for state in run.kept_by)]
    state_codes = np.zeros((len(run_ids.categories), len(names.categories)), int)
    is_reversed = np.zeros(state_codes.shape, bool)
    for run in runs:
        for state, rule in reversed(run.kept_by.items()):
            gate = rule.removeprefix("1 - ")
            if run.id in run_ids.categories and gate in names.categories:
                at = run_ids.categories.get_loc(run.id), names.categories.get_loc(gate)
                state_codes[at], is_reversed[at] = states.index(state), rule != gate
    rows = run_ids.codes.to_numpy(), names.codes.to_numpy()
    codes, mean = state_codes[rows], gates["mean"].to_numpy(float)
    kept = np.where(codes > 0, np.where(is_reversed[rows], 1 - mean, mean), np.nan)
    return gates.assign(keeps=pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(states)), kept=kept)
