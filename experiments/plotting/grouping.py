"""Which runs stand together in a figure: what names a line, a panel, an axis."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from experiments.errors import UsageError
from experiments.store.config_keys import compared_keys, format_value, is_number, is_seed, rank, titled
from experiments.store.studies import Run

MOST_FACETS = 6
MOST_LINES = 14
"""More lines than this are drawn thin, without bands and markers, and share the colours of their first key."""


Which = Literal["trainings", "probes", "all"]


@dataclass(frozen=True)
class Arrangement:
    """How the runs of a figure are told apart: together, its keys are all that differs but the seed.

    Attributes:
        runs: that are shown.
        lines: the keys whose values name a line; runs that share all of them differ in their seed only.
        facet: the key whose values are panels side by side.
        axes: the keys on the figure's own axes.
    """

    runs: Sequence[Run]
    lines: Sequence[str]
    facet: str | None
    axes: Sequence[str] = ()

    @cached_property
    def line_of(self) -> dict[str, str]:
        """What each run's line is called, by the run's id."""
        return {run.id: self._name(run) for run in self.runs}

    def _name(self, run: Run) -> str:
        words = [format_value(run.config.get(key)) for key in self.lines] + ["trained"] * bool(
            run.info.get("checkpoint")
        )
        name = ", ".join(words)
        return f"\u200b{name}" if name.startswith("_") else name  # an underscore hides a label from the legend

    @cached_property
    def title_of(self) -> dict[str, str]:
        """What each line is called in the title of its own panel, which has no legend to name the keys."""
        titles = {}
        for run in self.runs:
            words = [titled(key, run.config.get(key)) for key in self.lines]
            titles[self.line_of[run.id]] = ", ".join(words + ["trained"] * bool(run.info.get("checkpoint")))
        return titles

    @cached_property
    def facet_of(self) -> dict[str, str]:
        """What each run's panel is called, by the run's id; empty where there is one for all."""
        key = self.facet
        return {run.id: "" if key is None else f"{key} = {format_value(run.config.get(key))}" for run in self.runs}

    @cached_property
    def line_names(self) -> list[str]:
        """All lines, in the order of their keys' values."""
        one_each = {self.line_of[run.id]: run for run in reversed(self.runs)}
        names = dict.fromkeys(self.line_of.values())
        return sorted(names, key=lambda name: [rank(one_each[name].config.get(key)) for key in self.lines])

    @cached_property
    def facet_names(self) -> list[str]:
        """All panels side by side, in the order of the facet's values."""
        in_turn = sorted(self.runs, key=lambda run: rank(run.config.get(self.facet or "")))
        return list(dict.fromkeys(self.facet_of[run.id] for run in in_turn))

    @cached_property
    def seeds(self) -> list[int]:
        """How many runs stand at one place, which differ in their seed only: all numbers that occur, rising."""
        lines, facets, axes = self.line_of, self.facet_of, self.axes
        places = Counter((lines[run.id], facets[run.id], *(run.config.get(key) for key in axes)) for run in self.runs)
        return sorted(set(places.values()))

    @cached_property
    def look_keys(self) -> list[str]:
        """The keys that colours tell apart: all that name lines but the seed; of very many lines the first one only."""
        keys = [key for key in self.lines if not is_seed(key)]
        return keys if len(set(self._named_by(keys).values())) <= MOST_LINES else keys[:1]

    @cached_property
    def looks(self) -> dict[str, str]:
        """What the colour of each line stands for. Seeds repeat a run and share a colour."""
        names = self._named_by(self.look_keys)
        return {line: names[line] for line in self.line_names}

    def _named_by(self, keys: Sequence[str]) -> dict[str, str]:
        """The name of each line by some of its keys."""
        if list(keys) == list(self.lines):
            return {line: line for line in self.line_names}
        if not keys:
            return dict.fromkeys(self.line_names, "a line for each seed")
        shorter = replace(self, lines=keys).line_of
        return {line: shorter[run_id] for run_id, line in self.line_of.items()}

    @cached_property
    def ordered_key(self) -> str | None:
        """The key of the colours that has the most numbers as its values."""
        return next(iter(numeric_keys(self.runs, among=self.look_keys)), None)

    @cached_property
    def hues(self) -> dict[str, str]:
        """What each look has its hue from: its cell where there are several, else the values that are no numbers."""
        cells: dict[str, set[str]] = {}
        for run in self.runs:
            cells.setdefault(self.looks[self.line_of[run.id]], set()).add(str(run.config.get("cell")))
        if all(len(those) == 1 for those in cells.values()) and len(set.union(*cells.values())) > 1:
            return {look: next(iter(those)) for look, those in cells.items()}
        rest = [key for key in self.look_keys if key != self.ordered_key]
        if self.ordered_key is None or not rest:
            return {}
        groups = self._named_by(rest)
        return {look: groups[line] for line, look in self.looks.items()}


def arrange(
    runs: Sequence[Run],
    *,
    compare: str | None = None,
    facet: str | None = None,
    axes: Sequence[str] = (),
    which: Which = "trainings",
) -> Arrangement:
    """Tell runs apart by what was asked for, and for the rest by the keys with the most values.

    Args:
        runs: of one study or several.
        compare: the key that names a line first; None: the study where there are several, else the one with the most
            values.
        facet: the key of the panels; None: the one with the next most values, if they are few.
        axes: keys that the figure has on its axes.
        which: the trainings, so that no probe stands in for a seed (the probes where there is nothing else); the
            probes; or both.

    Raises:
        UsageError: a key that no run has.
    """
    if which == "trainings":
        runs = [run for run in runs if not run.is_probe] or runs
    elif which == "probes":
        runs = [run for run in runs if run.is_probe]
    if which == "all":
        return Arrangement(runs, [compare or "cell"], facet)
    for option, key in (("--compare", compare), ("--facet", facet)):
        if key is not None and runs and not any(key in run.config for run in runs):
            known = dict.fromkeys(key for run in runs for key in run.config)
            raise UsageError(f"{option} {key}: no run has this key; there is {', '.join(known)}")
    if compare is not None and compare == facet:
        raise UsageError(f"--compare {compare} --facet {facet}: one key cannot name lines and panels")
    values = {key: len({run.config.get(key) for run in runs}) for key in compared_keys(runs) if key not in axes}
    differing = sorted((key for key in values if key not in (compare, facet)), key=lambda key: -values[key])
    if compare is None and facet != "study" and "study" in differing:
        compare = "study"
        differing.remove("study")
    lines = [compare or (differing.pop(0) if differing else "cell")]
    if lines[0] in axes:
        lines = []
    if facet is None and differing and values[differing[0]] <= MOST_FACETS:
        facet = differing.pop(0)
    return Arrangement(runs, lines + differing, facet, axes)


def numeric_keys(
    runs: Sequence[Run], *, among: Sequence[str] | None = None, taken: Sequence[str | None] = ()
) -> list[str]:
    """The keys whose values differ and are numbers, those with the most values first."""
    keys = [key for key in (compared_keys(runs) if among is None else among) if key not in taken]
    values = {key: {run.config.get(key) for run in runs} - {None} for key in keys}
    numeric = [key for key in keys if len(values[key]) > 1 and all(map(is_number, values[key]))]
    return sorted(numeric, key=lambda key: -len(values[key]))
