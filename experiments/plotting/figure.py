"""From runs to a figure: its tables, which lines and panels there are, and where they stand."""

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis.run_tables import RunTables
from experiments.drawing.blank_panels import Blank, is_blank, write_instead, write_once
from experiments.drawing.style import Colours, colours, crowded
from experiments.errors import UsageError
from experiments.figures import Description, read_figure
from experiments.plotting.grouping import MOST_LINES, Arrangement, Which, arrange, numeric_keys
from experiments.plotting.labels import caption_of, legend_entries
from experiments.plotting.layout import Panels, Sheet, TooSmall, lay_out
from experiments.store.combined_tables import repeat_per_row
from experiments.store.config_keys import format_value, is_number, rank, select
from experiments.store.studies import Run

MOST_PANELS = 24
MOST_BYTES_IN_NAME = 120
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
        sheet: The size of the figure and of its text, and what is written around it.
    """

    compare: str | None = None
    facet: str | None = None
    x: str | None = None
    y: str | None = None
    colour: str = "gain_per_timestep"
    where: Sequence[str] = ()
    sheet: Sheet = field(default_factory=Sheet)


AS_IT_COMES = View()


class LeftOut(Exception):
    """A figure for which there is nothing to show, and why."""


class Drawing:
    """Draws the figures of those runs that the view is of, within matplotlib's `settings`. Reads each table once.

    Raises:
        UsageError: a key that no run has, or a column that summary.csv has not.
    """

    def __init__(self, runs: Sequence[Run], view: View) -> None:
        self.tables, self._view = RunTables(select(runs, view.where)), view
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
        kind = read_figure(name)
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
        while True:
            figure, panels = _panels(kind, len(cells), len(facets))
            with crowded(crowded=len(names) > MOST_LINES and not kind.each):
                for draw, row in zip(kind.panels, panels.rows, strict=True):
                    for data, ax in zip(shown_here, row, strict=True):
                        try:
                            draw(data, compare=LINE, colours=style, ax=ax, **options)
                        except Blank as reason:
                            write_instead(ax, str(reason))
            drawn = [draw for draw, row in zip(kind.panels, panels.rows, strict=True) if not all(map(is_blank, row))]
            if len(drawn) in (0, len(kind.panels)):
                break
            kind = replace(kind, panels=drawn)  # the other rows say more than a row of sentences
        line_titles = [arrangement.title_of[line] if line is not None and len(names) > 1 else "" for line, _ in cells]
        titles = [
            ", ".join(filter(None, words)) for words in zip(line_titles, (facet for _, facet in cells), strict=True)
        ]
        for row in panels.rows:
            write_once(row, titles)
            for cell_title, ax in zip(titles, row, strict=True):
                title = ", ".join(filter(None, (cell_title, ax.get_title())))
                ax.set_title(title)
                ax.set_label(title)
        entries, legend_title = legend_entries(figure, {} if kind.each else style, arrangement)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".* missing from font")  # said where it is rendered
                lay_out(
                    figure,
                    panels,
                    self._view.sheet,
                    entries=entries,
                    title=legend_title,
                    caption=caption_of(figure, kind, arrangement),
                )
        except TooSmall as reason:
            raise LeftOut(str(reason)) from None
        return figure

    def file_name(self, name: str) -> str:
        """What a figure's file is called, without its suffix: the figure, and the choices that change what it shows."""
        kind, view = read_figure(name), self._view
        chosen = {"compare": view.compare, "facet": view.facet}
        chosen |= {axis: getattr(view, axis) for axis in kind.axes or ()}
        if kind.coloured and view.colour != View.colour:
            chosen["colour"] = view.colour
        words = [name, *(f"{option}={value}" for option, value in chosen.items() if value is not None)]
        words += [f"where={condition}" for condition in sorted(view.where)]
        whole = "-".join(words)
        safe = re.sub(r"[^\w.=+,-]", "_", whole)
        if safe != whole or len(safe.encode()) > MOST_BYTES_IN_NAME:  # others may look the same
            cut = safe.encode()[:MOST_BYTES_IN_NAME].decode(errors="ignore")
            return f"{cut}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
        return safe

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
        spare = numeric_keys(self.tables.runs, taken=taken) if open_axes else []
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
            if not kind.coloured and not all(map(is_number, values)):
                there = ", ".join(map(format_value, sorted(values, key=rank)))
                raise LeftOut(f"needs numbers on its {axis} axis, and {key} is {there}")
            chosen[axis] = key
        keys = list(chosen.values())
        if kind.coloured:
            chosen["column"] = self._view.colour
        return chosen, keys


def _panels(kind: Description, cells: int, facets: int) -> tuple[Figure, Panels]:
    """A figure, and in it the axes of each of the module's panels, as many as there are cells."""
    figure = Figure()
    rows = [[figure.add_subplot() for _ in range(cells)] for _ in kind.panels]
    if not kind.each:
        for first, *others in rows:
            for ax in others:
                ax.sharex(first)
                ax.sharey(first)
    return figure, Panels(rows, facets, kind.each)


def _style(arrangement: Arrangement) -> Colours:
    """The look of each line."""
    looks = list(dict.fromkeys(arrangement.looks.values()))
    style = colours(looks, arrangement.hues, ordered=arrangement.ordered_key is not None)
    return {line: style[look] for line, look in arrangement.looks.items()}


def _named(frame: pd.DataFrame, arrangement: Arrangement) -> pd.DataFrame:
    """The same with what each row's line and panel are called."""
    ids = frame["run_id"].astype("category").cat
    names = {LINE: arrangement.line_of, FACET: arrangement.facet_of}
    return frame.assign(
        **{
            column: repeat_per_row([of_run.get(run_id) for run_id in ids.categories], ids.codes.to_numpy())
            for column, of_run in names.items()
        }
    )
