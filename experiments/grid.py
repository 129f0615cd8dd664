"""The grid of a sweep: which runs there are, before any is looked at. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.errors import HydraException

from experiments.catalogue import groups
from experiments.composition import SCALE, Composer, composing, is_of_hydra
from experiments.errors import UsageError


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
        points = _fitting([point for grid in split for point in grid], composer)
    return Grid(words, points, launcher)


def _fitting(points: Sequence[Sequence[str]], composer: Composer) -> list[list[str]]:
    """The points without options that their choices have not, each once: clip=none,norm clip.threshold=1,10 are three.

    An option that no choice of its group has is left for Hydra to refuse.
    """
    values: dict[str, set[str]] = {}
    for override in {override for point in points for override in point}:
        values.setdefault(override.partition("=")[0], set()).add(override)
    options = {
        choice: {f"{group}.{option}" for option in composer.compose([choice])[group]}
        for group in groups(composer.config_dir)
        if len(values.get(group, ())) > 1 and any(key.startswith(f"{group}.") for key in values)
        for choice in values[group]
    }
    of_some = set().union(*options.values())

    def fits(override: str, point: Sequence[str]) -> bool:
        key = override.partition("=")[0]
        group = key.partition(".")[0]
        chosen = [options[other] for other in point if other in options and other.startswith(f"{group}=")]
        return key not in of_some or not chosen or key in chosen[-1]

    kept: list[list[str]] = []
    seen = set()
    for point in points:
        fitting = [override for override in point if fits(override, point)]
        if len(fitting) == len(point) or tuple(fitting) not in seen:
            kept.append(fitting)
        seen.add(tuple(fitting))
    return kept


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
    deciding = {*groups(composer.config_dir), "scale", "study.name"}
    fixed = [o.input_line for o in parsed if o.input_line and o.key_or_group in deciding and not o.is_sweep_override()]
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
