"""The figures of studies as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from experiments.drawing.style import settings
from experiments.errors import UsageError
from experiments.figures import NAMES
from experiments.plotting.figure import AS_IT_COMES, Drawing, LeftOut, View
from experiments.plotting.rendering import Renderer
from experiments.store.files import to_csv, write_whole
from experiments.store.studies import read_studies

FORMATS = ("png", "svg", "pdf", "csv")

FEW = 3
"""So many images are rendered before other processes have started."""


class Plots(NamedTuple):
    """What was drawn.

    Attributes:
        paths: of the files.
        left_out: the figures that were not drawn, and why.
        notes: what went wrong with them.
        damaged: Lines that name the damaged runs, which are in no figure; empty if none is.
    """

    paths: list[Path]
    left_out: dict[str, str]
    notes: list[str]
    damaged: Sequence[str] = ()


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
        view: What is compared, and on what sheet.
        formats: png, svg, pdf; csv for the numbers that are drawn.
        folder: where they go; None: `figures` in the study, or in the folder A+B beside the studies A and B.

    Raises:
        UsageError: A figure, key or format does not exist, the sheet is too small for a figure that was asked for,
            nothing was recorded yet, or no figure has anything to show.
    """
    names = [_known(name, NAMES, "figure") for name in names or ()]
    formats = [_known(name, FORMATS, "format") for name in formats]
    runs = read_studies(studies)
    drawing = Drawing(runs, view)
    folder = folder_of_studies(studies) / "figures" if folder is None else folder
    plots = Plots([], {}, [])
    images, numbers = [], {}
    style = settings(view.sheet.points, view.sheet.dpi)
    with Renderer(style, alone=len(names or NAMES) * len(formats) < FEW) as renderer:
        for name in dict.fromkeys(names or NAMES):
            try:
                figure = drawing.figure(name)
            except LeftOut as reason:
                if names:
                    raise UsageError(f"--figure {name}: {reason}") from None
                plots.left_out[name] = str(reason)
                continue
            for path in [folder / f"{drawing.file_name(name)}.{suffix}" for suffix in dict.fromkeys(formats)]:
                plots.paths.append(path)
                if path.suffix == ".csv":
                    numbers[path] = to_csv(drawn_numbers(figure)).encode()
                else:
                    images.append(path)
                    renderer.add(figure, path.suffix[1:])
        rendered = dict(zip(images, renderer.finish(), strict=True))
    if not plots.paths:
        reasons = list(dict.fromkeys(plots.left_out.values()))
        raise UsageError(f"there is nothing to draw: {'; '.join(reasons)}")
    folder.mkdir(parents=True, exist_ok=True)
    for path in plots.paths:
        write_whole(path, numbers[path] if path in numbers else rendered[path].content)
    notes = [note for image in rendered.values() for note in image.notes]
    return plots._replace(notes=list(dict.fromkeys(notes)), damaged=runs.damage_report())


def _known(name: str, known: Sequence[str], what: str) -> str:
    """One of some names, however its letters and hyphens are written.

    Raises:
        UsageError: It is none of them.
    """
    plain = name.strip().lower().replace("-", "_")
    if plain not in known:
        raise UsageError(f"--{what} {name}: there is no such {what}; choose from {', '.join(known)}")
    return plain


def folder_of_studies(studies: Sequence[Path]) -> Path:
    """The folder for what is made of these studies: the study itself, or A+B beside the studies A and B."""
    return studies[0] if len(studies) == 1 else studies[0].parent / "+".join(study.name for study in studies)[:200]


def drawn_numbers(figure: Figure) -> pd.DataFrame:
    """The numbers in a figure, as its lines and maps have them: panel, line, x, y and a map's value."""
    frames = []
    for ax in figure.axes:
        known = {"panel": ax.get_label()}
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
