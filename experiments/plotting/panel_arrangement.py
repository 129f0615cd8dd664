"""How the panels of a figure can be arranged on a sheet, and which arrangement suits it best."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import FixedLocator

from experiments.drawing.panel import Panel
from experiments.drawing.style import COLUMN_INCHES
from experiments.drawing.text_wrapping import text_width, wrap
from experiments.plotting.grouping import MOST_LINES
from experiments.plotting.sheet import Sheet

PAGE_INCHES = 9.0
"""The largest height of a figure for which no height is asked: the text height of a printed page."""

MOST_COLUMNS = 3
"""The largest number of panels side by side in a figure for which no width is asked."""


class TooSmall(Exception):
    """The sheet has no space for the panels; the message says what to change."""


class PanelGrid(NamedTuple):
    """The panels of a figure, before they have places.

    Attributes:
        rows: Panels of each drawing function.
        facets: Number of panels that belong side by side.
        maps: Whether the panels are maps.
    """

    rows: Sequence[Sequence[Panel]]
    facets: int
    maps: bool

    def all(self) -> list[Panel]:
        """Return the panels of all rows."""
        return [panel for row in self.rows for panel in row]

    def columns(self) -> Iterator[int]:
        """Yield all numbers of panels side by side that make an even grid, the largest first."""
        most = len(self.rows[0]) if self.maps or len(self.rows[0]) > 1 else len(self.rows)
        yield from sorted({math.ceil(most / rows) for rows in range(1, most + 1)}, reverse=True)

    def row_names(self, points: float) -> float:
        """Return the width in inches of the names of rows on the vertical axis; 0 if the panels have numbers there."""
        if self.maps:
            return 0.0
        axes = [panel.ax.yaxis for panel in self.all()]
        names = [
            name
            for axis in axes
            if isinstance(axis.get_major_locator(), FixedLocator)
            for name in axis.get_ticklabels()
        ]
        return max((text_width(name.get_text(), points) for name in names), default=0.0)

    def usual(self) -> int:
        """Return the number of panels side by side if there is space for them."""
        return self.facets if self.facets > 1 else len(self.rows[0])

    def places(self, columns: int) -> list[tuple[int, int]]:
        """Return the row and column of each panel."""
        if len(self.rows[0]) == 1:  # one facet: the panels before and after training may stand side by side
            return [divmod(i, columns) for i in range(len(self.rows))]
        height = math.ceil(len(self.rows[0]) / columns)
        return [(k * height + i // columns, i % columns) for k, row in enumerate(self.rows) for i in range(len(row))]


class Arrangement(NamedTuple):
    """A way to arrange the panels.

    Attributes:
        columns: Number of panels side by side.
        rows: Number of panels below each other.
        width: Width of the figure in inches.
        height: Height of the figure in inches.
        across: Width of a panel's inside in inches.
        down: Height of a panel's inside in inches.
    """

    columns: int
    rows: int
    width: float
    height: float
    across: float
    down: float


def choose_arrangement(
    panels: PanelGrid, sheet: Sheet, heights: Callable[[float], tuple[float, float]], entries: int
) -> Arrangement:
    """Choose the arrangement that suits the panels best among those that fit the sheet.

    Args:
        panels: All panels.
        sheet: Sheet that they are placed on.
        heights: Function from a width to the heights of what stands above and below the panels, in inches.
        entries: Number of entries in the legend.

    Raises:
        TooSmall: No arrangement fits.
    """
    scale = sheet.scale
    usual_width, least_across = (2.2, 0.65) if panels.maps else (COLUMN_INCHES, 0.75)
    one_facet = panels.facets == 1 and not panels.maps
    margin = 0.6 * scale  # for the name and the numbers of an axis, or for a colour bar
    names = panels.row_names(sheet.small_points)
    if names:
        margin, least_across = names + 0.35 * scale, 0.6
    line = 1.25 * sheet.points / 72
    least_down = scale * max(panel.least_height for panel in panels.all())
    fitting = []
    for columns in panels.columns():
        if sheet.width is None and columns > MOST_COLUMNS:
            continue
        width = sheet.width or max(COLUMN_INCHES, columns * usual_width) * scale
        asked = sheet.height_of(width)
        narrow = panels.maps and is_narrow(width, scale)
        beside = margin * (1 + (panels.maps and not narrow))
        if names:  # written once, at the left
            beside += 0.2 * scale * (columns - 1)
        elif one_facet and columns > 1:  # each panel has its own numbers
            beside = 1.6 * margin * columns
        places = zip(panels.places(columns), panels.all(), strict=True)
        if not panels.maps and columns > 1 and any(panel.replacement and not column for (_, column), panel in places):
            beside += margin  # the panel beside a sentence has the name and the numbers
        across = (width - beside) / columns - 0.12 * scale
        titles, labels = _count_lines(panels, across, sheet)
        taken = sum(heights(width)) + line * sum(labels) + margin * narrow
        rows = 1 + max(row for row, _ in panels.places(columns))
        row = line * titles + 0.22 * scale
        down = ((asked or PAGE_INCHES) - taken) / rows - row
        if asked is None:
            usual = np.clip(across * (0.95 if panels.maps else 0.8), 0.9 * scale, 1.65 * scale)
            down = min(down, max(float(usual), least_down))
        words = (word for panel in panels.all() for word in panel.title.split())
        widest = max((text_width(word, sheet.points) for word in words), default=0.0)
        is_wide = across >= max(least_across * scale, widest)
        if is_wide and down >= least_down and taken < 0.6 * (asked or PAGE_INCHES):
            fitting.append(Arrangement(columns, rows, width, asked or taken + rows * (row + down), across, down))
    if not fitting:
        raise TooSmall(_what_to_change(len(panels.all()), entries, sheet))
    usual = len(panels.rows) if one_facet and sheet.width is not None else panels.usual()

    def preference(one: Arrangement) -> tuple[bool, bool, float]:
        uneven = 1 < panels.facets < len(panels.rows[0])
        uneven = uneven and one.columns % panels.facets > 0 and panels.facets % one.columns > 0
        if sheet.height or sheet.aspect:
            return uneven, False, -min(one.across / 1.4, one.down)
        return uneven, one.columns > usual, -one.columns

    return min(fitting, key=preference)


def _count_lines(panels: PanelGrid, across: float, sheet: Sheet) -> tuple[int, list[int]]:
    """Return the number of lines of the longest title, and that of each different name of a horizontal axis."""
    titles = [wrap(panel.title, across, sheet.points) for panel in panels.all()]
    names = {wrap_name(panel.ax.get_xlabel(), across, sheet) for panel in panels.all()}
    return max(len(title.splitlines()) for title in titles), [len(name.splitlines()) for name in names]


def wrap_name(name: str, inches: float, sheet: Sheet) -> str:
    """Break the name of an axis, which may hold formulas, into lines of a width."""
    return wrap(name, inches, sheet.points, math=True)


def _what_to_change(panels: int, entries: int, sheet: Sheet) -> str:
    there = f"{panels} panels" if panels > 1 else "a panel"
    there += f" and a legend of {entries} entries" if entries > MOST_LINES else ""
    height = sheet.height or (sheet.width / sheet.aspect if sheet.width and sheet.aspect else PAGE_INCHES)
    size = f"{sheet.width:g} x {height:.3g} inches" if sheet.width else f"a height of {height:.3g} inches"
    return (
        f"{there} with text of {sheet.points:g} points do not fit {size}; "
        "pick runs with --where KEY=VALUE, or change --width, --height or --font-size"
    )


def is_narrow(width: float, scale: float) -> bool:
    """Whether the figure is so narrow that a colour bar stands below the panels, and not beside them."""
    return width < 4.4 * scale
