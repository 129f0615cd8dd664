"""The figures of a study: which runs are compared, which panels stand beside each other, where the files go."""

import importlib
import io
import math
import pkgutil
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure

import experiments.figures
from experiments.analysis import Run, compared_keys, read_runs, read_tables
from experiments.errors import UsageError
from experiments.results import Value, write_whole
from experiments.style import CELLS, COLUMN_INCHES, RC, colours, label_short_log_axis

FIGURES = tuple(module.name for module in pkgutil.iter_modules(experiments.figures.__path__))
FORMATS = ("png", "svg", "pdf")
MOST_COLUMNS = 6
LINE, FACET = "line", "facet"
"""The columns that hold what a run's line and its column of panels are called."""


def plot_study(
    study: Path,
    *,
    names: Sequence[str] | None = None,
    compare: str | None = None,
    facet: str | None = None,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Draw figures into STUDY/figures, and return the files' paths.

    Args:
        study: its folder.
        names: of the figures; all of them if None.
        compare: the key whose values are the lines; None: the one with the most values. What differs besides is named
            with it, so that only seeds are thrown together.
        facet: the key whose values are the columns of panels; None: the one with the next most, if they are few.
        formats: png, svg, pdf.

    Raises:
        UsageError: a figure, key or format that is not there, or a study in which nothing was recorded yet.
    """
    for chosen, known, what in ((names or (), FIGURES, "figure"), (formats, FORMATS, "format")):
        for name in chosen:
            if name not in known:
                raise UsageError(f"--{what} {name}: there is no such {what}; choose from {', '.join(known)}")
    runs = read_runs(study)
    if not runs:
        raise UsageError(f"{study}: holds no run yet")
    arrangement(runs, compare, facet)
    folder = study / "figures"
    folder.mkdir(exist_ok=True)
    paths = []
    with mpl.rc_context(RC):
        for name in names or FIGURES:
            module = importlib.import_module(f"experiments.figures.{name}")
            points = getattr(module, "POINTS", False)
            shown = runs if points else _trained(runs)
            lines, columns = ([compare or "cell"], facet) if points else arrangement(shown, compare, facet)
            figure = _draw(module, shown, lines, columns)
            if figure is None:
                if names:
                    raise UsageError(f"--figure {name}: the study's runs recorded nothing for it; see `record`")
                continue
            for suffix in formats:
                path = folder / f"{name}.{suffix}"
                _save(figure, path)
                paths.append(path)
    return paths


def _trained(runs: Sequence[Run]) -> Sequence[Run]:
    """The trainings among the runs, so that no probe stands in for a seed; the probes where there is nothing else."""
    return [run for run in runs if run.info.get("kind") != "probe"] or runs


def arrangement(runs: Sequence[Run], compare: str | None, facet: str | None) -> tuple[list[str], str | None]:
    """The keys that name a line, and the key of the columns: together all that differs but the seed."""
    known = dict.fromkeys(key for run in runs for key in run.config)
    for option, key in (("--compare", compare), ("--facet", facet)):
        if key is not None and key not in known:
            raise UsageError(f"{option} {key}: no run has this key; there is {', '.join(known)}")
    values = {key: len({run.config.get(key) for run in runs}) for key in compared_keys(runs)}
    differing = sorted((key for key in values if key not in (compare, facet)), key=lambda key: -values[key])
    lines = [compare or (differing.pop(0) if differing else "cell")]
    if facet is None and differing and values[differing[0]] <= MOST_COLUMNS:
        facet = differing.pop(0)
    return lines + differing, facet


def _draw(module: ModuleType, runs: Sequence[Run], lines: Sequence[str], facet: str | None) -> Figure | None:
    """A row of axes for each of the figure's panels, a column for each value of the facet; None without data."""
    tables = {name: read_tables(runs, name) for name in module.TABLES}
    if any(frame.empty for frame in tables.values()):
        return None
    in_turn = sorted(runs, key=lambda run: [_rank(run.config.get(key)) for key in lines])
    line_of = {run.folder.name: ", ".join(_shown(run.config.get(key)) for key in lines) for run in in_turn}
    facet_of = {run.folder.name: _shown(run.config.get(facet)) if facet else "" for run in runs}
    tables = {
        name: frame.assign(**{LINE: frame["run_id"].map(line_of), FACET: frame["run_id"].map(facet_of)})
        for name, frame in tables.items()
    }
    style = colours(list(dict.fromkeys(line_of.values())))
    columns = [_shown(value) for value in sorted({run.config.get(facet) for run in runs}, key=_rank)] if facet else [""]

    size = (COLUMN_INCHES * len(columns), 2.1 * len(module.PANELS) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(module.PANELS), len(columns), squeeze=False, sharex="row", sharey="row")
    for panel, row in zip(module.PANELS, axes, strict=True):
        for column, ax in zip(columns, row, strict=True):
            data = {name: frame[frame[FACET] == column] for name, frame in tables.items()}
            panel(data, compare=LINE, colours=style, ax=ax)
            title = ax.get_title()
            ax.set_title(f"{facet} = {column}" + (f", {title}" if title else "") if facet else title)
            if ax is not row[0]:
                ax.set_ylabel("")
            label_short_log_axis(ax)
    _add_legend(figure, ", ".join(lines))
    _add_caption(figure, module, runs, lines, facet)
    return figure


def _add_legend(figure: Figure, title: str) -> None:
    """One for all panels, above them: the same line has the same look in each."""
    entries: dict[str, Artist] = {}
    for ax in figure.axes:
        handles, labels = ax.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    entries |= {fixed: entries.pop(fixed) for fixed in ("chance", "threshold") if fixed in entries}
    rows = math.ceil(len(entries) / (3 * round(figure.get_figwidth() / COLUMN_INCHES)))
    columns = math.ceil(len(entries) / rows)
    figure.legend(
        list(entries.values()), list(entries), title=title, title_fontsize=7, loc="outside upper center", ncols=columns
    )


def _add_caption(
    figure: Figure, module: ModuleType, runs: Sequence[Run], lines: Sequence[str], facet: str | None
) -> None:
    """How to read it, and what a line stands for."""
    groups = Counter(tuple(run.config.get(key) for key in (*lines, facet) if key) for run in runs)
    seeds = sorted(set(groups.values()))
    runs_a_line = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    spread = (
        "a point each"
        if getattr(module, "POINTS", False)
        else "one seed each"
        if seeds == [1]
        else f"lines: median over {runs_a_line} seeds, bands: quartiles"
    )
    task = ", ".join(sorted({f"{run.config['task']} T={run.info['timesteps']}" for run in runs})[:4])
    width = int(figure.get_figwidth() * 19)
    figure.supxlabel(
        textwrap.fill(f"{task}; {spread}. {module.READING}", width), fontsize=7, color="0.3", x=0.02, ha="left"
    )


def _save(figure: Figure, path: Path) -> None:
    """Put a file in place in one go, without the date: the same data give the same bytes."""
    dated = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}[path.suffix[1:]]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], metadata={dated: None})
    write_whole(path, buffer.getvalue())


def _shown(value: Value) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _rank(value: Value) -> tuple[int, float, str]:
    """'none' and missing values first, then numbers by size, then words as they are, cells in the order of history."""
    if value is None or value == "none":
        return 0, 0, ""
    if isinstance(value, int | float):
        return 1, value, ""
    return 2, list(CELLS).index(value) if value in CELLS else len(CELLS), value
