"""The sheet that a figure is drawn on: its size, and where the title, the legend, the panels and the caption stand.

The title, the legend and the caption have a row each, measured before anything is placed. The panels have what is left.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from experiments.drawing.blank_panels import is_blank, wrap_sentence
from experiments.drawing.style import COLUMN_INCHES, TEXT_SIZE, enlarge, text_width, wrap
from experiments.plotting.grouping import MOST_LINES
from experiments.plotting.labels import (
    add_colour_bar,
    add_legend,
    label_outer,
    share_limits,
    space_markers,
    space_numbers,
)

PAGE_INCHES = 9.0
"""The height of the text on a page of paper: no figure is higher, unless a height is asked for."""

SLIDE_INCHES, SLIDE_TEXT_SIZE = 10.0, 12.0
"""A sheet as wide as this is looked at from afar, and its text is larger."""


GAP_INCHES = 0.07
"""Between the rows, with text of 8 points."""

MOST_COLUMNS = 3
"""Panels side by side where no width is asked for."""


class TooSmall(Exception):
    """A sheet has no space for the panels, with what would do."""


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn on; what is None is chosen.

    Attributes:
        width: Inches.
        height: Inches.
        aspect: Width over height, in place of a height.
        font_size: Points of the largest text but the title; lines and marks grow with it.
        dpi: Dots per inch of a PNG.
        title: A line above the figure.
        caption: Whether there is one below the figure.
    """

    width: float | None = None
    height: float | None = None
    aspect: float | None = None
    font_size: float | None = None
    dpi: float = 200
    title: str = ""
    caption: bool = True

    @property
    def points(self) -> float:
        """The size of the text, also where none was asked for."""
        large = self.width is not None and self.width >= SLIDE_INCHES
        return self.font_size or (SLIDE_TEXT_SIZE if large else TEXT_SIZE)

    def height_of(self, width: float) -> float | None:
        """The height that was asked for, in inches."""
        return width / self.aspect if self.aspect else self.height


