"""What stands around the panels of a figure: legend, caption, colour bar, the names and numbers of the axes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter

from experiments.drawing.captions import sentences
from experiments.drawing.style import Colours, text_width, wrap
from experiments.figures import Description
from experiments.plotting.grouping import MOST_LINES, Arrangement
from experiments.store.config_keys import is_seed

MOST_BRIEF = 6
"""So many of the values of a long order are named in a legend."""

PLAIN = (1e-3, 1e5)
"""Numbers between these are written out: 20, not 2 times 10 to the power of 1."""


def share_limits(axes: Sequence[Axes]) -> None:
    """Give panels of the same quantity the same limits, so that before and after training can be compared."""
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
    """Name what panels have in common once, at the left and below; numbers too where they are the same.

    Args:
        grid: The panels by row and column.
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
    """What the numbers of an axis follow from."""
    fixed = isinstance(axis.get_major_locator(), FixedLocator)
    words = [text.get_text() for text in axis.get_ticklabels()] if fixed else []
    return axis.get_scale(), *axis.get_view_interval(), *words


def space_numbers(ax: Axes, width: float, height: float) -> None:
    """Have so many numbers on the axes as there is space for, written as people write them.

    Args:
        ax: The panel.
        width: Of its inside, in inches.
        height: Of its inside, in inches.
    """
    for axis, inches in ((ax.xaxis, width), (ax.yaxis, height)):
        points = mpl.rcParams["xtick.labelsize"]
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
            write_plain_numbers(axis, inches)
        elif axis is ax.xaxis and isinstance(locator, MaxNLocator):
            low, high = axis.get_view_interval()
            widest = max(text_width(f"{number:.4g}", points) for number in (low, high))
            places = np.concatenate([np.asarray(line.get_xdata(), float) for line in ax.get_lines()] or [np.zeros(0)])
            whole = bool(np.all(places % 1 == 0))
            locator.set_params(nbins=int(np.clip(inches / (widest + 1.5 * points / 72), 2, 9)), integer=whole)
            if whole and high - low < 1:
                axis.set_ticks(np.arange(math.ceil(low), high))


def write_plain_numbers(axis: Axis, inches: float) -> None:
    """Write a log axis of less than two decades in plain numbers, as many as there is space for."""
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() != "log" or high >= 100 * low or low < PLAIN[0] or high > PLAIN[1]:
        return
    decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    spaced = ((1, 2, 5), (1, 3), (1,))
    space = inches * 72 / (2.5 * mpl.rcParams["xtick.labelsize"])
    there = {subs: sum(low <= sub * decade <= high for decade in decades for sub in subs) for subs in spaced}
    subs = next((subs for subs in spaced if 2 <= there[subs] <= space), spaced[0])
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def space_markers(ax: Axes, width: float) -> None:
    """Set markers so far apart that the dashes between them show.

    Args:
        ax: The panel.
        width: Of its inside, in inches where text has 8 points.
    """
    most = max(2, int(width * 72 / (4.5 * mpl.rcParams["lines.markersize"])))
    for line in ax.get_lines():
        if line.get_markevery() is not None:
            line.set_markevery(math.ceil(len(np.atleast_1d(line.get_xdata())) / most))


def add_colour_bar(figure: Figure, *, below: bool) -> None:
    """Add one colour bar for all maps: they share their scale."""
    meshes = [mesh for ax in figure.axes for mesh in ax.collections if isinstance(mesh, QuadMesh)]
    if scaled := [mesh for mesh in meshes if not str(mesh.get_label()).startswith("_")]:
        length = figure.get_figwidth() if below else figure.get_figheight()
        shrink = min(1.0, (3.0 if below else 6.0) / length)
        place: dict[str, Any] = {"location": "bottom" if below else "right", "aspect": 30 * shrink, "shrink": shrink}
        bar = figure.colorbar(scaled[0], ax=figure.axes, pad=0.02, **place)
        bar.set_label(str(scaled[0].get_label()))
        bar.outline.set_visible(False)
        write_plain_numbers(bar.long_axis, shrink * length)
        if bar.long_axis.get_scale() == "symlog":
            bar.long_axis.set_major_formatter("{x:g}")


def legend_entries(figure: Figure, style: Colours, arrangement: Arrangement) -> tuple[dict[str, Artist], str]:
    """Choose what a legend names, one for all panels: the same line has the same look in each.

    Lines of one colour have one entry. Of many numbers in order, a few are named.

    Returns:
        The artists by their names, and the title.
    """
    there: dict[str, Artist] = {}
    for ax in figure.axes:
        for artist in ax.get_lines():
            there.setdefault(str(artist.get_label()), artist)
    entries: dict[str, Artist] = {}
    for line in style:
        if line in there:
            entries.setdefault(arrangement.looks[line], there[line])
    title = ", ".join(arrangement.look_keys) if entries else ""
    if title and any(map(is_seed, arrangement.lines)):
        title += " (a line for each seed)"
    if len(entries) > MOST_LINES and arrangement.ordered_key:
        names = list(entries)
        title += f", {len(names)} values"
        named = np.linspace(0, len(names) - 1, MOST_BRIEF).round().astype(int)
        entries = {names[i]: entries[names[i]] for i in named}
    entries |= {name: artist for name, artist in there.items() if name not in style and not name.startswith("_")}
    return entries, title


def add_legend(figure: Figure, entries: Mapping[str, Artist], title: str, width: float) -> Legend:
    """Add a legend, centred, in as many columns as its width in inches holds."""
    points = mpl.rcParams["legend.fontsize"]
    handle, gap = 2.8 * points / 72, 1.6 * points / 72
    width -= points / 72
    labels = [wrap(name, width - handle, points) for name in entries]
    longest = max(text_width(line, points) for label in labels for line in label.split("\n"))
    columns = max(1, min(len(entries), int((width + gap) / (handle + longest + gap))))
    columns = math.ceil(len(entries) / math.ceil(len(entries) / columns))
    legend = figure.legend(
        list(entries.values()),
        labels,
        title=wrap(title, width, points) or None,
        loc="upper center",
        ncols=columns,
        columnspacing=1.6,
        borderpad=0.2,
        borderaxespad=0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    legend.set_in_layout(False)
    return legend


def caption_of(figure: Figure, kind: Description, arrangement: Arrangement) -> str:
    """What was run, what a line stands for, and how to read it."""
    runs = arrangement.runs
    seeds = arrangement.seeds
    many = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    spread = "one seed each" if seeds == [1] else kind.spread.format(seeds=many)
    studies = ", ".join(dict.fromkeys(str(run.config["study"]) for run in runs))
    tasks = sorted({(str(run.config["task"]), int(run.info["timesteps"])) for run in runs})
    lengths = {task: [length for name, length in tasks if name == task] for task, _ in tasks}
    task = ", ".join(f"{task} T={_enumerate(those)}" for task, those in lengths.items())
    combined = len(arrangement.line_names) > MOST_LINES and len(arrangement.lines) > 1 and not kind.each
    combined_keys = f" A line for each combination of {', '.join(arrangement.lines)}." if combined else ""
    return " ".join([f"{studies}: {task}; {spread}.{combined_keys}", kind.reading, *sentences(figure)])


def _enumerate(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) if len(numbers) < 5 else f"{numbers[0]} to {numbers[-1]}"
