"""The tables of some runs, each read once: what figures and claims look at. Imports no torch."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from experiments.analysis import outcomes
from experiments.study import Run, read_tables


class Tables:
    """The CSV files of some runs, one table each.

    Args:
        runs: in the order of the rows.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self._read: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        """One table of all runs, 'summary' and 'states' among them; empty where no run has it."""
        if name == "summary":
            return self.summary
        if name == "states":
            return self._outcomes[1]
        if name not in self._read:
            theory = [run.info.get("theory") or {} for run in self.runs]
            columns = {f"theory_{key}": [law.get(key) for law in theory] for key in ("state", "gain", "bound")}
            columns |= {key: [run.config.get(key) for run in self.runs] for key in ("clip", "clip.threshold")}
            self._read[name] = read_tables(self.runs, name, columns)
        return self._read[name]

    @cached_property
    def _outcomes(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return outcomes(self.runs, self.__getitem__)

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
        return summary.assign(**further, timesteps=[run.info["timesteps"] for run in self.runs])
