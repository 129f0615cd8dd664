"""The grid of a sweep: expanded into the overrides of each run, before any value is checked. Imports no torch."""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from experiments.catalogue.choices import groups
from experiments.config.hydra_composer import DEFAULT_SCALE, HydraComposer, open_composer
from experiments.config.hydra_errors import explained, flat_keys
from experiments.config.hydra_keys import is_of_hydra, is_of_search, launcher_named, refuse_unused
from experiments.config.overrides import key_of
from experiments.errors import UsageError


class SearchGrid(NamedTuple):
    """The grid of a search, from which Optuna picks points one by one.

    Attributes:
        cfg: Hydra's composed configuration, with the options of the search in `hydra.sweeper`.
        choices: Overrides that the configuration was composed from.
        grids: Overrides of each grid of the study, lists, ranges and intervals among them.
        given: The user's overrides, those of the launcher left out.
    """

    cfg: DictConfig
    choices: list[str]
    grids: list[list[str]]
    given: list[str]


class Grid(NamedTuple):
    """The runs of a sweep.

    Attributes:
        words: The overrides as the user wrote them, for messages.
        points: Overrides of each run; none for a search.
        launcher: Overrides of Hydra's launcher, from the command line or the study's YAML file.
        search: The grid of a search; None for a sweep whose runs are known.
    """

    words: str
    points: Sequence[Sequence[str]]
    launcher: list[str]
    search: SearchGrid | None = None


def expand(overrides: Sequence[str], config_dir: Path | None = None) -> Grid:
    """Expand lists, ranges and the study's own axes.

    Args:
        overrides: KEY=VALUE, as on the command line.
        config_dir: Folder with the user's own choices.

    Raises:
        UsageError: An override does not follow Hydra's grammar, or names something that does not exist.
    """
    refuse_unused(overrides)
    for override in overrides:
        if re.match(r"[+~]*claims\b|~scale\b", override):
            raise UsageError(f"{override}: cannot be set here; claims and scales belong to the study's YAML file")
    words = " ".join(overrides)
    launcher = [override for override in overrides if is_of_hydra(override, "launcher")]
    given = [override for override in overrides if override not in launcher]
    with open_composer(config_dir) as composer:
        parsed = composer.parse(given)
        choices = _select_choices(parsed, config_dir)
        search_options = [override for override in choices if is_of_search(override)]
        cfg, is_search = _compose_choices(composer, choices, search_options)
        chosen_launcher = cfg.hydra.runtime.choices["hydra/launcher"]
        if launcher_named(launcher) is None and chosen_launcher != "basic":
            launcher = [f"hydra/launcher={chosen_launcher}", *launcher]
        if search_options and not is_search:
            raise UsageError(f"{search_options[0]}: is an option of a search; add hydra/sweeper=optuna")
        with explained(overrides):
            grids = _study_grids(parsed, cfg)
        if is_search:
            return Grid(words, [], launcher, SearchGrid(cfg, choices, grids, given))
        with explained(overrides):
            points = [point for grid in grids for point in _combine(composer.parse(grid))]
        points = _trim_points(points, cfg, lambda choice: composer.compose([*choices, choice]))
    return Grid(words, points, launcher)


def _compose_choices(
    composer: HydraComposer, choices: list[str], search_options: Sequence[str]
) -> tuple[DictConfig, bool]:
    """Compose the choices, with the options of the search if it is one; whether it is."""
    if "hydra/sweeper=optuna" not in choices:  # then the study's YAML file may say so
        cfg = composer.compose([override for override in choices if override not in search_options])
        is_search = cfg.hydra.runtime.choices["hydra/sweeper"] == "optuna"
        if not (is_search and search_options):
            return cfg, is_search
    cfg = composer.compose(choices)
    return cfg, cfg.hydra.runtime.choices["hydra/sweeper"] == "optuna"


def _select_choices(overrides: Sequence[Override], config_dir: Path | None) -> list[str]:
    """Select the overrides that decide which axes there are, such as the study and Hydra's sweeper.

    The options of choices are left out, since the choice itself may be an axis.
    """
    keys = {*groups(config_dir), "study.name", "scale", "scales", "results_dir"}
    return [
        o.input_line
        for o in overrides
        if o.input_line and not o.is_sweep_override()
        if o.key_or_group in keys or o.key_or_group.startswith("scales.") or is_of_hydra(o.key_or_group)
    ]


