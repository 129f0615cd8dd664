"""bptt plot"""

from pathlib import Path
from typing import Annotated

import typer

from cli import completion
from cli.errors import one_line_errors
from cli.options import Compare, Facet, ResultsDir, Studies, Where, XAxis, YAxis


@one_line_errors
def plot(
    studies: Studies,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this one; may be given several times. `bptt list figure` shows them.",
            show_default=False,
            autocompletion=completion.figures,
        ),
    ] = None,
    compare: Compare = None,
    facet: Facet = None,
    where: Where = None,
    x: XAxis = None,
    y: YAxis = None,
    colour: Annotated[str, typer.Option(help="The column of summary.csv that colours `phase`.")] = "gain_per_timestep",
    formats: Annotated[
        str,
        typer.Option(
            "--format", help="Any of png,svg,pdf, and csv: the drawn numbers.", autocompletion=completion.formats
        ),
    ] = "png",
    width: Annotated[
        float | None,
        typer.Option(
            min=2, max=40, help="In inches; 3.3 fits a column.  [default: 3.3 for each panel]", show_default=False
        ),
    ] = None,
    height: Annotated[
        float | None,
        typer.Option(min=1, max=40, help="In inches.  [default: what the panels need, 9 at most]", show_default=False),
    ] = None,
    aspect: Annotated[
        str | None,
        typer.Option(metavar="W:H", help="Width to height, instead of --height: 16:9 with --width 13.33 is a slide."),
    ] = None,
    font_size: Annotated[
        float | None,
        typer.Option(
            min=7, max=48, help="In points.  [default: 8; 12 where --width is 10 or more]", show_default=False
        ),
    ] = None,
    dpi: Annotated[int, typer.Option(min=50, max=1200, help="Dots per inch of a PNG.")] = 200,
    title: Annotated[str, typer.Option(help="A title above the figure.", show_default=False)] = "",
    caption: Annotated[bool, typer.Option("--caption/--no-caption", help="Whether a caption stands below.")] = True,
    output: Annotated[
        Path | None,
        typer.Option(help="The folder for the files.  [default: STUDY/figures]", file_okay=False, show_default=False),
    ] = None,
    results_dir: ResultsDir = "results",
) -> None:
    """Draw the figures of a study, or of several beside each other.

    They are drawn from the CSV files into STUDY/figures (of several: into A+B/figures), and their paths are printed.
    A file's name has the choices that change what it shows: gradient_flow-compare=clip.png.

    Example: bptt plot quickstart --figure gradient_flow --compare cell --facet clip --format png,pdf

    For a slide: bptt plot quickstart --width 13.33 --aspect 16:9 --no-caption
    """
    from experiments.plotting.figure import View
    from experiments.plotting.files import plot_studies
    from experiments.plotting.layout import Sheet
    from experiments.store.studies import find_study

    ratio = None if aspect is None else _ratio(aspect, height)
    sheet = Sheet(width, height, ratio, font_size, dpi, title, caption)
    view = View(compare=compare, facet=facet, x=x, y=y, colour=colour, where=where or (), sheet=sheet)
    plots = plot_studies(
        [find_study(study, results_dir) for study in studies],
        names=figure,
        view=view,
        formats=[name.strip() for name in formats.split(",")],
        folder=output,
    )
    for note in plots.notes:
        typer.echo(f"bptt: {note}", err=True)
    for line in plots.damaged:
        typer.echo(line, err=True)
    for reason in dict.fromkeys(plots.left_out.values()):
        names = [name for name, why in plots.left_out.items() if why == reason]
        typer.echo(f"without {', '.join(names)}: {reason}", err=True)
    for path in plots.paths:
        typer.echo(path)


def _ratio(aspect: str, height: float | None) -> float:
    """The width over the height.

    Raises:
        UsageError: It is no such ratio, or there is a height as well.
    """
    from experiments.errors import UsageError

    if height is not None:
        raise UsageError(f"--aspect {aspect} --height {height:g}: choose one of them")
    width, _, rest = aspect.partition(":")
    try:
        ratio = float(width) / float(rest or 1)
    except (ValueError, ZeroDivisionError):
        ratio = 0.0
    if not 0.1 <= ratio <= 10:
        raise UsageError(f"--aspect {aspect}: write width to height, from 1:10 to 10:1, such as 16:9")
    return ratio
