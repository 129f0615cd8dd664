"""The report of one or several studies: a single HTML page that needs no other file and no network."""

import base64
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd
import yaml

from experiments.analysis.configuration_findings import describe_configurations
from experiments.analysis.findings import describe_run
from experiments.analysis.judged_states import with_judged_states
from experiments.catalogue.choices import catalogue
from experiments.figures import figure_names
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.image_files import folder_of_studies
from experiments.plotting.rendering import Renderer
from experiments.plotting.view import DEFAULT_VIEW, View
from experiments.reports.html import inline, render_page
from experiments.store.config_keys import compared_keys, differing_keys, format_value, rank
from experiments.store.files import to_csv, write_whole
from experiments.store.studies import Run, read_studies

MAX_BYTES = 200_000
"""Largest size of a figure's numbers that are stored in the page itself."""

COLUMNS = (
    *("final_loss", "best_error", "solved_at_step", "diverged_at_step", "stopped_at_step", "state", "gain_at_init"),
    *("gain_per_timestep", "horizon", "max_grad_norm", "clipped_fraction", "parameters"),
)
"""The columns of summary.csv in the table of runs, and the state whose gain and horizon they are.

Columns without any value are left out, and so is the loss of probes, which is that of an untrained batch."""

MAX_UPRIGHT = 125
"""Largest width of the table of runs, in characters, that is readable on a page in portrait format."""


class TableCell(NamedTuple):
    """A cell of the table of runs: the text that is shown, and the key that it is sorted by."""

    text: str
    key: float | str


