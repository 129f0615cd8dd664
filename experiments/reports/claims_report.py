"""The results of `bptt reproduce`: the table of claims, the figure of each claim, and a page with all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.catalogue.choices import catalogue
from experiments.claims.evaluation import EvaluatedClaim
from experiments.claims.tables import claims_table, count_verdicts, markdown_table
from experiments.errors import UsageError
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.rendering import Renderer
from experiments.plotting.view import View
from experiments.reports.html import inline, render_page
from experiments.store.files import to_csv, write_whole


def write_claims_report(folder: Path, evaluated: Sequence[EvaluatedClaim]) -> Path:
    """Write claims.csv, claims.md, the figure of each claim in figures/, and all of it on one page, claims.html.

    Args:
        folder: Folder for the files.
        evaluated: Evaluated claims, in the order of the page.

    Returns:
        Path of the page.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with Renderer() as renderer:
        shown = []
        for one in evaluated:
            if figure := _figure(one):
                shown.append(one.claim)
                renderer.add(figure, "png")
                renderer.add(figure, "svg", transparent=True)
        images = [image.content for image in renderer.finish()]
    drawn = {}
    for claim, png, svg in zip(shown, images[::2], images[1::2], strict=True):
        write_whole(folder / "figures" / f"{claim.name}.png", png)
        drawn[claim.name] = inline(svg.decode(), claim.name, claim.statement)
    write_whole(folder / "claims.csv", to_csv(claims_table(evaluated)))
    write_whole(folder / "claims.md", markdown_table(evaluated, "figures"))
    page = folder / "claims.html"
    titles = catalogue()["study"]
    write_whole(
        page,
        render_page(
            "claims.html.j2",
            evaluated=evaluated,
            drawn=drawn,
            titles=titles,
            counts=count_verdicts(evaluated),
            compared=any(one.others for one in evaluated),
        ),
    )
    return page


def _figure(one: EvaluatedClaim) -> Figure | None:
    """Draw the figure that shows a claim; None if it has no figure, or too little was recorded for it."""
    if one.claim.figure is None or not one.runs:
        return None
    view: dict[str, Any] = dict(one.claim.view)
    try:
        drawer = FigureDrawer([run for run in one.runs if one.claim.shows(run)], View(**view))
        return drawer.draw(one.claim.figure).figure
    except (LeftOut, UsageError):
        return None
