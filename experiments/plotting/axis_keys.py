"""The configuration keys on the axes of a figure."""

from collections.abc import Sequence
from typing import Any

from experiments.figures import FigureDescription
from experiments.plotting.grouping import numeric_keys
from experiments.plotting.view import View
from experiments.store.config_keys import format_value, is_number, rank
from experiments.store.studies import Run


class LeftOut(Exception):
    """A figure has nothing to show; the message says why."""


def choose_axis_keys(kind: FigureDescription, runs: Sequence[Run], view: View) -> dict[str, str]:
    """Choose the key on each axis: the one that the view names, the figure's own, or one with several numbers.

    Args:
        kind: Description of the figure.
        runs: Runs of the figure.
        view: View with the keys that were asked for.

    Returns:
        Keys by axis, 'x' or 'y'; empty if the figure has no keys on its axes.

    Raises:
        LeftOut: The runs do not differ in the key, or its values are not numbers.
    """
    if kind.axes is None:
        return {}
    given = {"x": view.x, "y": view.y}
    has_open_axis = any(not given[axis] and not default for axis, default in kind.axes.items())
    spare = numeric_keys(runs, taken=[view.compare, view.facet, *given.values()]) if has_open_axis else []
    chosen: dict[str, str] = {}
    for axis, default in kind.axes.items():
        key = given[axis] or default or (spare.pop(0) if spare else None)
        values: set[Any] = {run.config.get(key or "") for run in runs}
        if not kind.uses_colour_option:
            values -= {None}
        if key is None or len(values) < 2:
            raise LeftOut(f"needs runs that differ in {key or 'two keys of numbers; choose other keys by --x and --y'}")
        if key == view.facet:
            raise LeftOut(f"has {key} on its {axis} axis, which cannot name the panels as well")
        if not kind.uses_colour_option and not all(map(is_number, values)):
            there = ", ".join(map(format_value, sorted(values, key=rank)))
            raise LeftOut(f"needs numbers on its {axis} axis, and the values of {key} are {there}")
        chosen[axis] = key
    return chosen
