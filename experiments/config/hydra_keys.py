"""Hydra's own keys: which ones bptt uses, and what to say in place of the others. Imports no Hydra."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.catalogue.choices import read_yaml
from experiments.errors import UsageError

INSTEAD = {
    "run": "set results_dir=FOLDER and study=NAME",
    "sweep": "set results_dir=FOLDER and study=NAME",
    "output_subdir": "set results_dir=FOLDER and study=NAME",
    "searchpath": "give --config-dir FOLDER",
}
"""What to use in bptt in place of these keys of Hydra."""

USED = "of Hydra's keys bptt uses hydra/launcher, hydra.launcher.*, hydra/sweeper and hydra.sweeper.*, in a sweep"
SWEEPERS = ("basic", "optuna")


def is_of_hydra(override: str, part: str = "") -> bool:
    """Whether an override is for Hydra itself, or a part of it: hydra/launcher=..., hydra.launcher.partition=..."""
    return re.match(rf"[+~]*hydra[./]{part}\b", override) is not None


def refuse_in_run(overrides: Iterable[str]) -> None:
    """Refuse all of Hydra's keys: one run has neither a launcher nor a sweeper.

    Raises:
        UsageError: One of the overrides is for Hydra.
    """
    refuse_unused(overrides)
    for override in overrides:
        if is_of_hydra(override, "launcher"):
            raise UsageError(f"{override}: one run is made in this process; `bptt sweep` takes a launcher")
        if is_of_hydra(override):
            raise UsageError(f"{override}: is for many runs; `bptt sweep` makes them")


def refuse_unused(overrides: Iterable[str]) -> None:
    """Refuse those of Hydra's keys that have no effect in bptt.

    Raises:
        UsageError: One of the overrides would not be heard.
    """
    for override in overrides:
        if is_of_hydra(override) and not is_of_hydra(override, "launcher") and not is_of_hydra(override, "sweeper"):
            raise UsageError(f"{override}: has no effect; {_instead(override)}")
        if override.startswith("hydra/sweeper=") and override.partition("=")[2] not in SWEEPERS:
            raise UsageError(f"{override}: there is no such sweeper; basic makes a grid, optuna searches")


def is_of_search(override: str) -> bool:
    """Whether an override is an option of Optuna's sweeper; the grid's has only the study's own axes, `params`."""
    return is_of_hydra(override, "sweeper") and not re.match(r"[+~]*hydra(/sweeper=|\.sweeper\.params\b)", override)


@lru_cache
def refuse_in_study(path: Path) -> None:
    """Refuse a study's YAML file that sets keys of Hydra which have no effect in bptt.

    Raises:
        UsageError: It does, or cannot be read.
    """
    for key in _keys_in_study(read_yaml(path)):
        if not is_of_hydra(key, "(launcher|sweeper)"):
            raise UsageError(f"{path}: {key} has no effect; {_instead(key)}")


def _keys_in_study(content: Mapping[str, Any]) -> list[str]:
    hydra = content.get("hydra")
    keys = [f"hydra.{key}" for key in hydra] if isinstance(hydra, Mapping) else []
    defaults = content.get("defaults")
    entries = defaults if isinstance(defaults, list) else []
    chosen = [str(key).removeprefix("override ").lstrip("/ ") for e in entries if isinstance(e, Mapping) for key in e]
    return keys + [key for key in chosen if key.startswith("hydra/")]


def launcher_named(overrides: Sequence[str]) -> str | None:
    """The launcher of `hydra/launcher=NAME`, if it is among the overrides."""
    names = [override.partition("=")[2] for override in overrides if override.startswith("hydra/launcher=")]
    return names[-1] if names else None


def _instead(key: str) -> str:
    found = re.match(r"[+~]*hydra[./](\w+)", key)
    return INSTEAD.get(found[1] if found else "", USED)
