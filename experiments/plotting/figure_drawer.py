"""From runs to a figure: reads its tables, groups the runs, draws the panels and lays them out."""

import warnings
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis.run_tables import RunTables
from experiments.drawing.colours import Colours, assign_colours
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.errors import UsageError, in_a_line, place_in_user_code
from experiments.figures import FigureDescription, read_figure
from experiments.plotting.axis_keys import LeftOut, choose_axis_keys
from experiments.plotting.caption import say_left_out, write_caption
from experiments.plotting.drawn_numbers import drawn_numbers
from experiments.plotting.grouping import MOST_LINES, Grouping, Which, group_runs
from experiments.plotting.identical_panels import replace_identical
from experiments.plotting.layout import lay_out
from experiments.plotting.legend import legend_entries
from experiments.plotting.panel_arrangement import PanelGrid, TooSmall
from experiments.plotting.step_titles import name_steps
from experiments.plotting.view import View, file_name
from experiments.store.combined_tables import repeat_per_row
from experiments.store.config_keys import select_runs
from experiments.store.studies import Run

MOST_PANELS = 24
LINE, FACET = "line", "facet"
"""The columns with the names of a run's line and of its column of panels."""

Tables = dict[str, pd.DataFrame]
"""Tables by name."""


class DrawnFigure(NamedTuple):
    """A figure that is ready to be rendered.

    Attributes:
        figure: The figure.
        panels: Its panels, with what was drawn in them.
        left_out: Sentence on the runs that have nothing to show; empty if all have.
    """

    figure: Figure
    panels: Sequence[Panel]
    left_out: str = ""

    def numbers(self) -> pd.DataFrame:
        """Return the numbers that the figure shows, for the CSV export."""
        return drawn_numbers(self.panels)