def _study_grids(overrides: Sequence[Override], cfg: DictConfig) -> list[list[str]]:
    """The overrides of each grid: the study's own axes that the user did not set, then the user's overrides.

    A study has several grids where it lists them under `scales`, for each of its scales; otherwise it has one. Runs at
    another scale than the default one go into a folder of their own.

    Raises:
        UsageError: The study does not have the scale.
    """
    if several := [o for o in overrides if o.key_or_group == "scale" and o.is_sweep_override()]:
        raise UsageError(f"{several[0].input_line}: give one scale at a time")
    scales = cfg.get("scales") or {DEFAULT_SCALE: [{}]}
    if cfg.scale not in scales:
        raise UsageError(f"scale={cfg.scale}: the study has no such scale; choose from {', '.join(scales)}")
    shared = dict(cfg.hydra.sweeper.params or {})
    if cfg.scale != DEFAULT_SCALE:
        shared["study.name"] = f"{cfg.study.name}-{cfg.scale}"
    given = {o.key_or_group for o in overrides}
    own = [o.input_line for o in overrides if o.input_line and o.key_or_group != "scale"]
    return [
        [f"{key}={value}" for key, value in {**shared, **grid}.items() if key not in given] + own
        for grid in scales[cfg.scale]
    ]


def _combine(overrides: Sequence[Override]) -> list[list[str]]:
    """Combine all values of all lists and ranges; the last key varies fastest.

    Raises:
        UsageError: An override is an interval, which has no list of values.
    """
    values: dict[str, list[str]] = {}
    for o in overrides:
        if o.is_sweep_override() and not o.is_discrete_sweep():
            raise UsageError(f"{o.input_line}: a grid needs a list or a range; for a search, add hydra/sweeper=optuna")
        key = o.get_key_element()
        texts = o.sweep_string_iterator() if o.is_sweep_override() else [o.get_value_element_as_str()]
        values[key] = [f"{key}={text}" for text in texts]
    return [list(point) for point in product(*values.values())]


class OptionsByChoice:
    """The options of each choice, for groups that have several choices among the points.

    Args:
        points: Overrides of each run.
        cfg: Configuration that they all build on.
        compose: Composes that configuration with one more choice.
    """

    def __init__(self, points: Sequence[Sequence[str]], cfg: DictConfig, compose: Callable[[str], DictConfig]) -> None:
        keys = dict.fromkeys(key_of(override) for point in points for override in point)
        self._defaults = {group: f"{group}={name}" for group, name in cfg.hydra.runtime.choices.items()}
        self._options: dict[str, set[str]] = {}
        chosen = [self._chosen(point) for point in points]
        for group in self._defaults:
            choices = dict.fromkeys(point[group] for point in chosen)
            if len(choices) > 1 and any(key.startswith(f"{group}.") for key in keys):
                self._options |= {choice: set(flat_keys(compose(choice)[group], f"{group}.")) for choice in choices}
        self._of_some = set().union(*self._options.values())

    def trim(self, point: Sequence[str]) -> list[str]:
        """Drop the options that a point's choices do not have; Hydra refuses an option that no choice has."""
        chosen = self._chosen(point)

        def fits(key: str) -> bool:
            return key not in self._of_some or key in self._options[chosen[key.partition(".")[0]]]

        return [override for override in point if fits(key_of(override))]

    def _chosen(self, point: Sequence[str]) -> Mapping[str, str]:
        return self._defaults | {key_of(override): override for override in point if key_of(override) in self._defaults}


def _trim_points(
    points: Sequence[Sequence[str]], cfg: DictConfig, compose: Callable[[str], DictConfig]
) -> list[list[str]]:
    """Trim all points and drop those that become the same: clip=none,norm clip.threshold=1,10 are three runs."""
    options = OptionsByChoice(points, cfg, compose)
    trimmed = [options.trim(point) for point in points]
    there = {frozenset(trim) for trim, point in zip(trimmed, points, strict=True) if len(trim) == len(point)}
    kept = []
    for trim, point in zip(trimmed, points, strict=True):
        if len(trim) == len(point) or frozenset(trim) not in there:
            kept.append(trim)
            there.add(frozenset(trim))
    return kept
