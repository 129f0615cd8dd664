"""Which runs share a line or a panel of a figure, and what the lines and panels are called."""

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
"""More lines than this are thin, have neither bands nor markers, and share the colours of their first key."""

Which = Literal["trainings", "trainings alone", "probes", "all"]


@dataclass(frozen=True)
class Grouping:
    """The runs of a figure, grouped into lines and panels. Runs of the same group differ in their seed only.

    Attributes:
        runs: Runs that are shown.
        lines: Keys whose values name a line.
        facet: Key whose values are panels side by side; None for a single panel.
        axes: Keys on the axes of the figure.
    """

    runs: Sequence[Run]
    lines: Sequence[str]
    facet: str | None
    axes: Sequence[str] = ()

    @cached_property
    def line_of(self) -> dict[str, str]:
        """Name of each run's line, by the id of the run."""
        return {run.id: self._name(run) for run in self.runs}

    def _name(self, run: Run) -> str:
        words = [format_value(run.config.get(key)) for key in self.lines]
        return ", ".join(words + ["trained"] * bool(run.info.get("checkpoint")))

    @cached_property
    def title_of(self) -> dict[str, str]:
        """Name of each line in the title of its own panel, with the keys, because no legend names them."""
        titles = {}
        for run in self.runs:
            words = [titled(key, run.config.get(key)) for key in self.lines]
            titles[self.line_of[run.id]] = ", ".join(words + ["trained"] * bool(run.info.get("checkpoint")))
        return titles

    @cached_property
    def facet_of(self) -> dict[str, str]:
        """Name of each run's panel, by the id of the run; empty if there is a single panel."""
        key = self.facet
        return {run.id: "" if key is None else f"{key} = {format_value(run.config.get(key))}" for run in self.runs}

    @cached_property
    def line_names(self) -> list[str]:
        """Names of all lines, in the order of the values of their keys."""
        one_each = {self.line_of[run.id]: run for run in reversed(self.runs)}
        names = dict.fromkeys(self.line_of.values())
        return sorted(names, key=lambda name: [rank(one_each[name].config.get(key)) for key in self.lines])

    @cached_property
    def facet_names(self) -> list[str]:
        """Names of all panels side by side, in the order of the facet's values."""
        ordered = sorted(self.runs, key=lambda run: rank(run.config.get(self.facet or "")))
        return list(dict.fromkeys(self.facet_of[run.id] for run in ordered))

    @cached_property
    def seeds(self) -> list[int]:
        """All numbers of seeds that occur in a group, in rising order."""
        lines, facets, axes = self.line_of, self.facet_of, self.axes
        places = Counter((lines[run.id], facets[run.id], *(run.config.get(key) for key in axes)) for run in self.runs)
        return sorted(set(places.values()))

    @cached_property
    def colour_keys(self) -> list[str]:
        """Keys that the colours show: all keys of the lines' names but the seed; of many lines only the first."""
        keys = [key for key in self.lines if not is_seed(key)]
        return keys if len(set(self._named_by(keys).values())) <= MOST_LINES else keys[:1]

    @cached_property
    def colour_names(self) -> dict[str, str]:
        """Name of each line's colour: lines that differ in their seed only share a colour."""
        names = self._named_by(self.colour_keys)
        return {line: names[line] for line in self.line_names}

    def _named_by(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the name of each line by some of its keys."""
        if list(keys) == list(self.lines):
            return {line: line for line in self.line_names}
        if not keys:
            return dict.fromkeys(self.line_names, "a line for each seed")
        shorter = replace(self, lines=keys).line_of
        return {line: shorter[run_id] for run_id, line in self.line_of.items()}

    @cached_property
    def ordered_key(self) -> str | None:
        """Key of the colours with the most values among those with numbers; None if there is none."""
        return next(iter(numeric_keys(self.runs, among=self.colour_keys)), None)

    @cached_property
    def hues(self) -> dict[str, str]:
        """What gives each colour its hue: the cell if there are several, else the values that are not numbers."""
        cells: dict[str, set[str]] = {}
        for run in self.runs:
            cells.setdefault(self.colour_names[self.line_of[run.id]], set()).add(str(run.config.get("cell")))
        if all(len(those) == 1 for those in cells.values()) and len(set.union(*cells.values())) > 1:
            return {name: next(iter(those)) for name, those in cells.items()}
        rest = [key for key in self.colour_keys if key != self.ordered_key]
        if self.ordered_key is None or not rest:
            return {}
        groups = self._named_by(rest)
        return {name: groups[line] for line, name in self.colour_names.items()}


def group_runs(
    runs: Sequence[Run],
    *,
    compare: str | None = None,
    facet: str | None = None,
    axes: Sequence[str] = (),
    which: Which = "trainings",
    rows: bool = False,
) -> Grouping:
    """Group runs into lines and panels by the given keys, and by the other keys that differ between the runs.

    Args:
        runs: Runs of one study or several.
        compare: Key that comes first in the name of a line. None: the study if there are several, else the key with
            the most values.
        facet: Key of the panels side by side. None: the key with the next most values, if they are few.
        axes: Keys on the axes of the figure.
        which: Runs that are shown: trainings (probes if there is nothing else), trainings alone, probes, or all.
        rows: Whether each line is a row, of which a panel holds many: panels stand side by side only if there are more
            than `MOST_LINES` lines, and by the key with the fewest values.

    Raises:
        UsageError: No run has the key, or the same key is given twice.
    """
    if which == "trainings":
        runs = [run for run in runs if not run.is_probe] or runs
    elif which == "trainings alone":
        runs = [run for run in runs if not run.is_probe]
    elif which == "probes":
        runs = [run for run in runs if run.is_probe]
    if which == "all":
        return Grouping(runs, [compare or "cell"], facet)
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
    if rows and len({tuple(run.config.get(key) for key in lines + differing) for run in runs}) <= MOST_LINES:
        return Grouping(runs, lines + differing, facet, axes)
    place = -1 if rows else 0
    if facet is None and differing and values[differing[place]] <= MOST_FACETS:
        facet = differing.pop(place)
    return Grouping(runs, lines + differing, facet, axes)


def numeric_keys(
    runs: Sequence[Run], *, among: Sequence[str] | None = None, taken: Sequence[str | None] = ()
) -> list[str]:
    """Return the keys whose values are numbers and differ between the runs, those with the most values first."""
    keys = [key for key in (compared_keys(runs) if among is None else among) if key not in taken]
    values = {key: {run.config.get(key) for run in runs} - {None} for key in keys}
    numeric = [key for key in keys if len(values[key]) > 1 and all(map(is_number, values[key]))]
    return sorted(numeric, key=lambda key: -len(values[key]))