class Panels(NamedTuple):
    """The panels of a figure.

    Attributes:
        rows: The panels of each of the figure's drawing functions.
        facets: The number of panels that belong side by side.
        maps: Whether they are maps.
    """

    rows: Sequence[Sequence[Axes]]
    facets: int
    maps: bool

    def all(self) -> list[Axes]:
        """The panels of all rows."""
        return [ax for row in self.rows for ax in row]

    def columns(self) -> Iterator[int]:
        """All numbers of panels side by side that make an even grid, the largest first."""
        most = len(self.rows[0]) if self.maps or len(self.rows[0]) > 1 else len(self.rows)
        yield from sorted({math.ceil(most / rows) for rows in range(1, most + 1)}, reverse=True)

    def usual(self) -> int:
        """The panels side by side where there is space for them."""
        return self.facets if self.facets > 1 else len(self.rows[0])

    def places(self, columns: int) -> list[tuple[int, int]]:
        """The row and column of each panel."""
        if len(self.rows[0]) == 1:  # one facet: before and after may stand side by side
            return [divmod(i, columns) for i in range(len(self.rows))]
        height = math.ceil(len(self.rows[0]) / columns)
        return [(k * height + i // columns, i % columns) for k, row in enumerate(self.rows) for i in range(len(row))]


class Grid(NamedTuple):
    """A way to place the panels.

    Attributes:
        columns: The number of panels side by side.
        rows: The number of panels below each other.
        width: The figure's width in inches.
        height: The figure's height in inches.
        across: The width of a panel's inside in inches.
        down: The height of a panel's inside in inches.
    """

    columns: int
    rows: int
    width: float
    height: float
    across: float
    down: float


class RoundedLayout(ConstrainedLayoutEngine):
    """matplotlib's constrained layout without the last digits, which differ from one process to the next."""

    def execute(self, fig: Figure) -> None:
        """Place the panels."""
        super().execute(fig)
        for ax in fig.axes:
            place = ax.get_position(original=True)
            ax.set_position(Bbox(np.round(place.get_points(), 9)), which="original")
            ax.set_in_layout(True)


class Around(NamedTuple):
    """What stands above and below the panels, top first, and the space that it takes in inches."""

    above: list[tuple[Artist, float]]
    below: list[tuple[Artist, float]]
    gap: float

    def heights(self) -> tuple[float, float]:
        """The space above and below."""
        above, below = (sum(height + self.gap for _, height in artists) for artists in (self.above, self.below))
        return above + self.gap, below + self.gap


def lay_out(
    figure: Figure, panels: Panels, sheet: Sheet, *, entries: Mapping[str, Artist], title: str, caption: str
) -> None:
    """Place the panels on the sheet, with title, legend and caption around them.

    Args:
        figure: The figure, in which the panels are drawn, wherever they stand.
        panels: All panels.
        sheet: What they are placed on.
        entries: The artists of the legend by their names.
        title: The legend's title.
        caption: The text below the figure.

    Raises:
        TooSmall: The sheet has no space for all of it.
    """
    scale = sheet.points / TEXT_SIZE
    for ax in panels.all():
        enlarge(ax, scale)

    @cache
    def heights(width: float) -> tuple[float, float]:
        return _write_around(figure, width, sheet, entries, title, caption).heights()

    grid = _choose(panels, sheet, heights, scale, len(entries))
    around = _write_around(figure, grid.width, sheet, entries, title, caption)
    figure.set_figheight(grid.height)
    above, below = _place(around, figure)
    specs = figure.add_gridspec(grid.rows, grid.columns)
    places = dict(zip(panels.places(grid.columns), panels.all(), strict=True))
    if not panels.maps:
        share_limits(panels.all())
    for (row, column), ax in places.items():
        ax.set_subplotspec(specs[row, column])
        ax.set_title(_wrapped_title(ax, grid.across), parse_math=False)
        ax.set_xlabel(_wrapped_label(ax.get_xlabel(), grid.across))
        ax.set_ylabel(_wrapped_label(ax.get_ylabel(), grid.down + 0.2 * scale))
        space_numbers(ax, grid.across, grid.down)
        space_markers(ax, grid.across / scale)
        wrap_sentence(ax, grid.across)
    label_outer({place: ax for place, ax in places.items() if not is_blank(ax)})
    if panels.maps:
        add_colour_bar(figure, below=_is_narrow(grid.width, scale))
    free = (0, below / grid.height, 1, 1 - (above + below) / grid.height)
    figure.set_layout_engine(RoundedLayout(h_pad=0.06 * scale, w_pad=0.05 * scale, rect=free))


def _choose(
    panels: Panels, sheet: Sheet, heights: Callable[[float], tuple[float, float]], scale: float, entries: int
) -> Grid:
    """The grid that suits the panels best among those that fit.

    Raises:
        TooSmall: None fits.
    """
    usual_width, least_across = (2.2, 0.65) if panels.maps else (COLUMN_INCHES, 0.75)
    one_facet = panels.facets == 1 and not panels.maps
    margin = 0.6 * scale  # for the name and the numbers of an axis, or for a colour bar
    line = 1.25 * sheet.points / 72
    fitting = []
    for columns in panels.columns():
        if sheet.width is None and columns > MOST_COLUMNS:
            continue
        width = sheet.width or max(COLUMN_INCHES, columns * usual_width) * scale
        asked = sheet.height_of(width)
        narrow = panels.maps and _is_narrow(width, scale)
        beside = margin * (1 + (panels.maps and not narrow))
        if one_facet and columns > 1:  # each has its own numbers
            beside = 1.6 * margin * columns
        places = zip(panels.places(columns), panels.all(), strict=True)
        if not panels.maps and columns > 1 and any(is_blank(ax) and not column for (_, column), ax in places):
            beside += margin  # the panel beside the sentence has the name and the numbers
        across = (width - beside) / columns - 0.12 * scale
        titles, labels = _lines(panels, across)
        taken = sum(heights(width)) + line * sum(labels) + margin * narrow
        rows = 1 + max(row for row, _ in panels.places(columns))
        row = line * titles + 0.22 * scale
        down = ((asked or PAGE_INCHES) - taken) / rows - row
        if asked is None:
            down = min(down, float(np.clip(across * (0.95 if panels.maps else 0.8), 0.9 * scale, 1.65 * scale)))
        words = (word for ax in panels.all() for word in ax.get_title().split())
        widest = max((text_width(word, mpl.rcParams["axes.titlesize"]) for word in words), default=0.0)
        is_wide = across >= max(least_across * scale, widest)
        if is_wide and down >= 0.45 * scale and taken < 0.6 * (asked or PAGE_INCHES):
            fitting.append(Grid(columns, rows, width, asked or taken + rows * (row + down), across, down))
    if not fitting:
        raise TooSmall(_what_would_do(len(panels.all()), entries, sheet))
    usual = len(panels.rows) if one_facet and sheet.width is not None else panels.usual()

    def preference(grid: Grid) -> tuple[bool, bool, float]:
        uneven = 1 < panels.facets < len(panels.rows[0])
        uneven = uneven and grid.columns % panels.facets > 0 and panels.facets % grid.columns > 0
        if sheet.height or sheet.aspect:
            return uneven, False, -min(grid.across / 1.4, grid.down)
        return uneven, grid.columns > usual, -grid.columns

    return min(fitting, key=preference)


def _lines(panels: Panels, across: float) -> tuple[int, list[int]]:
    """How many lines the longest title has, and each name of a horizontal axis."""
    titles = [_wrapped_title(ax, across) for ax in panels.all()]
    labels = {_wrapped_label(ax.get_xlabel(), across) for ax in panels.all()}
    return max(len(title.splitlines()) for title in titles), [len(label.splitlines()) for label in labels]


def _wrapped_title(ax: Axes, inches: float) -> str:
    return wrap(ax.get_title(), inches, mpl.rcParams["axes.titlesize"])


def _wrapped_label(label: str, inches: float) -> str:
    return wrap(label, inches, mpl.rcParams["axes.labelsize"], math=True)


def _what_would_do(panels: int, entries: int, sheet: Sheet) -> str:
    there = f"{panels} panels" if panels > 1 else "a panel"
    there += f" and a legend of {entries} entries" if entries > MOST_LINES else ""
    height = sheet.height or (sheet.width / sheet.aspect if sheet.width and sheet.aspect else PAGE_INCHES)
    size = f"{sheet.width:g} x {height:.3g} inches" if sheet.width else f"a height of {height:.3g} inches"
    return (
        f"{there} with text of {sheet.points:g} points do not fit {size}; "
        "pick runs with --where KEY=VALUE, or change --width, --height or --font-size"
    )


def _is_narrow(width: float, scale: float) -> bool:
    """Whether a colour bar stands below the panels, not beside them."""
    return width < 4.4 * scale


def _write_around(
    figure: Figure, width: float, sheet: Sheet, entries: Mapping[str, Artist], title: str, caption: str
) -> Around:
    """Write title, legend and caption for a width."""
    points = mpl.rcParams["legend.fontsize"]
    around = Around([], [], GAP_INCHES * sheet.points / TEXT_SIZE)
    free = width - 2 * around.gap
    figure.set_figwidth(width)
    renderer: Any = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]

    def add(artist: Artist, place: list[tuple[Artist, float]]) -> None:
        place.append((artist, artist.get_window_extent(renderer).height / figure.dpi))
        artist.set_in_layout(False)

    for legend in list(figure.legends):
        legend.remove()
    if sheet.title:
        wrapped = wrap(sheet.title, free, mpl.rcParams["figure.titlesize"])
        add(figure.suptitle(wrapped, x=0.5, y=1, va="top", parse_math=False), around.above)
    if entries:
        add(add_legend(figure, entries, title, free), around.above)
    if sheet.caption:
        look: dict[str, Any] = {"fontsize": points, "color": "0.3", "va": "top", "ha": "left", "parse_math": False}
        add(figure.supxlabel(wrap(caption, free, points), x=around.gap / width, y=0, **look), around.below)
    return around


def _place(around: Around, figure: Figure) -> tuple[float, float]:
    """Place what stands around the panels; the space above and below that it takes, in inches."""
    height = figure.get_figheight()
    above, below = around.heights()
    for start, artists in ((height - around.gap, around.above), (below - around.gap, around.below)):
        top = start
        for artist, inches in artists:
            if isinstance(artist, Legend):
                artist.set_bbox_to_anchor((0.5, top / height), figure.transFigure)
            elif isinstance(artist, Text):
                artist.set_y(top / height)
            top -= inches + around.gap
    return above, below
