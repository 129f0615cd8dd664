"""What surrounds the panels of a figure: legend, caption, colour bar, the names of the axes."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

from experiments.arrangement import Arrangement
from experiments.captions import sentences
from experiments.figures import Description
from experiments.panels import is_blank
from experiments.style import Colours, wrap

MOST_LINES = 14
"""That a legend names one by one, and that are drawn with bands and markers."""


def label_outer(row: Sequence[Axes], columns: int, *, shared: bool) -> None:
    """The vertical axis is named at the left, the horizontal one below; numbers stay where they may differ."""
    for i, ax in enumerate(row):
        if not all(map(is_blank, row[i - i % columns : i])):
            ax.yaxis.label.set_visible(False)
            ax.tick_params(labelleft=not shared)
        if i + columns < len(row) and not is_blank(row[i + columns]):
            ax.xaxis.label.set_visible(False)


def add_colour_bar(figure: Figure) -> None:
    """One for all maps: they share their scale."""
    meshes = [mesh for ax in figure.axes for mesh in ax.collections if isinstance(mesh, QuadMesh)]
    if scaled := [mesh for mesh in meshes if not str(mesh.get_label()).startswith("_")]:
        shrink = min(1.0, 6 / figure.get_figheight())
        bar = figure.colorbar(scaled[0], ax=figure.axes, aspect=30 * shrink, pad=0.02, shrink=shrink)
        bar.set_label(str(scaled[0].get_label()))
        bar.outline.set_visible(False)


def add_legend(figure: Figure, style: Colours, arrangement: Arrangement) -> None:
    """One for all panels, above them: the same line has the same look in each."""
    there: dict[str, Artist] = {}
    for ax in figure.axes:
        for line in ax.get_lines():
            there.setdefault(str(line.get_label()), line)
    title = ", ".join(arrangement.lines)
    entries = {line: there[line] for line in style if line in there}
    if len(entries) > MOST_LINES:
        leaders = arrangement.leaders
        entries = {leaders[line]: artist for line, artist in entries.items()}
        title = arrangement.lines[0]
    entries |= {name: artist for name, artist in there.items() if name not in style and not name.startswith("_")}
    if not entries:
        return
    longest = max(map(len, entries))
    columns = max(1, min(len(entries), int(figure.get_figwidth() / (0.45 + 0.055 * longest))))
    columns = math.ceil(len(entries) / math.ceil(len(entries) / columns))
    legend = figure.legend(
        list(entries.values()),
        list(entries),
        title=title if style else None,
        title_fontsize=7,
        loc="outside upper center",
        ncols=columns,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def add_caption(figure: Figure, kind: Description, arrangement: Arrangement) -> None:
    """What was run, what a line stands for, and how to read it."""
    runs = arrangement.runs
    seeds = arrangement.seeds
    many = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    spread = "one seed each" if seeds == [1] else kind.spread.format(seeds=many)
    studies = ", ".join(dict.fromkeys(str(run.config["study"]) for run in runs))
    tasks = sorted({(str(run.config["task"]), int(run.info["timesteps"])) for run in runs})
    lengths = {task: [length for name, length in tasks if name == task] for task, _ in tasks}
    task = ", ".join(f"{task} T={_enumerate(those)}" for task, those in lengths.items())
    combined = len(arrangement.line_names) > MOST_LINES and not kind.each
    combined_keys = f" A line for each combination of {', '.join(arrangement.lines)}." if combined else ""
    text = " ".join([f"{studies}: {task}; {spread}.{combined_keys}", kind.reading, *sentences(figure)])
    caption = wrap(text, figure.get_figwidth() * 19)
    figure.supxlabel(caption, fontsize=7, color="0.3", x=0.02, ha="left", parse_math=False)


def _enumerate(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) if len(numbers) < 5 else f"{numbers[0]} to {numbers[-1]}"


def label_short_log_axis(ax: Axes) -> None:
    """Plain numbers at 1, 2 and 5 where a log axis spans less than two decades."""
    low, high = ax.get_ylim()
    chosen = isinstance(ax.yaxis.get_major_locator(), FixedLocator)
    if ax.get_yscale() == "log" and high < 100 * low and not chosen:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
