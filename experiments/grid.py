"""The grid of a sweep: which runs there are, before any is looked at. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.errors import HydraException

from experiments.composition import Composer, composing, is_of_hydra
from experiments.errors import UsageError

SCALE = "small"
"""That every study has."""


class Grid(NamedTuple):
    """What a sweep consists of.

    Attributes:
        words: with which it was asked for.
        points: the overrides of each run.
        launcher: what was said of Hydra's launcher.
    """

    words: str
    points: list[list[str]]
    launcher: list[str]


def expand(overrides: Sequence[str], config_dir: Path | None = None) -> Grid:
    """Expand lists, ranges and a study's own axes.

    Raises:
        UsageError: what is not of Hydra's grammar, or names what there is not.
    """
    words = " ".join(overrides)
    launcher = [override for override in overrides if is_of_hydra(override, "launcher")]
    with composing(config_dir) as composer:
        grids = _axes([override for override in overrides if override not in launcher], composer)
        try:
            split = [BasicSweeper.split_arguments(composer.parse(grid), max_batch_size=None)[0] for grid in grids]
        except HydraException as error:
            raise UsageError(f"{words}: {error}; for a search say hydra/sweeper=optuna") from None
    return Grid(words, [point for grid in split for point in grid], launcher)


def is_search(overrides: Sequence[str]) -> bool:
    """Whether the overrides ask for Optuna's sweeper, which picks the points one by one."""
    return any(override.partition("=")[::2] == ("hydra/sweeper", "optuna") for override in overrides)


def _axes(overrides: Sequence[str], composer: Composer) -> list[list[str]]:
    """The overrides of each grid: the study's own axes that the user did not set, then what the user says.

    A study has several grids where it lists them, for each of its scales, under `scales`; else one. What is not at the
    scale that a study has by itself goes into a folder of its own.

    Raises:
        UsageError: a scale that the study has not.
    """
    parsed = composer.parse(overrides)
    fixed = [o.input_line for o in parsed if o.input_line and not o.is_sweep_override()]
    if several := [o for o in parsed if o.key_or_group == "scale" and o.is_sweep_override()]:
        raise UsageError(f"{several[0].input_line}: one scale at a time")
    cfg = composer.compose(fixed)
    scales = cfg.get("scales") or {SCALE: [{}]}
    if cfg.scale not in scales:
        raise UsageError(f"scale={cfg.scale}: the study has no such scale; choose from {', '.join(scales)}")
    shared = dict(cfg.hydra.sweeper.params or {})
    if cfg.scale != SCALE:
        shared["study.name"] = f"{cfg.study.name}-{cfg.scale}"
    given = {o.key_or_group for o in parsed}
    said = [o.input_line for o in parsed if o.input_line and o.key_or_group != "scale"]
    return [
        [f"{key}={value}" for key, value in {**shared, **grid}.items() if key not in given] + said
        for grid in scales[cfg.scale]
    ]