class FigureDrawer:
    """Draws figures of runs. Each table is read once. Use it within matplotlib's `experiments.drawing.style.settings`.

    Args:
        runs: Runs of one study or several.
        view: What the figures show.
        config_dir: Folder with the user's own figures.

    Raises:
        UsageError: No run has a key, or summary.csv lacks a column.
    """

    def __init__(self, runs: Sequence[Run], view: View, config_dir: Path | None = None) -> None:
        self.tables = RunTables(select_runs(runs, view.where))
        self._view, self._config_dir = view, config_dir
        self._groupings: dict[tuple[Which, tuple[str, ...], bool], Grouping] = {}
        self._group("trainings", ())
        for option, key in (("--x", view.x), ("--y", view.y)):
            if key is not None and not any(key in run.config for run in self.tables.runs):
                raise UsageError(f"{option} {key}: no run has this key; `bptt show` prints them")
        if view.colour != View.colour and view.colour not in (
            numbers := [str(name) for name in self.tables.summary.select_dtypes("number")]
        ):
            raise UsageError(f"--colour {view.colour}: no column of numbers; there is {', '.join(numbers)}")

    def file_name(self, name: str) -> str:
        """Return the file name of a figure without suffix."""
        return file_name(name, read_figure(name, self._config_dir), self._view)

    def draw(self, name: str) -> DrawnFigure:
        """Draw a figure.

        Raises:
            LeftOut: The figure has nothing to show.
        """
        kind = read_figure(name, self._config_dir)
        axes = choose_axis_keys(kind, self.tables.runs, self._view)
        options = axes | ({"column": self._view.colour} if kind.uses_colour_option else {})
        grouping = self._group(kind.runs, tuple(axes.values()), rows=kind.lines_are_rows)
        if not grouping.runs:
            no_probe = "there is no probe among the runs; see `bptt probe`"
            raise LeftOut(no_probe if kind.runs == "probes" else kind.if_only_probes)
        tables = self._read_tables(kind, grouping, ends=kind.first_and_last_step_only or kind.one_panel_per_line)
        run_ids = {run_id for frame in tables.values() for run_id in frame["run_id"].unique()}
        left_out = say_left_out(kind, grouping, run_ids)
        lines, columns = _lines_and_columns(kind, grouping, run_ids)
        if kind.one_panel_per_line:  # before, it was only to be found out how many panels there are
            tables = self._read_tables(kind, grouping, ends=kind.first_and_last_step_only)
        tables = {table: _with_names(frame, grouping) for table, frame in tables.items()}
        crowded = len(lines) > MOST_LINES and not kind.one_panel_per_line
        template = {
            "compare": LINE,
            "compared": ", ".join(grouping.lines),
            "colours": _colours(grouping, _order(kind, tables)),
            "crowded": crowded,
            "colour_scale": kind.colour_scale(tables, **options) if kind.colour_scale else None,
        }
        shown = [_rows_of_column(tables, line, facet) for line, facet in columns]
        while True:
            figure, grid = _add_panels(kind, template, columns)
            for draw, row in zip(kind.panels, grid.rows, strict=True):
                for data, panel in zip(shown, row, strict=True):
                    try:
                        draw(data, panel, **options)
                    except NothingToDraw as reason:
                        panel.replace_by(str(reason))
                    except Exception as error:
                        if place := place_in_user_code(error):
                            raise LeftOut(f"{in_a_line(error)}{place}") from error
                        raise
            rows = zip(kind.panels, grid.rows, strict=True)
            drawn = [draw for draw, row in rows if not all(panel.replacement for panel in row)]
            if len(drawn) in (0, len(kind.panels)):
                break
            kind = replace(kind, panels=drawn)  # a row of nothing but sentences is not shown beside other rows
        titles = []
        for line, facet in columns:
            line_title = grouping.title_of[line] if line is not None and len(lines) > 1 else ""
            titles.append(", ".join(filter(None, (line_title, facet))))
        if all(run.is_probe for run in grouping.runs):
            _name_batches(grid.all())
        recorded = next((frame for frame in tables.values() if "step" in frame), None)
        name_steps(
            grid.all(), grouping.runs, self.tables.read("gradients", ends=True) if recorded is None else recorded
        )
        for row in grid.rows:
            replace_identical(row, titles)
            for title, panel in zip(titles, row, strict=True):
                panel.title = ", ".join(filter(None, (title, panel.title)))
        caption = write_caption(kind, grouping, grid.all(), left_out)
        self._lay_out(figure, grid, kind, grouping, caption)
        return DrawnFigure(figure, grid.all(), left_out)

    def _lay_out(
        self, figure: Figure, grid: PanelGrid, kind: FigureDescription, grouping: Grouping, caption: str
    ) -> None:
        lines = [] if kind.one_panel_per_line else list(grouping.colour_names)
        entries, legend_title = legend_entries(grid.all(), lines, grouping)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".* missing from font")  # reported when it is rendered
                lay_out(figure, grid, self._view.sheet, entries=entries, legend_title=legend_title, caption=caption)
        except TooSmall as reason:
            raise LeftOut(str(reason)) from None

    def _group(self, which: Which, axes: tuple[str, ...], *, rows: bool = False) -> Grouping:
        """Group the runs, once for all figures that group them in the same way."""
        if (which, axes, rows) not in self._groupings:
            view = self._view
            self._groupings[which, axes, rows] = group_runs(
                self.tables.runs, compare=view.compare, facet=view.facet, axes=axes, which=which, rows=rows
            )
        return self._groupings[which, axes, rows]

    def _read_tables(self, kind: FigureDescription, grouping: Grouping, *, ends: bool) -> Tables:
        """Read the rows of the tables that the figure shows.

        Raises:
            LeftOut: There are none.
        """
        tables = {}
        for table in (*kind.tables, *kind.further_tables):
            frame = self.tables.read(table, ends=ends)
            if len(frame) and len(grouping.runs) < len(self.tables.runs):
                frame = frame[frame["run_id"].isin(grouping.line_of)]
            if frame.empty and table in kind.tables:
                raise LeftOut(f"no {table}.csv in the study's runs")
            tables[table] = frame
        if grouping.axes and not kind.uses_colour_option:  # a run without the key has no place on the axis
            tables = {table: frame.dropna(subset=list(grouping.axes)) for table, frame in tables.items()}
        tables = kind.select_rows(tables)
        if any(frame.empty for frame in tables.values()):
            raise LeftOut(kind.if_empty)
        return tables


