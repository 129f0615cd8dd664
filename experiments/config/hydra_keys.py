"""Hydra's own keys: which ones bptt uses, and what to use in place of the others. Imports no Hydra."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.catalogue.choices import read_yaml
from experiments.errors import UsageError

STUDY_FOLDER = "set results_dir=FOLDER and study=NAME"
INSTEAD = {
    "run": STUDY_FOLDER,
    "sweep": STUDY_FOLDER,
    "output_subdir": STUDY_FOLDER,
    "searchpath": "give --config-dir FOLDER",
    "sweeper.max_failure_rate": "a trial that fails gets the worst value, and the search continues",
}
"""What to do in bptt in place of setting these keys of Hydra, which have no effect."""

USED = "the only keys of Hydra that bptt uses are hydra/launcher, hydra.launcher.*, hydra/sweeper and hydra.sweeper.*"
SWEEPERS = ("basic", "optuna")


def is_of_hydra(override: str, part: str = "") -> bool:
    """Whether an override is for Hydra itself, or a part of it: hydra/launcher=..., hydra.launcher.partition=..."""
    return re.match(rf"[+~]*hydra[./]{part}\b", override) is not None


def refuse_in_run(overrides: Iterable[str]) -> None:
    """Refuse all of Hydra's keys: a single run has neither a launcher nor a sweeper.

    Raises:
        UsageError: One of the overrides is for Hydra.
    """
    refuse_unused(overrides)
    for override in overrides:
        if is_of_hydra(override, "launcher"):
            raise UsageError(f"{override}: a single run needs no launcher; `bptt sweep` takes one")
        if is_of_hydra(override):
            raise UsageError(f"{override}: is for several runs; use `bptt sweep`")


def refuse_unused(overrides: Iterable[str]) -> None:
    """Refuse those of Hydra's keys that have no effect in bptt.

    Raises:
        UsageError: One of the overrides has no effect.
    """
    for override in overrides:
        if is_of_hydra(override) and not _is_used(override):
            raise UsageError(f"{override}: has no effect; {_instead(override)}")
        if override.startswith("hydra/sweeper=") and override.partition("=")[2] not in SWEEPERS:
            raise UsageError(f"{override}: there is no such sweeper; basic runs a grid, optuna searches")


def is_of_search(override: str) -> bool:
    """Whether an override is an option of Optuna's sweeper; a grid's sweeper has only the axes, `params`."""
    return is_of_hydra(override, "sweeper") and not re.match(r"[+~]*hydra(/sweeper=|\.sweeper\.params\b)", override)


@lru_cache
def refuse_in_study(path: Path) -> None:
    """Refuse a study's YAML file that sets keys of Hydra which have no effect in bptt.

    Raises:
        UsageError: The file sets such a key, or cannot be read.
    """
    for key in _keys_in_study(read_yaml(path)):
        if not _is_used(key):
            raise UsageError(f"{path}: {key} has no effect; {_instead(key)}")


def launcher_named(overrides: Sequence[str]) -> str | None:
    """The launcher of `hydra/launcher=NAME`, if it is among the overrides."""
    names = [override.partition("=")[2] for override in overrides if override.startswith("hydra/launcher=")]
    return names[-1] if names else None


def _is_used(key: str) -> bool:
    return is_of_hydra(key, "(launcher|sweeper)") and not is_of_hydra(key, r"sweeper\.max_failure_rate")


def _keys_in_study(content: Mapping[str, Any]) -> list[str]:
    hydra = content.get("hydra")
    keys = _dotted("hydra", hydra) if isinstance(hydra, Mapping) else []
    defaults = content.get("defaults")
    entries = defaults if isinstance(defaults, list) else []
    chosen = [str(key).removeprefix("override ").lstrip("/ ") for e in entries if isinstance(e, Mapping) for key in e]
    return keys + [key for key in chosen if key.startswith("hydra/")]


def _dotted(prefix: str, content: Mapping[str, Any]) -> list[str]:
    """The keys of Hydra's node: of its sweeper each key, since not all have an effect."""
    keys = []
    for name, value in content.items():
        inside = name == "sweeper" and isinstance(value, Mapping)
        keys += _dotted(f"{prefix}.{name}", value) if inside else [f"{prefix}.{name}"]
    return keys


def _instead(key: str) -> str:
    return next((use for name, use in INSTEAD.items() if is_of_hydra(key, name.replace(".", r"\."))), USED)
