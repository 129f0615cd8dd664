"""The figures of studies: from the runs to panels, legend and caption, and from those to files."""

import importlib
import io
import math
import pkgutil
import textwrap
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.figure import Figure

from experiments import figures
from experiments.analysis import outcomes
from experiments.arrangement import Arrangement, arrange, numeric_keys
from experiments.errors import UsageError
from experiments.figures import ORDER
from experiments.results import to_csv, write_whole
from experiments.study import Run, read_studies, read_tables, select, shown
from experiments.style import COLUMN_INCHES, Colours, colours, label_short_log_axis, settings

FIGURES = tuple(
    sorted(
        (module.name for module in pkgutil.iter_modules(figures.__path__)),
        key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name),
    )
)
FORMATS = ("png", "svg", "pdf", "csv")
MOST_LINES, MOST_PANELS = 14, 24
PANEL_HEIGHT = 2.1
SPREAD = "lines: median over {seeds} seeds, bands: quartiles"
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


class Plots(NamedTuple):
    """What was drawn.

    Attributes:
        paths: of the files.
        left_out: the figures that were not drawn, and why.
        notes: what went wrong with them.
    """

    paths: list[Path]
    left_out: dict[str, str]
    notes: list[str]


def plot_studies(
    studies: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    view: View = AS_IT_COMES,
    formats: Sequence[str] = ("png",),
    folder: Path | None = None,
) -> Plots:
    """Draw figures of one study, or of several beside each other.

    Args:
        studies: their folders.
        names: of the figures; all that have something to show if None.
        view: what is compared, and how wide.
        formats: png, svg, pdf; csv for the numbers that are drawn.
        folder: where they go; None: `figures` in the study, or in the folder A+B beside the studies A and B.

    Raises:
        UsageError: a figure, key or format that is not there, or a study in which nothing was recorded yet.
    """
    for chosen, known, what in ((names or (), FIGURES, "figure"), (formats, FORMATS, "format")):
        for name in chosen:
            if name not in known:
                raise UsageError(f"--{what} {name}: there is no such {what}; choose from {', '.join(known)}")
    drawing = Drawing(read_studies(studies), view)
    folder = together(studies) / "figures" if folder is None else folder
    plots = Plots([], {}, [])
    with mpl.rc_context(settings()):
        for name in names or FIGURES:
            try:
                figure = drawing.figure(name)
            except LeftOut as reason:
                if names:
                    raise UsageError(f"--figure {name}: {reason}") from None
                plots.left_out[name] = str(reason)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for suffix in formats:
                path = folder / f"{name}.{suffix}"
                content, notes = render(figure, suffix)
                write_whole(path, content)
                plots.paths.append(path)
                plots.notes.extend(note for note in notes if note not in plots.notes)
    return plots


def together(studies: Sequence[Path]) -> Path:
    """The folder for what is made of these studies: the study itself, or A+B beside the studies A and B."""
    return studies[0] if len(studies) == 1 else studies[0].parent / "+".join(study.name for study in studies)[:200]


