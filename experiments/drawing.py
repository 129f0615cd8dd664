"""From runs to a figure: its tables, which lines and panels there are, and where they stand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.arrangement import Arrangement, Which, arrange, numeric_keys, rank
from experiments.errors import UsageError
from experiments.figures import Description, describe
from experiments.labelling import MOST_LINES, add_caption, add_colour_bar, add_legend, label_outer, label_short_log_axis
from experiments.panels import Blank, is_blank, share_limits, write_instead, write_once
from experiments.reading import repeated
from experiments.study import Run, select, shown
from experiments.style import COLUMN_INCHES, CROWDED, Colours, colours, wrap
from experiments.tables import Tables

MOST_PANELS = 24
PANEL_HEIGHT = 2.1
LINE, FACET = "line", "facet"
"""The columns that hold what a run's line and its column of panels are called."""


@dataclass(frozen=True)
class View:
    """How one looks at studies; what is None is chosen by what differs in them.

    Attributes:
        compare: the key whose values are the lines. What differs besides is named with it, so that only seeds are
            thrown together.
        facet: the key whose values are panels side by side.
        x: the key on a figure's horizontal axis, for those with configuration keys on their axes.
        y: the key on the vertical axis.
        colour: the column of summary.csv that colours a map.
        where: conditions KEY=VALUE that a run has to meet.
        width: of the figure in inches; panels that do not fit beside each other go below. None: a column's width each.
    """

    compare: str | None = None
    facet: str | None = None
    x: str | None = None
    y: str | None = None
    colour: str = "gain_per_timestep"
    where: Sequence[str] = ()
    width: float | None = None


AS_IT_COMES = View()


class LeftOut(Exception):
    """A figure for which there is nothing to show, and why."""


