"""The axes of panels: limits, names and numbers, so that they fit the space and are written once where they agree."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter

from experiments.drawing.style import MARKER_SIZE
from experiments.drawing.text_wrapping import text_width

PLAIN = (1e-3, 1e5)
"""Numbers between these limits are written out: 20 instead of 2 times 10 to the power of 1."""


def share_limits(axes: Sequence[Axes]) -> None:
    """Give all axes of the same quantity the same limits, so that panels before and after training can be compared."""
    for name in ("xaxis", "yaxis"):
        alike: dict[tuple[str, str], list[Axis]] = {}
        for ax in axes:
            axis: Axis = getattr(ax, name)
            if ax.has_data():
                alike.setdefault((axis.get_label_text(), axis.get_scale()), []).append(axis)
        for group in alike.values():
            limits = np.array([axis.get_view_interval() for axis in group])
            for axis in group:
                axis.set_view_interval(limits.min(), limits.max(), ignore=True)


def label_outer(grid: Mapping[tuple[int, int], Axes]) -> None:
    """Write names and numbers that neighbouring panels share once, at the left and at the bottom.

    Args:
        grid: Axes by row and column.
    """
    for (row, column), ax in grid.items():
        beside, below = grid.get((row, column - 1)), grid.get((row + 1, column))
        if beside and beside.get_ylabel() == ax.get_ylabel():
            ax.yaxis.label.set_visible(False)
            ax.tick_params(which="both", labelleft=_numbers(ax.yaxis) != _numbers(beside.yaxis))
        if below and below.get_xlabel() == ax.get_xlabel():
            ax.xaxis.label.set_visible(False)
            ax.tick_params(which="both", labelbottom=_numbers(ax.xaxis) != _numbers(below.xaxis))


def _numbers(axis: Axis) -> tuple[object, ...]:
    """Return what determines the numbers of an axis."""
    fixed = isinstance(axis.get_major_locator(), FixedLocator)
    words = [text.get_text() for text in axis.get_ticklabels()] if fixed else []
    return axis.get_scale(), *axis.get_view_interval(), *words


def space_numbers(ax: Axes, *, width: float, height: float, points: float) -> None:
    """Write as many numbers on the axes as there is space for.

    Args:
        ax: Axes of the panel.
        width: Width of the panel's inside in inches.
        height: Height of the panel's inside in inches.
        points: Size of the numbers.
    """
    for axis, inches in ((ax.xaxis, width), (ax.yaxis, height)):
        locator = axis.get_major_locator()
        if isinstance(locator, FixedLocator):
            texts = axis.get_ticklabels()
            widest = max((text_width(text.get_text(), points) for text in texts), default=0.0)
            upright = axis is ax.xaxis and not (texts and texts[0].get_rotation())
            needed = widest + points / 72 if upright else 1.25 * points / 72
            every = math.ceil(needed * len(texts) / inches)
            if every > 1:
                look: dict[str, Any] = {"rotation": texts[0].get_rotation()}
                axis.set_ticks(axis.get_majorticklocs()[::every], [text.get_text() for text in texts][::every], **look)
        elif axis.get_scale() == "log":
            write_plain_numbers(axis, inches=inches, points=points)
        elif axis is ax.xaxis and isinstance(locator, MaxNLocator):
            low, high = axis.get_view_interval()
            widest = max(text_width(f"{number:.4g}", points) for number in (low, high))
            places = np.concatenate([np.asarray(line.get_xdata(), float) for line in ax.get_lines()] or [np.zeros(0)])
            whole = bool(np.all(places % 1 == 0))
            locator.set_params(nbins=int(np.clip(inches / (widest + 1.5 * points / 72), 2, 9)), integer=whole)
            if whole and high - low < 1:
                axis.set_ticks(np.arange(math.ceil(low), high))


def write_plain_numbers(axis: Axis, *, inches: float, points: float) -> None:
    """Write the numbers of a log axis of less than two decades out, as many as there is space for.

    Args:
        axis: The axis; an axis with another scale or range keeps its numbers.
        inches: Length of the axis.
        points: Size of the numbers.
    """
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() != "log" or high >= 100 * low or low < PLAIN[0] or high > PLAIN[1]:
        return
    decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    spaced = ((1, 2, 5), (1, 3), (1,))
    space = inches * 72 / (2.5 * points)
    there = {subs: sum(low <= sub * decade <= high for decade in decades for sub in subs) for subs in spaced}
    subs = next((subs for subs in spaced if 2 <= there[subs] <= space), spaced[0])
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def space_markers(ax: Axes, width: float) -> None:
    """Space markers so far apart that the dashes between them are visible.

    Args:
        ax: Axes of the panel.
        width: Width of the panel's inside in inches, for text of 8 points.
    """
    most = max(2, int(width * 72 / (4.5 * MARKER_SIZE)))
    for line in ax.get_lines():
        if line.get_markevery() is not None:
            line.set_markevery(math.ceil(len(np.atleast_1d(line.get_xdata())) / most))
