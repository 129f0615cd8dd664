"""The report of studies: one HTML page that needs nothing but itself."""

import base64
import math
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from os.path import relpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd
import yaml

from experiments.analysis.configuration_findings import by_configuration
from experiments.analysis.findings import finding
from experiments.catalogue.choices import catalogue
from experiments.errors import UsageError
from experiments.figures import NAMES
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.image_files import folder_of_studies
from experiments.plotting.rendering import Renderer
from experiments.plotting.view import DEFAULT_VIEW, View
from experiments.reports.html import inline, render_page
from experiments.store.config_keys import compared_keys, differing_keys, format_value, rank
from experiments.store.files import to_csv, write_whole
from experiments.store.studies import Run, read_studies

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

MOST_BYTES = 200_000
"""Of a figure's numbers that the page itself holds."""

COLUMNS = (
    *("final_loss", "best_error", "solved_at_step", "diverged_at_step", "gain_at_init", "gain_per_timestep"),
    *("horizon", "max_grad_norm", "clipped_fraction", "parameters"),
)
"""The columns of summary.csv in the table of runs, as far as any run has a value."""

MOST_UPRIGHT = 125
"""Characters of the table of runs that can be read across a page in upright format."""


class TableCell(NamedTuple):
    """A cell of the table of runs: what is shown, and what it is sorted by."""

    text: str
    key: float | str