class Drawing:
    """Draws the figures of those runs that the view is of, within matplotlib's `settings`. Reads each table once.

    Raises:
        UsageError: a key that no run has, or a column that summary.csv has not.
    """

    def __init__(self, runs: Sequence[Run], view: View) -> None:
        self.tables, self._view = Tables(select(runs, view.where)), view
        self._arrangements: dict[tuple[Which, tuple[str, ...]], Arrangement] = {}
        self._arrange("trainings", ())
        for option, key in (("--x", view.x), ("--y", view.y)):
            if key is not None and not any(key in run.config for run in self.tables.runs):
                raise UsageError(f"{option} {key}: no run has this key; `bptt show` prints them")
        if view.colour != View.colour and view.colour not in (
            numbers := [str(name) for name in self.tables.summary.select_dtypes("number")]
        ):
            raise UsageError(f"--colour {view.colour}: no column of numbers; there is {', '.join(numbers)}")

    def _arrange(self, which: Which, axes: tuple[str, ...]) -> Arrangement:
        """How the runs stand together in a figure, found out once for all that are alike."""
        if (which, axes) not in self._arrangements:
            view = self._view
            self._arrangements[which, axes] = arrange(
                self.tables.runs, compare=view.compare, facet=view.facet, axes=axes, which=which
            )
        return self._arrangements[which, axes]

    def figure(self, name: str) -> Figure:
        """Draw one figure.

        Raises:
            LeftOut: there is nothing to show in it.
        """
        kind = describe(name)
        options, axes = self._options(kind)
        arrangement = self._arrange(kind.runs, tuple(axes))
        if not arrangement.runs:
            raise LeftOut("there is no probe among the runs; see `bptt probe`")
        tables = self._rows(kind, arrangement, ends=kind.ends or kind.each)
        runs = {run_id for frame in tables.values() for run_id in frame["run_id"].unique()}
        there = {(arrangement.line_of[run_id], arrangement.facet_of[run_id]) for run_id in runs}
        names = [name for name in arrangement.line_names if any(name == line for line, _ in there)]
        facets = [name for name in arrangement.facet_names if any(name == facet for _, facet in there)]
        cells: list[tuple[str | None, str]] = [(None, facet) for facet in facets]
        if kind.each:
            cells = [(line, facet) for line in names for facet in facets if (line, facet) in there]
        if len(cells) > MOST_PANELS:
            raise LeftOut(f"{len(cells)} panels are too many; pick some with --where KEY=VALUE")
        if kind.each:
            tables = self._rows(kind, arrangement, ends=kind.ends)
        tables = {table: _named(frame, arrangement) for table, frame in tables.items()}
        if kind.norm is not None:
            options["norm"] = kind.norm(tables, **options)
        style = _style(arrangement)
        shown_here = [
            {
                table: frame[(frame[FACET] == facet) & ((frame[LINE] == line) if kind.each else True)]
                for table, frame in tables.items()
            }
            for line, facet in cells
        ]
        crowded = CROWDED if len(names) > MOST_LINES and not kind.each else {}
        while True:
            figure, panels = self._panels(kind, cells, len(facets))
            for draw, row in zip(kind.panels, panels, strict=True):
                for data, ax in zip(shown_here, row, strict=True):
                    try:
                        with mpl.rc_context(crowded):
                            draw(data, compare=LINE, colours=style, ax=ax, **options)
                    except Blank as reason:
                        write_instead(ax, str(reason))
                write_once(row, [", ".join(filter(None, cell)) for cell in cells])
            drawn = [draw for draw, row in zip(kind.panels, panels, strict=True) if not all(map(is_blank, row))]
            if len(drawn) in (0, len(kind.panels)):
                break
            kind = replace(kind, panels=drawn)  # a row of sentences says less than the rows that are drawn
        if not kind.each:
            share_limits(ax for row in panels for ax in row)
        for row in panels:
            for (line, facet), ax in zip(cells, row, strict=True):
                label_short_log_axis(ax)
                words = [word for word in (line if kind.each and len(names) > 1 else "", facet, ax.get_title()) if word]
                width = figure.get_figwidth() / self._columns(kind.each, len(cells), len(facets))
                ax.set_title(wrap(", ".join(words), width * 14), parse_math=False)
                ax.set_xlabel(wrap(ax.get_xlabel(), width * 14))
                ax.set_ylabel(wrap(ax.get_ylabel(), PANEL_HEIGHT * 14))
        for row in panels:
            label_outer(row, self._columns(kind.each, len(cells), len(facets)), shared=not kind.each)
        add_colour_bar(figure)
        add_legend(figure, {} if kind.each else style, arrangement)
        add_caption(figure, kind, arrangement)
        return figure

    def _rows(self, kind: Description, arrangement: Arrangement, *, ends: bool) -> dict[str, pd.DataFrame]:
        """The rows of the figure's tables that it is about.

        Raises:
            LeftOut: there are none.
        """
        tables = {}
        for table in kind.tables:
            frame = self.tables.read(table, ends=ends)
            if len(frame) and len(arrangement.runs) < len(self.tables.runs):
                frame = frame[frame["run_id"].isin(arrangement.line_of)]
            if frame.empty:
                raise LeftOut(f"no {table}.csv in the study's runs")
            tables[table] = frame
        if arrangement.axes and not kind.coloured:  # a line has no place for a run without the key
            tables = {table: frame.dropna(subset=list(arrangement.axes)) for table, frame in tables.items()}
        tables = kind.select(tables)
        if any(frame.empty for frame in tables.values()):
            raise LeftOut(kind.nothing)
        return tables

    def _options(self, kind: Description) -> tuple[dict[str, Any], list[str]]:
        """What the figure is told about its axes, and the keys on them."""
        if kind.axes is None:
            return {}, []
        given = {"x": self._view.x, "y": self._view.y}
        open_axes = any(not given[axis] and not default for axis, default in kind.axes.items())
        taken = [self._view.compare, self._view.facet, *given.values()]
        spare = numeric_keys(self.tables.runs, taken) if open_axes else []
        chosen: dict[str, Any] = {}
        for axis, default in kind.axes.items():
            key = given[axis] or default or (spare.pop(0) if spare else None)
            values = {run.config.get(key or "") for run in self.tables.runs}
            if not kind.coloured:
                values -= {None}
            if key is None or len(values) < 2:
                raise LeftOut(f"needs runs that differ in {key or 'two keys of numbers, or others with --x and --y'}")
            if key == self._view.facet:
                raise LeftOut(f"has {key} on its {axis} axis, which cannot name the panels as well")
            if not kind.coloured and not all(isinstance(value, int | float) for value in values):
                there = ", ".join(map(shown, sorted(values, key=rank)))
                raise LeftOut(f"needs numbers on its {axis} axis, and {key} is {there}")
            chosen[axis] = key
        keys = list(chosen.values())
        if kind.coloured:
            chosen["column"] = self._view.colour
        return chosen, keys

    def _columns(self, each: bool, cells: int, facets: int) -> int:
        """How many panels stand side by side."""
        wanted = cells if each and facets == 1 else facets
        most = 3 if self._view.width is None else max(1, int(self._view.width / 1.6))
        return math.ceil(wanted / math.ceil(wanted / most))

    def _panels(self, kind: Description, cells: Sequence[object], facets: int) -> tuple[Figure, list[list[Axes]]]:
        """A figure, and in it the axes of each of the module's panels, as many as there are cells."""
        columns = self._columns(kind.each, len(cells), facets)
        rows = math.ceil(len(cells) / columns)
        width = self._view.width or max(COLUMN_INCHES, columns * (2.2 if kind.each else COLUMN_INCHES))
        figure = Figure(figsize=(width, PANEL_HEIGHT * len(kind.panels) * rows + 0.8))
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.05)
        grid = figure.subplots(len(kind.panels) * rows, columns, squeeze=False)
        panels = [list(grid[i * rows : (i + 1) * rows].flat) for i in range(len(kind.panels))]
        for row in panels:
            for ax in row[len(cells) :]:
                ax.remove()
            del row[len(cells) :]
            if not kind.each:
                for ax in row[1:]:
                    ax.sharex(row[0])
                    ax.sharey(row[0])
        return figure, panels


def _style(arrangement: Arrangement) -> Colours:
    """The look of each line; of very many, of those that have the first key's value in common."""
    names = arrangement.line_names
    if len(names) <= MOST_LINES:
        return colours(names, arrangement.cells)
    leaders = arrangement.leaders
    coarse = colours(list(dict.fromkeys(leaders[line] for line in names)))
    return {line: coarse[leaders[line]] for line in names}


def _named(frame: pd.DataFrame, arrangement: Arrangement) -> pd.DataFrame:
    """The same with what each row's line and panel are called."""
    ids = frame["run_id"].astype("category").cat
    names = {LINE: arrangement.line_of, FACET: arrangement.facet_of}
    return frame.assign(
        **{
            column: repeated([of_run.get(run_id) for run_id in ids.categories], ids.codes.to_numpy())
            for column, of_run in names.items()
        }
    )
