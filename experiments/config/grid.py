"""The grid of a sweep: which runs there are, before any is looked at. Imports no torch."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from experiments.catalogue.choices import groups
from experiments.config.hydra_adapter import SCALE, composing, explained, flat_keys
from experiments.config.hydra_keys import is_of_hydra, is_of_search, launcher_named, refuse_unused
from experiments.errors import UsageError


class Grid(NamedTuple):
    """What a sweep consists of.

    Attributes:
        words: with which it was asked for.
        points: the overrides of each run.
        launcher: what was said of Hydra's launcher, on the command line, or which one the study's YAML names.
        is_search: Whether Optuna's sweeper picks the points one by one; then there are none yet.
    """

    words: str
    points: Sequence[Sequence[str]]
    launcher: list[str]
    is_search: bool = False


def expand(overrides: Sequence[str], config_dir: Path | None = None) -> Grid:
    """Expand lists, ranges and a study's own axes.

    Raises:
        UsageError: what is not of Hydra's grammar, or names what there is not.
    """
    refuse_unused(overrides)
    for override in overrides:
        if re.match(r"[+~]*claims\b|~scale\b", override):
            raise UsageError(f"{override}: cannot be set here; a study's YAML names its claims and scales")
    words = " ".join(overrides)
    launcher = [override for override in overrides if is_of_hydra(override, "launcher")]
    with composing(config_dir) as composer:
        parsed = composer.parse([override for override in overrides if override not in launcher])
        fixed = deciding(parsed, config_dir)
        of_search = [override for override in fixed if is_of_search(override)]
        cfg = composer.compose([override for override in fixed if override not in of_search])
        chosen = cfg.hydra.runtime.choices
        if launcher_named(launcher) is None and chosen["hydra/launcher"] != "basic":
            launcher = [f"hydra/launcher={chosen['hydra/launcher']}", *launcher]
        if chosen["hydra/sweeper"] == "optuna":
            return Grid(words, [], launcher, is_search=True)
        if of_search:
            raise UsageError(f"{of_search[0]}: is an option of a search; add hydra/sweeper=optuna")
        with explained(overrides):
            grids = axes(parsed, cfg)
        try:
            split = [BasicSweeper.split_arguments(composer.parse(grid), max_batch_size=None)[0] for grid in grids]
        except HydraException as error:
            raise UsageError(f"{words}: {error}; for a search say hydra/sweeper=optuna") from None
        points = _fitting([point for grid in split for point in grid], cfg, lambda o: composer.compose([*fixed, o]))
    return Grid(words, points, launcher)


def deciding(overrides: Sequence[Override], config_dir: Path | None) -> list[str]:
    """The overrides that decide what the axes are: not the options of choices, since an axis may be the choice."""
    keys = {*groups(config_dir), "study.name", "scale", "scales", "results_dir"}
    return [
        o.input_line
        for o in overrides
        if o.input_line and not o.is_sweep_override()
        if o.key_or_group in keys or o.key_or_group.startswith("scales.") or is_of_hydra(o.key_or_group)
    ]


def axes(overrides: Sequence[Override], cfg: DictConfig) -> list[list[str]]:
    """The overrides of each grid: the study's own axes that the user did not set, then what the user says.

    A study has several grids where it lists them, for each of its scales, under `scales`; else one. What is not at the
    scale that a study has by itself goes into a folder of its own.

    Raises:
        UsageError: a scale that the study has not.
    """
    if several := [o for o in overrides if o.key_or_group == "scale" and o.is_sweep_override()]:
        raise UsageError(f"{several[0].input_line}: one scale at a time")
    scales = cfg.get("scales") or {SCALE: [{}]}
    if cfg.scale not in scales:
        raise UsageError(f"scale={cfg.scale}: the study has no such scale; choose from {', '.join(scales)}")
    shared = dict(cfg.hydra.sweeper.params or {})
    if cfg.scale != SCALE:
        shared["study.name"] = f"{cfg.study.name}-{cfg.scale}"
    given = {o.key_or_group for o in overrides}
    said = [o.input_line for o in overrides if o.input_line and o.key_or_group != "scale"]
    return [
        [f"{key}={value}" for key, value in {**shared, **grid}.items() if key not in given] + said
        for grid in scales[cfg.scale]
    ]


class Options:
    """Which options each choice has, where a group has several choices among some points.

    Args:
        points: The overrides of each.
        cfg: What they all build on.
        compose: The same with a choice.
    """

    def __init__(self, points: Sequence[Sequence[str]], cfg: DictConfig, compose: Callable[[str], DictConfig]) -> None:
        keys = dict.fromkeys(_key(override) for point in points for override in point)
        self._defaults = {group: f"{group}={name}" for group, name in cfg.hydra.runtime.choices.items()}
        self._options: dict[str, set[str]] = {}
        chosen = [self._chosen(point) for point in points]
        for group in self._defaults:
            choices = dict.fromkeys(point[group] for point in chosen)
            if len(choices) > 1 and any(key.startswith(f"{group}.") for key in keys):
                self._options |= {choice: set(flat_keys(compose(choice)[group], f"{group}.")) for choice in choices}
        self._of_some = set().union(*self._options.values())

    def trim(self, point: Sequence[str]) -> list[str]:
        """A point without the options that its choices have not; one that no choice has is left for Hydra to refuse."""
        chosen = self._chosen(point)

        def fits(key: str) -> bool:
            return key not in self._of_some or key in self._options[chosen[key.partition(".")[0]]]

        return [override for override in point if fits(_key(override))]

    def _chosen(self, point: Sequence[str]) -> Mapping[str, str]:
        return self._defaults | {_key(override): override for override in point if _key(override) in self._defaults}


def _fitting(points: Sequence[Sequence[str]], cfg: DictConfig, compose: Callable[[str], DictConfig]) -> list[list[str]]:
    """The trimmed points, each once: clip=none,norm clip.threshold=1,10 are three."""
    options = Options(points, cfg, compose)
    fitting = [options.trim(point) for point in points]
    there = {frozenset(fit) for fit, point in zip(fitting, points, strict=True) if len(fit) == len(point)}
    kept = []
    for fit, point in zip(fitting, points, strict=True):
        if len(fit) == len(point) or frozenset(fit) not in there:
            kept.append(fit)
            there.add(frozenset(fit))
    return kept


def _key(override: str) -> str:
    return override.partition("=")[0]
