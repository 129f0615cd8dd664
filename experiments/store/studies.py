"""Studies as they lie on the disk: their runs, what tells the runs apart, a run's tables. Imports no torch."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from experiments.errors import DamagedRun, UsageError
from experiments.store.columns import checked
from experiments.store.files import Value, read_csv
from experiments.store.integrity import CONFIG, damage_of
from experiments.store.locks import is_locked, read_info

MOST_NAMED = 20
"""Damaged runs that are named one by one."""


@dataclass(frozen=True)
class Run:
    """A run's folder, as far as it is written.

    Attributes:
        folder: its name is the run's id.
        config: the configuration, flat: 'cell' is the choice's name, 'task.length' its option, 'study' the folder.
        info: what run.json holds.
        prefix: of its id, where runs of several studies stand together.
    """

    folder: Path
    config: Mapping[str, Value]
    info: Mapping[str, Any] = field(repr=False)
    prefix: str = ""

    @cached_property
    def id(self) -> str:
        """What its rows are called: the same in every table."""
        return self.prefix + self.folder.name

    @property
    def is_probe(self) -> bool:
        """Whether nothing was trained."""
        return self.info.get("kind") == "probe"

    @property
    def states(self) -> list[str]:
        """Names of the cell's states, the output h first; only h for runs that do not record them."""
        return list(self.info.get("cell", {}).get("states", ["h"]))

    @property
    def kept_by(self) -> dict[str, str]:
        """The gate that keeps each state from one timestep to the next, such as {"c": "forget"}.

        A cell that keeps a state by one minus a gate has "1 - " before the gate's name. Empty if no gate keeps a state,
        and for runs that do not record it.
        """
        return dict(self.info.get("cell", {}).get("kept_by", {}))

    def table(self, name: str) -> pd.DataFrame:
        """NAME.csv; empty where the run has none.

        Raises:
            UsageError: it is not as `COLUMNS` says.
        """
        path = self.folder / f"{name}.csv"
        try:
            return checked(read_csv(path), name)
        except (FileNotFoundError, pd.errors.EmptyDataError):
            return pd.DataFrame()
        except ValueError as error:
            raise UsageError(f"{path}: is not a CSV file of a run: {error}") from None


def find_study(study: str, results_dir: str) -> Path:
    """The folder of a study, given by its name in results_dir or by its path.

    Raises:
        UsageError: there is none with runs in it.
    """
    results = Path(results_dir).expanduser()
    folders = [results / study, Path(study).expanduser()]
    for folder in folders:
        if (folder / "runs").is_dir():
            return folder
    for folder in folders:
        if folder.exists():
            raise UsageError(f"{folder}: is not the folder of a study: it has no folder runs")
    if not results.is_dir():
        raise UsageError(f"{study}: no such folder, nor is there a folder {results_dir}; run `bptt sweep` first")
    known = sorted(folder.parent.name for folder in results.glob("*/runs"))
    there = f"there is {', '.join(known)}" if known else "run `bptt run` or `bptt sweep` first"
    raise UsageError(f"{study}: no study of this name in {results_dir}, and no such folder; {there}")


class Damaged(NamedTuple):
    """A run that is left out because its files are not what the run wrote.

    Attributes:
        folder: Folder of the run.
        what: What is wrong with it, such as 'gradients.csv has 28 rows, but the run wrote 27'.
    """

    folder: Path
    what: str

    def __str__(self) -> str:
        return f"{self.folder}: {self.what}"


class Runs(list[Run]):
    """The runs of one study, or of several; damaged runs are left out and named.

    Args:
        runs: Runs that can be read.
        damaged: Runs that are left out.
    """

    def __init__(self, runs: Iterable[Run] = (), damaged: Iterable[Damaged] = ()) -> None:
        super().__init__(runs)
        self.damaged = list(damaged)

    def left_out(self) -> list[str]:
        """How many runs are left out, then a line for each; empty if none is."""
        return left_out(self.damaged, len(self) + len(self.damaged))


