"""What `bptt reproduce` leaves: the table of claims, the figure of each, and a page with all of it. CSV files only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.catalogue.choices import catalogue
from experiments.claims.verdicts import Judged, counts, markdown, table_of
from experiments.errors import UsageError
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.rendering import Renderer
from experiments.plotting.view import View
from experiments.reports.html import inline, render_page
from experiments.store.files import to_csv, write_whole


def write_verdicts(folder: Path, judged: Sequence[Judged]) -> Path:
    """Write claims.csv, claims.md, the figure of each claim in figures/, and all of it on one page, claims.html.

    Args:
        folder: where they go.
        judged: in the order of the page.

    Returns:
        The page.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with Renderer() as renderer:
        shown = []
        for one in judged:
            if figure := _figure(one):
                shown.append(one.claim)
                renderer.add(figure, "png")
                renderer.add(figure, "svg", transparent=True)
        images = [image.content for image in renderer.finish()]
    drawn = {}
    for claim, png, svg in zip(shown, images[::2], images[1::2], strict=True):
        write_whole(folder / "figures" / f"{claim.name}.png", png)
        drawn[claim.name] = inline(svg.decode(), claim.name, claim.statement)
    write_whole(folder / "claims.csv", to_csv(table_of(judged)))
    write_whole(folder / "claims.md", markdown(judged, "figures"))
    page = folder / "claims.html"
    titles = catalogue()["study"]
    write_whole(page, render_page("claims.html.j2", judged=judged, drawn=drawn, titles=titles, counts=counts(judged)))
    return page


def _figure(one: Judged) -> Figure | None:
    """The figure that shows a claim; None where it has none, or too little was recorded for it."""
    if one.claim.figure is None or not one.runs:
        return None
    view: dict[str, Any] = dict(one.claim.view)
    try:
        drawer = FigureDrawer([run for run in one.runs if one.claim.shows(run)], View(**view))
        return drawer.draw(one.claim.figure).figure
    except (LeftOut, UsageError):
        return None
