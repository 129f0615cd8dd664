"""Null versions of a study's tables, on which a claim must not hold: what it is about has been taken out of them.

A claim names its own: `NULL = noise("gradients", "grad_norm")`, or `NULL = shuffled("cell")`, or a tuple of several.
Each draw moves values that were measured; it makes up none. So the null has numbers of the same size, and the claim's
own `measure` runs on it unchanged. A claim that holds on its null does not depend on what the runs show.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables, add_kept_states
from experiments.analysis.summary import SUMMARIZED
from experiments.errors import UsageError
from experiments.store.combined_tables import repeat_per_row
from experiments.store.studies import Run


class Null(ABC):
    """A way to take out of the tables what a claim is about."""

    @property
    @abstractmethod
    def what(self) -> str:
        """What is done, in words, such as 'cell shuffled'."""

    @abstractmethod
    def draw(self, tables: RunTables, rng: np.random.Generator) -> RunTables:
        """Draw a null version of the tables.

        Args:
            tables: Tables of a study's runs; they are not changed.
            rng: Source of the random order.

        Raises:
            UsageError: The tables lack a column or a key of that name.
        """


def noise(table: str, *columns: str) -> Null:
    """Noise of the same size: the values of each column in random order, over all rows of all runs.

    Missing values stay where they are. What is computed from the columns follows, such as the gains in summary.csv.

    Args:
        table: Name of a table, such as 'gradients', 'summary' or 'states'.
        columns: Columns of it, each of which gets an order of its own.
    """
    return _Noise(table, columns)


def shuffled(*keys: str) -> Null:
    """Shuffled labels: the values of configuration keys change places between the runs of the study.

    The keys change places together, and timesteps goes with task.length. What a run has measured stays as it is.

    Args:
        keys: Configuration keys, such as 'cell' or 'task.length'.
    """
    return _Shuffled(keys)


@dataclass(frozen=True)
class _Noise(Null):
    table: str
    columns: tuple[str, ...]

    @property
    def what(self) -> str:
        return f"noise in {', '.join(f'{self.table}.{column}' for column in self.columns)}"

    def draw(self, tables: RunTables, rng: np.random.Generator) -> RunTables:
        table = tables[self.table]
        if table.empty:
            return tables
        if unknown := [column for column in self.columns if column not in table]:
            raise UsageError(
                f"{self.what}: {self.table} has no column {unknown[0]}; it has {', '.join(map(str, table))}"
            )
        mixed = table.assign(**{column: _in_random_order(table[column], rng) for column in self.columns})
        return _NoisyTables(tables, self.table, mixed)


def _in_random_order(column: "pd.Series[Any]", rng: np.random.Generator) -> "pd.Series[Any]":
    """The values of a column in random order; missing values stay where they are."""
    places = np.arange(len(column))
    known = np.flatnonzero(column.notna())
    places[known] = rng.permutation(known)
    return column.take(places).set_axis(column.index)


class _NoisyTables(RunTables):
    """Tables of which one has been replaced; what is computed from it follows."""

    def __init__(self, tables: RunTables, name: str, replacement: pd.DataFrame) -> None:
        super().__init__(tables.runs)
        self._tables, self._name = tables, name
        self._replacement = add_kept_states(replacement, self.runs) if name == "gates" else replacement

    def read(self, name: str, *, ends: bool = False) -> pd.DataFrame:
        if name == self._name:
            return self._replacement
        if name in ("summary", "states") and self._name in SUMMARIZED:
            return super().read(name)
        return self._tables.read(name, ends=ends)


@dataclass(frozen=True)
class _Shuffled(Null):
    keys: tuple[str, ...]

    @property
    def what(self) -> str:
        return f"{', '.join(self.keys)} shuffled"

    def draw(self, tables: RunTables, rng: np.random.Generator) -> RunTables:
        known = {key for run in tables.runs for key in run.config}
        if unknown := [key for key in self.keys if key not in known]:
            raise UsageError(f"{self.what}: no run of the study has a key {unknown[0]}")
        others = [tables.runs[i] for i in rng.permutation(len(tables.runs))]
        pairs = zip(tables.runs, others, strict=True)
        return _ShuffledTables(tables, [self._relabelled(run, other) for run, other in pairs], self.keys)

    def _relabelled(self, run: Run, other: Run) -> Run:
        config = {**run.config, **{key: other.config.get(key) for key in self.keys}}
        moved = {"timesteps": other.info["timesteps"]} if "task.length" in self.keys else {}
        return replace(run, config=config, info={**run.info, **moved})


class _ShuffledTables(RunTables):
    """Tables of runs whose labels have changed; the rows of the runs are as they were."""

    def __init__(self, tables: RunTables, runs: Sequence[Run], keys: Sequence[str]) -> None:
        super().__init__(runs)
        self._tables, self._keys = tables, keys

    def read(self, name: str, *, ends: bool = False) -> pd.DataFrame:
        table = self._tables.read(name, ends=ends)
        if name == "summary":
            timesteps = [run.info["timesteps"] for run in self.runs]
            labels = {key: pd.Series(self._of_runs(key), dtype=object).infer_objects() for key in self._keys}
            return table.assign(**labels, timesteps=timesteps)
        with_rows = [key for key in self._keys if key in table]
        if not with_rows:
            return table
        run_of_row = table["run_id"].map({run.id: i for i, run in enumerate(self.runs)}).to_numpy(int)
        return table.assign(**{key: repeat_per_row(self._of_runs(key), run_of_row) for key in with_rows})

    def _of_runs(self, key: str) -> list[Any]:
        """The value of a key in each run."""
        return [run.config.get(key) for run in self.runs]
