"""Writes the figures of studies as image files, and the numbers that they show as CSV files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.drawing.style import settings
from experiments.errors import UsageError
from experiments.figures import figure_names
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.rendering import Renderer
from experiments.plotting.view import DEFAULT_VIEW, View
from experiments.store.files import to_csv, write_whole
from experiments.store.plans import read_plans
from experiments.store.status import SKIPPED
from experiments.store.studies import Runs, read_studies
from experiments.wording import counted

FORMATS = ("png", "svg", "pdf", "csv")

FEW = 3
"""Fewer images than this are rendered before other processes have started."""


class Plots(NamedTuple):
    """The result of `plot_studies`.

    Attributes:
        paths: Paths of the files.
        left_out: Figures that were not drawn, with the reason.
        notes: What the reader of the figures should know, such as characters without a font.
        damaged: Lines that name the damaged runs, which no figure shows; empty if there is none.
    """

    paths: list[Path]
    left_out: dict[str, str]
    notes: list[str]
    damaged: Sequence[str] = ()


def plot_studies(
    studies: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    view: View = DEFAULT_VIEW,
    formats: Sequence[str] = ("png",),
    folder: Path | None = None,
    config_dir: Path | None = None,
) -> Plots:
    """Draw figures of one study, or of several beside each other.

    Args:
        studies: Folders of the studies.
        names: Names of the figures. None: all figures that have something to show.
        view: What the figures show, and the sheet that they are drawn on.
        formats: File formats: png, svg, pdf, and csv for the numbers that are drawn.
        folder: Folder of the files. None: `figures` in the study, or in the folder A+B beside the studies A and B.
        config_dir: Folder with the user's own figures.

    Raises:
        UsageError: A figure, key or format does not exist, the sheet is too small for a figure that was asked for,
            nothing has been recorded yet, or no figure has anything to show.
    """
    known = figure_names(config_dir)
    names = [_known(name, known, "figure") for name in names or ()]
    formats = [_known(name, FORMATS, "format") for name in formats]
    runs = read_studies(studies)
    drawer = FigureDrawer(runs, view, config_dir)
    folder = folder_of_studies(studies) / "figures" if folder is None else folder
    plots, of_asked = Plots([], {}, []), []
    images, numbers = [], {}
    style = settings(view.sheet.points, view.sheet.dpi)
    with Renderer(style, alone=len(names or known) * len(formats) < FEW) as renderer:
        for name in dict.fromkeys(names or known):
            try:
                drawn = drawer.draw(name)
            except LeftOut as reason:
                if names:
                    raise UsageError(f"--figure {name}: {reason}") from None
                plots.left_out[name] = str(reason)
                continue
            if names and drawn.left_out:
                of_asked.append(f"{name}: {drawn.left_out}")
            for path in [folder / f"{drawer.file_name(name)}.{suffix}" for suffix in dict.fromkeys(formats)]:
                plots.paths.append(path)
                if path.suffix == ".csv":
                    numbers[path] = to_csv(drawn.numbers()).encode()
                else:
                    images.append(path)
                    renderer.add(drawn.figure, path.suffix[1:])
        rendered = dict(zip(images, renderer.finish(), strict=True))
    if not plots.paths:
        reasons = list(dict.fromkeys(plots.left_out.values()))
        raise UsageError(f"there is nothing to draw: {'; '.join(reasons)}")
    folder.mkdir(parents=True, exist_ok=True)
    for path in plots.paths:
        write_whole(path, numbers[path] if path in numbers else rendered[path].content)
    notes = [*_unfinished(studies, runs), *of_asked, *(note for image in rendered.values() for note in image.notes)]
    return plots._replace(notes=list(dict.fromkeys(notes)), damaged=runs.damage_report())


def _unfinished(studies: Sequence[Path], runs: Runs) -> list[str]:
    """Return a line that says how many runs of the studies are not finished; empty if all are."""
    folders = {run.folder for run in runs} | {damaged.folder for damaged in runs.damaged}
    planned = {study / "runs" / name for study in studies for sweep in read_plans(study) for name in sweep.runs}
    missing = len(planned - folders) + sum(run.info["status"] not in SKIPPED for run in runs)
    whole = len(planned | folders)
    return [f"{missing} of {counted(whole, 'run')} {'is' if missing == 1 else 'are'} not finished"] if missing else []


def _known(name: str, known: Sequence[str], what: str) -> str:
    """Return the name among the known ones, whatever its case, and with hyphens or underscores.

    Raises:
        UsageError: The name is unknown.
    """
    plain = name.strip().lower().replace("-", "_")
    if plain not in known:
        raise UsageError(f"--{what} {name}: there is no such {what}; choose from {', '.join(known)}")
    return plain


def folder_of_studies(studies: Sequence[Path]) -> Path:
    """Return the folder for the figures and reports of studies: the study, or A+B beside the studies A and B."""
    return studies[0] if len(studies) == 1 else studies[0].parent / "+".join(study.name for study in studies)[:200]