class Drawing:
    """Draws the figures of those runs that the view is of, within matplotlib's `settings`. Reads each table once.

    Raises:
        UsageError: a key that no run has, or a column that summary.csv has not.
    """

    def __init__(self, runs: Sequence[Run], view: View) -> None:
        self.runs, self._view = select(runs, view.where), view
        self._tables: dict[str, pd.DataFrame] = {}
        arrange(self.runs, compare=view.compare, facet=view.facet)
        for option, key in (("--x", view.x), ("--y", view.y)):
            if key is not None and not any(key in run.config for run in self.runs):
                raise UsageError(f"{option} {key}: no run has this key; `bptt show` prints them")
        if view.colour != View.colour and view.colour not in (
            numbers := [str(name) for name in self._summary.select_dtypes("number")]
        ):
            raise UsageError(f"--colour {view.colour}: no column of numbers; there is {', '.join(numbers)}")

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """The rows of summary.csv."""
        return outcomes(self.runs)[0]

    @cached_property
    def _summary(self) -> pd.DataFrame:
        """The same with all keys of the configuration, as numbers where they are."""
        summary = self.outcomes.infer_objects()
        keys = dict.fromkeys(key for run in self.runs for key in run.config)
        further: dict[str, Any] = {
            key: [run.config.get(key) for run in self.runs] for key in keys if key not in summary
        }
        return summary.assign(**further, timesteps=[run.info["timesteps"] for run in self.runs])

    def _table(self, name: str, arrangement: Arrangement) -> pd.DataFrame:
        """A table of the arranged runs, with what their lines and panels are called."""
        if name == "summary":
            frame = self._summary
        else:
            if name not in self._tables:
                theory = [run.info.get("theory") or {} for run in self.runs]
                columns = {f"theory_{key}": [law.get(key) for law in theory] for key in ("state", "gain", "bound")}
                columns |= {key: [run.config.get(key) for run in self.runs] for key in ("clip", "clip.threshold")}
                self._tables[name] = read_tables(self.runs, name, columns)
            frame = self._tables[name]
        if frame.empty:
            return frame
        lines = {run.id: arrangement.line_of(run) for run in arrangement.runs}
        facets = {run.id: arrangement.facet_of(run) for run in arrangement.runs}
        frame = frame[frame["run_id"].isin(lines.keys())]
        return frame.assign(**{LINE: frame["run_id"].map(lines), FACET: frame["run_id"].map(facets)})

    def figure(self, name: str) -> Figure:
        """Draw one figure.

        Raises:
            LeftOut: there is nothing to show in it.
        """
        module = importlib.import_module(f"experiments.figures.{name}")
        options, axes = self._options(module)
        arrangement = arrange(
            self.runs,
            compare=self._view.compare,
            facet=self._view.facet,
            axes=axes,
            which=getattr(module, "RUNS", "trainings"),
        )
        tables = {table: self._table(table, arrangement) for table in module.TABLES}
        if not arrangement.runs:
            raise LeftOut("there is no probe among the runs; see `bptt probe`")
        if missing := [table for table, frame in tables.items() if frame.empty]:
            raise LeftOut(f"no {' and no '.join(f'{table}.csv' for table in missing)} in the study's runs")
        tables = module.select(tables) if hasattr(module, "select") else tables
        if any(frame.empty for frame in tables.values()):
            raise LeftOut(module.NOTHING)
        if hasattr(module, "norm"):
            options["norm"] = module.norm(tables, **options)

        names, facets = arrangement.line_names(), arrangement.facet_names()
        style = colours(names, arrangement.cells())
        if len(names) > MOST_LINES:
            leaders = arrangement.leaders()
            coarse = colours(list(dict.fromkeys(leaders[line] for line in names)))
            style = {line: coarse[leaders[line]] for line in names}
        each = getattr(module, "EACH", False)
        pairs = [frame[[LINE, FACET]].drop_duplicates() for frame in tables.values()]
        there = {place for frame in pairs for place in zip(frame[LINE], frame[FACET], strict=True)}
        names = [name for name in names if any(name == line for line, _ in there)]
        facets = [name for name in facets if any(name == facet for _, facet in there)]
        cells: list[tuple[str | None, str]] = [
            (line, facet) for line in names for facet in facets if (line, facet) in there
        ]
        if not each:
            cells = [(None, facet) for facet in facets]
        if len(cells) > MOST_PANELS:
            raise LeftOut(f"{len(cells)} panels are too many; pick some with --where KEY=VALUE")
        figure, panels = self._panels(module, cells, len(facets))
        for draw, row in zip(module.PANELS, panels, strict=True):
            for (line, facet), ax in zip(cells, row, strict=True):
                shown_here = {
                    table: frame[(frame[FACET] == facet) & ((frame[LINE] == line) if each else True)]
                    for table, frame in tables.items()
                }
                draw(shown_here, compare=LINE, colours=style, ax=ax, **options)
                label_short_log_axis(ax)
                words = [word for word in (line if each and len(names) > 1 else "", facet, ax.get_title()) if word]
                width = figure.get_figwidth() / self._columns(each, len(cells), len(facets))
                ax.set_title(textwrap.fill(", ".join(words), int(width * 14)), parse_math=False)
                ax.set_xlabel(textwrap.fill(ax.get_xlabel(), int(width * 14)))
                ax.set_ylabel(textwrap.fill(ax.get_ylabel(), int(PANEL_HEIGHT * 14)))
        for row in panels:
            _label_outer(row, self._columns(each, len(cells), len(facets)), shared=not each)
        if len(names) > MOST_LINES and not each:
            _thin_out(panels)
        _add_colour_bar(figure)
        _add_legend(figure, {} if each else style, arrangement)
        _add_caption(figure, module, arrangement)
        return figure

    def _options(self, module: ModuleType) -> tuple[dict[str, Any], list[str]]:
        """What the figure is told about its axes, and the keys on them."""
        wanted: Mapping[str, str | None] = getattr(module, "AXES", {})
        if not wanted:
            return {}, []
        given = {"x": self._view.x, "y": self._view.y}
        spare = numeric_keys(self.runs, [self._view.compare, self._view.facet, *given.values()])
        chosen: dict[str, Any] = {}
        for axis, default in wanted.items():
            key = given[axis] or default or (spare.pop(0) if spare else None)
            if key is None or len({run.config.get(key) for run in self.runs}) < 2:
                raise LeftOut(f"needs runs that differ in {key or 'two keys of numbers, or others with --x and --y'}")
            chosen[axis] = key
        keys = list(chosen.values())
        if getattr(module, "COLOURED", False):
            chosen["column"] = self._view.colour
        return chosen, keys

    def _columns(self, each: bool, cells: int, facets: int) -> int:
        """How many panels stand side by side."""
        wanted = cells if each and facets == 1 else facets
        most = 3 if self._view.width is None else max(1, int(self._view.width / 1.6))
        return math.ceil(wanted / math.ceil(wanted / most))

    def _panels(self, module: ModuleType, cells: Sequence[object], facets: int) -> tuple[Figure, list[list[Axes]]]:
        """A figure, and in it the axes of each of the module's panels, as many as there are cells."""
        each = getattr(module, "EACH", False)
        columns = self._columns(each, len(cells), facets)
        rows = math.ceil(len(cells) / columns)
        width = self._view.width or max(COLUMN_INCHES, columns * (2.2 if each else COLUMN_INCHES))
        figure = Figure(figsize=(width, PANEL_HEIGHT * len(module.PANELS) * rows + 0.8))
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.05)
        grid = figure.subplots(len(module.PANELS) * rows, columns, squeeze=False)
        panels = [list(grid[i * rows : (i + 1) * rows].flat) for i in range(len(module.PANELS))]
        for row in panels:
            for ax in row[len(cells) :]:
                ax.remove()
            del row[len(cells) :]
            if not each:
                for ax in row[1:]:
                    ax.sharex(row[0])
                    ax.sharey(row[0])
        return figure, panels