def left_out(damaged: Sequence[Damaged], runs: int) -> list[str]:
    """The lines that say which of how many runs are left out, and why; empty if none is."""
    if not damaged:
        return []
    headline = f"{len(damaged)} of {runs} runs {'is' if len(damaged) == 1 else 'are'} left out:"
    lines = [f"  {one}" for one in damaged[:MOST_NAMED]]
    return [headline, *lines, *([f"  and {len(damaged) - MOST_NAMED} more"] if len(damaged) > MOST_NAMED else [])]


def read_runs(study: Path) -> Runs:
    """All runs of a study, by id. A folder in which a run has only just begun is not counted.

    A run is damaged if its run.json or config.yaml cannot be read, if its files are not what it wrote, or if the
    folder is a copy of another run's.
    """
    runs = Runs()
    for folder in sorted((study / "runs").iterdir()):
        try:
            if info := read_info(folder):
                runs.append(_read_run(folder, info, study.name))
            elif list(folder.glob("*.csv")) and not is_locked(folder):
                raise DamagedRun(folder, "run.json is missing")
        except DamagedRun as error:
            runs.damaged.append(Damaged(folder, error.what))
        except FileNotFoundError:  # another process deletes it just now
            continue
    return runs


def _read_run(folder: Path, info: Mapping[str, Any], study: str) -> Run:
    """One run.

    Raises:
        DamagedRun: See `read_runs`.
        FileNotFoundError: The folder is gone.
    """
    try:
        config = _read_config((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not (folder / "run.json").exists():
            raise
        raise DamagedRun(folder, f"{CONFIG} is missing") from None
    except (ValueError, AttributeError, yaml.YAMLError) as error:
        raise DamagedRun(folder, f"{CONFIG} cannot be read ({str(error).splitlines()[0]})") from None
    _need(folder, "run.json", info, "status", "started", "timesteps", "readout_steps", "parameters")
    _need(folder, CONFIG, config, "cell", "task")
    try:
        what = damage_of(folder, info)
    except (AttributeError, LookupError, TypeError):
        what = "run.json has files that no run writes"
    if what:
        raise DamagedRun(folder, what)
    return Run(folder, {**config, "study": study}, info)


def _need(folder: Path, file: str, content: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if content.get(key) is None:
            raise DamagedRun(folder, f"{file} has no {key}")


def _read_config(text: str) -> dict[str, Value]:
    """The flat configuration, read a group at a time: the runs of a study have most of them in common."""
    flat: dict[str, Value] = {}
    for group in re.split(r"\n(?=\w)", text):
        flat |= _read_group(group)
    return flat


@lru_cache(maxsize=10_000)
def _read_group(text: str) -> dict[str, Value]:
    return flatten(yaml.load(text, Loader=yaml.CSafeLoader))


def read_studies(studies: Sequence[Path]) -> Runs:
    """The runs of one study, or of several, in which `study` then names the one that a run is of.

    Raises:
        UsageError: a study is given twice, or has no run yet.
    """
    if len({study.resolve() for study in studies}) < len(studies):
        raise UsageError(f"{', '.join(map(str, studies))}: the same study is given twice")
    names = [study.name for study in studies]
    together = Runs()
    for study in studies:
        runs = read_runs(study)
        if not runs and runs.damaged:
            raise UsageError(f"{study}: all {len(runs.damaged)} runs are damaged; the first is {runs.damaged[0]}")
        if not runs:
            raise UsageError(f"{study}: holds no run yet")
        together.damaged += runs.damaged
        label = study.name if names.count(study.name) == 1 else str(study)
        prefix = f"{label}/" if len(studies) > 1 else ""
        together += [replace(run, prefix=prefix, config={**run.config, "study": label}) for run in runs]
    return together


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """{'cell': {'name': 'lstm', 'forget_bias': 1}} as {'cell': 'lstm', 'cell.forget_bias': 1}; a list as its text."""
    flat: dict[str, Value] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        elif key == "name" and prefix:
            flat[prefix.removesuffix(".")] = value
        elif not key.startswith("_") and key != "results_dir":
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat
