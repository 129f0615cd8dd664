"""The legend of a figure: its entries, its title, and the artist."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from experiments.drawing.panel import Panel
from experiments.drawing.text_wrapping import text_width, wrap
from experiments.plotting.grouping import MOST_LINES, Grouping
from experiments.store.config_keys import is_seed

MOST_NAMED_NUMBERS = 6
"""The largest number of entries for an ordered scale of many numbers."""


def legend_entries(
    panels: Sequence[Panel], lines: Sequence[str], grouping: Grouping
) -> tuple[list[tuple[str, Artist]], str]:
    """Choose the entries of the legend. One legend is enough for all panels: a line looks the same in each.

    Lines of the same colour share an entry. Of many numbers in order, only a few are listed.

    Args:
        panels: All panels of the figure.
        lines: Names of the lines, in order; empty if the panels' titles name them.
        grouping: How the runs are grouped into lines.

    Returns:
        Pairs of text and artist, and the title.
    """
    drawn: dict[str, Artist] = {}
    others: dict[str, Artist] = {}
    for panel in panels:
        for found, there in ((panel.line_entries, drawn), (panel.other_entries, others)):
            for name, artist in found.items():
                there.setdefault(name, artist)
    entries: dict[str, Artist] = {}
    for line in lines:
        if line in drawn:
            entries.setdefault(grouping.colour_names[line], drawn[line])
    title = ", ".join(grouping.colour_keys) if entries else ""
    if title and any(map(is_seed, grouping.lines)):
        title += " (a line for each seed)"
    if len(entries) > MOST_LINES and grouping.ordered_key:
        names = list(entries)
        title += f", {len(names)} values"
        named = np.linspace(0, len(names) - 1, MOST_NAMED_NUMBERS).round().astype(int)
        entries = {names[i]: entries[names[i]] for i in named}
    return [*entries.items(), *others.items()], title


def add_legend(
    figure: Figure, entries: Sequence[tuple[str, Artist]], title: str, *, width: float, points: float
) -> Legend:
    """Add a centred legend to a figure, in as many columns as fit.

    Args:
        figure: The figure.
        entries: Pairs of text and artist.
        title: Title of the legend; empty for none.
        width: Largest width in inches.
        points: Size of the text.
    """
    handle, gap = 2.8 * points / 72, 1.6 * points / 72
    width -= points / 72
    labels = [wrap(name, width - handle, points) for name, _ in entries]
    longest = max(text_width(line, points) for label in labels for line in label.split("\n"))
    columns = max(1, min(len(entries), int((width + gap) / (handle + longest + gap))))
    columns = math.ceil(len(entries) / math.ceil(len(entries) / columns))
    legend = figure.legend(
        [artist for _, artist in entries],
        [" "] * len(entries),
        title=wrap(title, width, points) or None,
        loc="upper center",
        ncols=columns,
        columnspacing=1.6,
        borderpad=0.2,
        borderaxespad=0,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)  # some versions of matplotlib drop an entry whose label begins with an underscore
    legend.set_in_layout(False)
    return legend