def _label_outer(row: Sequence[Axes], columns: int, *, shared: bool) -> None:
    """The vertical axis is named at the left, the horizontal one below; numbers stay where they may differ."""
    for i, ax in enumerate(row):
        if i % columns:
            ax.yaxis.label.set_visible(False)
            ax.tick_params(labelleft=not shared)
        if i + columns < len(row):
            ax.xaxis.label.set_visible(False)


def _thin_out(panels: Sequence[Sequence[Axes]]) -> None:
    """Of many lines only the medians, without markers: bands over bands cannot be told apart."""
    for ax in (ax for row in panels for ax in row):
        for band in [artist for artist in ax.collections if isinstance(artist, PolyCollection)]:
            band.remove()
        for line in ax.get_lines():
            if str(line.get_label()).endswith(" quartile"):
                line.remove()
            elif line.get_linestyle() != "None":
                line.set(marker="None", linewidth=0.7)


def _add_colour_bar(figure: Figure) -> None:
    """One for all maps: they share their scale."""
    meshes = [mesh for ax in figure.axes for mesh in ax.collections if isinstance(mesh, QuadMesh)]
    if scaled := [mesh for mesh in meshes if not str(mesh.get_label()).startswith("_")]:
        shrink = min(1.0, 6 / figure.get_figheight())
        bar = figure.colorbar(scaled[0], ax=figure.axes, aspect=30 * shrink, pad=0.02, shrink=shrink)
        bar.set_label(str(scaled[0].get_label()))
        bar.outline.set_visible(False)