def write_report(
    studies: Sequence[Path],
    view: View = DEFAULT_VIEW,
    path: Path | None = None,
    say: Callable[[str], object] | None = None,
) -> Path:
    """Write the report of one study, or of several beside each other.

    The same CSV files give the same bytes.

    Args:
        studies: their folders.
        view: what is compared in the figures.
        path: of the page; None: report.html in the study, or in the folder A+B beside the studies A and B.
        say: Called with each line about damaged runs, which the page has, too.

    Raises:
        UsageError: a key that is not there, or a study in which nothing was recorded yet.
    """
    of_studies = read_studies(studies)
    drawer = FigureDrawer(of_studies, view)
    runs = drawer.tables.runs
    summary = drawer.tables.outcomes
    path = folder_of_studies(studies) / "report.html" if path is None else path
    keys, common = _keys(runs), _common(runs)
    columns = [column for column in COLUMNS if summary[column].notna().any()]
    headings = ["run", *keys, "status", *columns]
    table = _table(runs, summary, keys, columns, path.parent)
    page = render_page(
        "report.html.j2",
        title=" and ".join(dict.fromkeys(str(run.config["study"]) for run in runs)),
        counts=summary["status"].value_counts().to_dict(),
        runs=len(runs),
        axes=_axes(runs),
        findings=by_configuration(runs, summary, drawer.tables["states"]),
        figures=_figures(drawer, path.parent),
        headings=headings,
        table=table,
        characters=_characters(headings, [cells for _, cells, _ in table]),
        most_upright=MOST_UPRIGHT,
        unfinished=_unfinished(runs, summary),
        commands=list(dict.fromkeys(shlex.join(run.info.get("command", [])) for run in runs)),
        provenance=_provenance(runs),
        common=yaml.safe_dump(common, sort_keys=False, allow_unicode=True),
        own=[(run.id, _own(run, common)) for run in runs],
        conditions=list(view.where),
        left_out=of_studies.left_out(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page)
    if say is not None:
        for line in of_studies.left_out():
            say(line)
    return path


def _axes(runs: Sequence[Run]) -> dict[str, str]:
    """What was varied, key by key, with its values; the task where it was not."""
    keys = dict.fromkeys([*compared_keys(runs), "task", "task.length", "cell", "steps", "seed"])
    values = {key: sorted({run.config.get(key) for run in runs}, key=rank) for key in keys}
    return {key: ", ".join(map(format_value, those)) for key, those in values.items() if those != [None]}


class Drawn(NamedTuple):
    """A figure in the page: its SVG, and a link with the numbers that are drawn."""

    name: str
    title: str
    svg: str
    numbers: str


def _figures(drawer: FigureDrawer, beside: Path) -> list[Drawn]:
    """All figures that have something to show. Numbers that are too many for the page go to figures/ beside it."""
    links = {}
    with Renderer() as renderer:
        for name in NAMES:
            try:
                drawn = drawer.draw(name)
            except LeftOut:
                continue
            renderer.add(drawn.figure, "svg", transparent=True)
            links[name] = _numbers(drawer.file_name(name), to_csv(drawn.numbers()).encode(), beside)
        svgs = [image.content.decode() for image in renderer.finish()]
    titles = catalogue()["figure"]
    return [
        Drawn(name, titles[name], inline(svg, name, titles[name]), link)
        for (name, link), svg in zip(links.items(), svgs, strict=True)
    ]


def _numbers(file_name: str, numbers: bytes, beside: Path) -> str:
    if len(numbers) <= MOST_BYTES:
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(numbers).decode()
    (beside / "figures").mkdir(parents=True, exist_ok=True)
    write_whole(beside / "figures" / f"{file_name}.csv", numbers)
    return "figures/" + quote(f"{file_name}.csv")


def _keys(runs: Sequence[Run]) -> list[str]:
    """The configuration keys in the table of runs."""
    return list(dict.fromkeys(["cell", "task.length", *compared_keys(runs), "seed"]))


def _table(
    runs: Sequence[Run], summary: pd.DataFrame, keys: Sequence[str], columns: Sequence[str], beside: Path
) -> list[tuple[str, list[TableCell], str]]:
    """For each run the link to its folder, its cells and its finding."""
    rows = []
    for run, outcome in zip(runs, _records(summary), strict=True):
        values = [run.config.get(key) for key in keys]
        cells = [
            TableCell(format_value(value), value if isinstance(value, int | float) else format_value(value))
            for value in values
        ]
        cells.append(TableCell(outcome["status"], outcome["status"]))
        cells += [_number(outcome[column]) for column in columns]
        rows.append((_link(run.folder, beside), [TableCell(run.id, run.id), *cells], finding(run, outcome)))
    return rows


def _records(summary: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in summary.to_dict("records")]


def _link(folder: Path, beside: Path) -> str:
    """From the page's folder to a run's, as a URL; '..' where the run is elsewhere."""
    return quote(Path(relpath(folder.resolve(), beside.resolve())).as_posix()) + "/"


def _number(value: Any) -> TableCell:
    """A whole number as it is, another in four digits; what is missing, or no number, is sorted to the end."""
    if value is None:
        return TableCell("", "")
    return TableCell(f"{value:.4g}" if isinstance(value, float) else str(value), "" if pd.isna(value) else float(value))


def _characters(headings: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> int:
    """How wide the table of runs is on paper: of each column its longest cell or word of its heading, and the gap.

    A run's id takes two lines.
    """
    words = [max(map(len, re.split(r"(?<=[._])", heading))) for heading in headings]
    cells = [max(len(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    cells[0] = math.ceil(0.6 * cells[0])
    return sum(map(max, words, cells)) + 2 * len(headings)


def _unfinished(runs: Sequence[Run], summary: pd.DataFrame) -> list[tuple[str, str, str]]:
    """The runs that diverged, failed or were cut off, and what is known of it."""
    return [
        (run.id, outcome["status"], finding(run, outcome))
        for run, outcome in zip(runs, _records(summary), strict=True)
        if outcome["status"] != "completed"
    ]


def _provenance(runs: Sequence[Run]) -> list[tuple[int, dict[str, str]]]:
    """Each set of versions, commit and machine, with the number of runs that were made so."""
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
    """The configuration's keys that have one value in all runs."""
    differing = set(differing_keys(runs))
    in_all = [key for key in runs[0].config if all(key in run.config for run in runs)]
    return {key: runs[0].config[key] for key in in_all if key not in differing}


def _own(run: Run, common: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={format_value(value)}" for key, value in run.config.items() if key not in common)


def print_to_pdf(page: Path) -> Path:
    """Print a page to the file of the same name in PDF, by a headless Chromium.

    Raises:
        UsageError: there is none.
        OSError: it did not print.
    """
    browser = find_browser()
    path = page.with_suffix(".pdf")
    with TemporaryDirectory(prefix="bptt-") as profile:
        quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        done = subprocess.run(
            [
                *(browser, "--headless", "--disable-gpu", "--no-sandbox", *quiet, f"--user-data-dir={profile}"),
                *("--no-pdf-header-footer", f"--print-to-pdf={profile}/report.pdf", page.resolve().as_uri()),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        printed = Path(profile) / "report.pdf"
        if not printed.is_file():
            raise OSError(f"{browser}: did not print {page}: {done.stderr.strip()[-300:]}")
        write_whole(path, printed.read_bytes())
    return path


def find_browser() -> str:
    """A Chromium of this machine.

    Raises:
        UsageError: there is none.
    """
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise UsageError(f"--pdf: needs a Chromium, and there is no {', '.join(BROWSERS)} on the path")