def _lines_and_columns(
    kind: FigureDescription, grouping: Grouping, runs: Set[str]
) -> tuple[list[str], list[tuple[str | None, str]]]:
    """Find the lines that have rows, and the line and facet of each column of panels; the line is None for all lines.

    Args:
        kind: Description of the figure.
        grouping: The runs, grouped into lines.
        runs: Ids of the runs that have rows.

    Raises:
        LeftOut: There are too many columns.
    """
    there = {(grouping.line_of[run_id], grouping.facet_of[run_id]) for run_id in runs}
    lines = [name for name in grouping.line_names if any(name == line for line, _ in there)]
    facets = [name for name in grouping.facet_names if any(name == facet for _, facet in there)]
    columns: list[tuple[str | None, str]] = [(None, facet) for facet in facets]
    if kind.one_panel_per_line:
        columns = [(line, facet) for line in lines for facet in facets if (line, facet) in there]
    if len(columns) > MOST_PANELS:
        raise LeftOut(f"{len(columns)} panels are too many; pick some with --where KEY=VALUE")
    return lines, columns


def _rows_of_column(tables: Tables, line: str | None, facet: str) -> Tables:
    """Select the rows of a column of panels."""
    return {
        table: frame[(frame[FACET] == facet) & ((frame[LINE] == line) if line is not None else True)]
        for table, frame in tables.items()
    }


def _add_panels(
    kind: FigureDescription, template: dict[str, Any], columns: Sequence[tuple[str | None, str]]
) -> tuple[Figure, PanelGrid]:
    """Create a figure with a row of panels for each drawing function. The panels of a row share their axes."""
    figure = Figure()
    rows = [[Panel(figure.add_subplot(), **template) for _ in columns] for _ in kind.panels]
    if not kind.one_panel_per_line:
        for first, *others in rows:
            for panel in others:
                panel.ax.sharex(first.ax)
                panel.ax.sharey(first.ax)
    facets = len(dict.fromkeys(facet for _, facet in columns))
    return figure, PanelGrid(rows, facets, kind.one_panel_per_line)


def _name_batches(panels: Sequence[Panel]) -> None:
    """Say what the panels of probes show: a probe does not train, and metrics.csv has a row for each batch."""
    for panel in panels:
        if panel.ax.get_xlabel() == "step":
            panel.ax.set_xlabel("batch")


def _order(kind: FigureDescription, tables: Tables) -> Sequence[str]:
    """Return the lines in the order that the figure asks for.

    Raises:
        LeftOut: The figure has nothing to show.
    """
    if kind.order_lines is None:
        return ()
    try:
        return kind.order_lines(tables, LINE)
    except NothingToDraw as reason:
        raise LeftOut(str(reason)) from None


def _colours(grouping: Grouping, order: Sequence[str]) -> Colours:
    """Return the colour and the marker of each line, first those in `order`."""
    names = list(dict.fromkeys(grouping.colour_names.values()))
    colours = assign_colours(names, grouping.hues, ordered=grouping.ordered_key is not None)
    names_of = grouping.colour_names
    return {line: colours[names_of[line]] for line in dict.fromkeys([*order, *names_of])}


def _with_names(frame: pd.DataFrame, grouping: Grouping) -> pd.DataFrame:
    """Add the names of each row's line and panel."""
    ids = frame["run_id"].astype("category").cat
    names = {LINE: grouping.line_of, FACET: grouping.facet_of}
    return frame.assign(
        **{
            column: repeat_per_row([of_run.get(run_id) for run_id in ids.categories], ids.codes.to_numpy())
            for column, of_run in names.items()
        }
    )
