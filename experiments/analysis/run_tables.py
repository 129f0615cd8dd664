"""The tables of some runs, each read once: what figures and claims look at. Imports no torch."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from experiments.analysis.gradient_law import LAWS
from experiments.analysis.summary import outcomes
from experiments.store.reading import read_tables
from experiments.store.studies import Run

RECORDED = ("gradients", "contributions", "gates")
"""The tables in which a recorded step has many rows."""


class RunTables:
    """The CSV files of some runs, one table each.

    Args:
        runs: in the order of the rows.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self._read: dict[tuple[str, bool], pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        """One table of all runs, 'summary' and 'states' among them; empty where no run has it."""
        return self.read(name)

    def read(self, name: str, *, ends: bool = False) -> pd.DataFrame:
        """The same; `ends` may leave out what is not of a run's first or last recorded step."""
        if name == "summary":
            return self.summary
        if name == "states":
            return self._outcomes[1]
        ends = ends and name in RECORDED
        if (name, ends) not in self._read:
            table = read_tables(self.runs, name, self._beside(name), ends=ends)
            self._read[name, ends] = _with_kept(table) if name == "gates" and len(table) else table
        return self._read[name, ends]

    def _beside(self, name: str) -> dict[str, list[Any]]:
        """What goes with the measured: where the loss is and the gradient's law with gradients, clipping with steps."""
        losses = {"readout_steps": [run.info["readout_steps"] for run in self.runs]}
        if name == "gradients":
            return losses | {f"theory_{key}": [of(run) for run in self.runs] for key, of in LAWS.items()}
        if name == "contributions":
            return losses
        if name == "metrics":
            configs = [run.config for run in self.runs]
            plain = [config.get("optimizer") == "sgd" and not config.get("optimizer.momentum") for config in configs]
            keys = ("clip", "clip.threshold")
            return {key: [config.get(key) for config in configs] for key in keys} | {"plain_sgd": plain}
        return {}

    @cached_property
    def _outcomes(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return outcomes(self.runs, self.read)

    @property
    def outcomes(self) -> pd.DataFrame:
        """The rows of summary.csv."""
        return self._outcomes[0]

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The same with all keys of the configuration, as numbers where they are."""
        summary = self.outcomes.infer_objects()
        keys = dict.fromkeys(key for run in self.runs for key in run.config)
        further: dict[str, Any] = {
            key: [run.config.get(key) for run in self.runs] for key in keys if key not in summary
        }
        places = {key: [run.info[key] for run in self.runs] for key in ("timesteps", "readout_steps")}
        return summary.assign(**further, **places)


def _with_kept(gates: pd.DataFrame) -> pd.DataFrame:
    keeps = gates["gate"].astype(str).map({"forget": "c", "update": "h"}).fillna("")
    return gates.assign(keeps=keeps, kept=gates["mean"].where(keeps != ""))