def write_report(
    studies: Sequence[Path],
    view: View = DEFAULT_VIEW,
    path: Path | None = None,
    say: Callable[[str], object] | None = None,
    config_dir: Path | None = None,
) -> Path:
    """Write the report of one or several studies. The same CSV files give the same page, byte for byte.

    Args:
        studies: Folders of the studies.
        view: What the figures compare.
        path: Path of the page; None for report.html in the study, or in the folder A+B beside the studies A and B.
        say: Function that is called with each line about damaged runs; the page has these lines, too.
        config_dir: Folder with the user's own figures.

    Returns:
        Path of the page.

    Raises:
        UsageError: No run has a key of the view, or a study has no run yet.
    """
    of_studies = read_studies(studies)
    drawer = FigureDrawer(of_studies, view, config_dir)
    runs = drawer.tables.runs
    summary = drawer.tables.summary_csv
    path = folder_of_studies(studies) / "report.html" if path is None else path
    keys, common = _keys(runs), _common(runs)
    states = drawer.tables["states"]
    shown = with_judged_states(runs, summary, states)
    shown.loc[[run.is_probe for run in runs], "final_loss"] = None
    columns = [column for column in COLUMNS if shown[column].notna().any()]
    headings = ["run", *keys, "status", *columns]
    table = _table(runs, summary, shown[columns], keys, path.parent)
    page = render_page(
        "report.html.j2",
        title=" and ".join(dict.fromkeys(str(run.config["study"]) for run in runs)),
        counts=summary["status"].value_counts().to_dict(),
        runs=len(runs),
        axes=_axes(runs),
        findings=describe_configurations(runs, summary, states),
        figures=_figures(drawer, path.parent, config_dir),
        headings=headings,
        table=table,
        characters=_characters(headings, [cells for _, cells, _ in table]),
        max_upright=MAX_UPRIGHT,
        has_state="state" in columns,
        has_errors="best_error" in columns,
        unfinished=_unfinished(runs, summary),
        commands=list(dict.fromkeys(shlex.join(run.info.get("command", [])) for run in runs)),
        provenance=_provenance(runs),
        common=yaml.safe_dump(common, sort_keys=False, allow_unicode=True),
        own=[(run.id, _own(run, common)) for run in runs],
        conditions=list(view.where),
        damage_report=of_studies.damage_report(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page)
    if say is not None:
        for line in of_studies.damage_report():
            say(line)
    return path


def _axes(runs: Sequence[Run]) -> dict[str, str]:
    """List the keys that were varied, the task, the cell, the seed and the steps of trainings, with their values."""
    steps = [] if all(run.is_probe for run in runs) else ["steps"]
    keys = dict.fromkeys([*compared_keys(runs), "task", "task.length", "cell", *steps, "seed"])
    values = {key: sorted({run.config.get(key) for run in runs}, key=rank) for key in keys}
    return {key: ", ".join(map(format_value, those)) for key, those in values.items() if those != [None]}


class Drawn(NamedTuple):
    """A figure in the page: its SVG, and a link to the numbers that it shows."""

    name: str
    title: str
    svg: str
    numbers: str


def _figures(drawer: FigureDrawer, beside: Path, config_dir: Path | None) -> list[Drawn]:
    """Draw all figures that have something to show; numbers too large for the page go to figures/ beside it."""
    links = {}
    with Renderer() as renderer:
        for name in figure_names(config_dir):
            try:
                drawn = drawer.draw(name)
            except LeftOut:
                continue
            renderer.add(drawn.figure, "svg", transparent=True)
            links[name] = _numbers(drawer.file_name(name), to_csv(drawn.numbers()).encode(), beside)
        svgs = [image.content.decode() for image in renderer.finish()]
    titles = catalogue(config_dir)["figure"]
    return [
        Drawn(name, titles[name], inline(svg, name, titles[name]), link)
        for (name, link), svg in zip(links.items(), svgs, strict=True)
    ]


def _numbers(file_name: str, numbers: bytes, beside: Path) -> str:
    if len(numbers) <= MAX_BYTES:
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(numbers).decode()
    (beside / "figures").mkdir(parents=True, exist_ok=True)
    write_whole(beside / "figures" / f"{file_name}.csv", numbers)
    return "figures/" + quote(f"{file_name}.csv")


def _keys(runs: Sequence[Run]) -> list[str]:
    """Choose the configuration keys in the table of runs."""
    return list(dict.fromkeys(["cell", "task.length", *compared_keys(runs), "seed"]))


def _table(
    runs: Sequence[Run], summary: pd.DataFrame, shown: pd.DataFrame, keys: Sequence[str], beside: Path
) -> list[tuple[str, list[TableCell], str]]:
    """Build the table of runs: for each run the link to its folder, its cells and its finding.

    Args:
        runs: The runs.
        summary: Their rows of summary.csv.
        shown: The columns that the table shows besides the keys.
        keys: Configuration keys in the table.
        beside: Folder of the page.
    """
    rows = []
    for run, outcome, numbers in zip(runs, _records(summary), _records(shown), strict=True):
        values = [run.config.get(key) for key in keys]
        cells = [
            TableCell(format_value(value), value if isinstance(value, int | float) else format_value(value))
            for value in values
        ]
        cells.append(TableCell(outcome["status"], outcome["status"]))
        cells += [_cell(number) for number in numbers.values()]
        rows.append((_link(run.folder, beside), [TableCell(run.id, run.id), *cells], describe_run(run, outcome)))
    return rows


def _records(summary: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in summary.to_dict("records")]


def _link(folder: Path, beside: Path) -> str:
    """Relative URL from the page's folder to a run's folder."""
    return quote(Path(relpath(folder.resolve(), beside.resolve())).as_posix()) + "/"


def _cell(value: Any) -> TableCell:
    """Format a number with four digits, a whole number with all; missing values and nan are sorted to the end."""
    if value is None or isinstance(value, str):
        return TableCell(value or "", value or "")
    return TableCell(f"{value:.4g}" if isinstance(value, float) else str(value), "" if pd.isna(value) else float(value))


def _characters(headings: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> int:
    """Width of the table of runs on paper, in characters: for each column its longest cell or heading word, and a gap.

    The id of a run may break into two lines.
    """
    words = [max(map(len, re.split(r"(?<=[._])", heading))) for heading in headings]
    cells = [max(len(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    cells[0] = math.ceil(0.6 * cells[0])
    return sum(map(max, words, cells)) + 2 * len(headings)


def _unfinished(runs: Sequence[Run], summary: pd.DataFrame) -> list[tuple[str, str, str]]:
    """List the runs that did not complete, each with its status and finding."""
    return [
        (run.id, outcome["status"], describe_run(run, outcome))
        for run, outcome in zip(runs, _records(summary), strict=True)
        if outcome["status"] != "completed"
    ]


def _provenance(runs: Sequence[Run]) -> list[tuple[int, dict[str, str]]]:
    """List each combination of versions, commit and machine, with the number of its runs."""
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for run in runs:
        git = run.info.get("git") or {}
        known = {
            "commit": f"{git.get('commit', 'not known')}{' with changes' if git.get('modified') else ''}",
            **{package: str(version) for package, version in run.info.get("versions", {}).items()},
            **{what: str(value) for what, value in run.info.get("machine", {}).items()},
            "threads": str(run.info.get("threads", "")),
            "device": format_value(run.config.get("device")),
        }
        counts[tuple(known.items())] = counts.get(tuple(known.items()), 0) + 1
    return [(count, dict(items)) for items, count in counts.items()]


def _common(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect the configuration keys that all runs have with the same value."""
    differing = set(differing_keys(runs))
    in_all = [key for key in runs[0].config if all(key in run.config for run in runs)]
    return {key: runs[0].config[key] for key in in_all if key not in differing}


def _own(run: Run, common: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={format_value(value)}" for key, value in run.config.items() if key not in common)