def _add_legend(figure: Figure, style: Colours, arrangement: Arrangement) -> None:
    """One for all panels, above them: the same line has the same look in each."""
    there: dict[str, Artist] = {}
    for ax in figure.axes:
        for line in ax.get_lines():
            there.setdefault(str(line.get_label()), line)
    title = ", ".join(arrangement.lines)
    entries = {line: there[line] for line in style if line in there}
    if len(entries) > MOST_LINES:
        leaders = arrangement.leaders()
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


def _add_caption(figure: Figure, module: ModuleType, arrangement: Arrangement) -> None:
    """What was run, what a line stands for, and how to read it."""
    runs = arrangement.runs
    keys = [key for key in (*arrangement.lines, arrangement.facet, *arrangement.axes) if key]
    seeds = sorted(set(Counter(tuple(shown(run.config.get(key)) for key in keys) for run in runs).values()))
    many = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    spread = "one seed each" if seeds == [1] else getattr(module, "SPREAD", SPREAD).format(seeds=many)
    studies = ", ".join(dict.fromkeys(str(run.config["study"]) for run in runs))
    tasks = sorted({(str(run.config["task"]), int(run.info["timesteps"])) for run in runs})
    lengths = {task: [length for name, length in tasks if name == task] for task, _ in tasks}
    task = ", ".join(f"{task} T={_enumerate(those)}" for task, those in lengths.items())
    combined = len(arrangement.line_names()) > MOST_LINES and not getattr(module, "EACH", False)
    combined_keys = f" A line for each combination of {', '.join(arrangement.lines)}." if combined else ""
    text = f"{studies}: {task}; {spread}.{combined_keys} {module.READING}"
    caption = textwrap.fill(text, int(figure.get_figwidth() * 19))
    figure.supxlabel(caption, fontsize=7, color="0.3", x=0.02, ha="left", parse_math=False)


def _enumerate(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) if len(numbers) < 5 else f"{numbers[0]} to {numbers[-1]}"


def render(figure: Figure, suffix: str) -> tuple[bytes, list[str]]:
    """The file's content, without a date: the same data give the same bytes. And what could not be drawn."""
    if suffix == "csv":
        return to_csv(drawn_numbers(figure)).encode(), []
    dated = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}[suffix]
    buffer = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(buffer, format=suffix, metadata={dated: None})
    notes = []
    for warning in caught:
        if "missing from font" in str(warning.message):
            note = f"no font of this machine has {str(warning.message).partition(' missing')[0]}: a box in its place"
            notes.append(note)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return buffer.getvalue(), notes


def drawn_numbers(figure: Figure) -> pd.DataFrame:
    """The numbers in a figure, as its lines and maps have them: panel, line, x, y and a map's value."""
    frames = []
    for ax in figure.axes:
        known = {"panel": ax.get_title().replace("\n", " ")}
        for line in ax.get_lines():
            if line.get_transform() == ax.transData and len(np.atleast_1d(line.get_xdata())):
                points = {"line": str(line.get_label()).lstrip("_\u200b"), "x": line.get_xdata(), "y": line.get_ydata()}
                frames.append(pd.DataFrame({**known, **points}))
        for mesh in ax.collections:
            if isinstance(mesh, QuadMesh) and ax.get_label() != "<colorbar>":
                corners = np.asarray(mesh.get_coordinates())
                values: np.ndarray = np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan)
                centres = (corners[:-1, :-1] + corners[1:, 1:]) / 2
                points = {"x": centres[..., 0].ravel(), "y": centres[..., 1].ravel(), "value": np.ravel(values)}
                frame = pd.DataFrame({**known, "line": str(mesh.get_label()).lstrip("_"), **points})
                frames.append(frame.dropna(subset="value"))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
