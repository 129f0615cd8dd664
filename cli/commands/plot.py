"""bptt plot"""

from pathlib import Path
from typing import Annotated

import typer

from cli import completion
from cli.errors import one_line_errors
from cli.options import Compare, ConfigDir, Facet, ResultsDir, Studies, Where, XAxis, YAxis


@one_line_errors
def plot(
    studies: Studies,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw only this figure; may be given several times. `bptt list figure` shows all names.",
            show_default=False,
            autocompletion=completion.figures,
        ),
    ] = None,
    compare: Compare = None,
    facet: Facet = None,
    where: Where = None,
    x: XAxis = None,
    y: YAxis = None,
    colour: Annotated[str, typer.Option(help="Column of summary.csv that colours `phase`.")] = "gain_per_timestep",
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="Any of png,svg,pdf, and csv for the drawn numbers, separated by commas.",
            autocompletion=completion.formats,
        ),
    ] = "png",
    width: Annotated[
        float | None,
        typer.Option(
            min=2,
            max=40,
            help="Width in inches; 3.3 fits a journal's column.  [default: 3.3 for each panel]",
            show_default=False,
        ),
    ] = None,
    height: Annotated[
        float | None,
        typer.Option(
            min=1, max=40, help="Height in inches.  [default: what the panels need, at most 9]", show_default=False
        ),
    ] = None,
    aspect: Annotated[
        str | None,
        typer.Option(metavar="W:H", help="Width to height, instead of --height; 16:9 with --width 13.33 is a slide."),
    ] = None,
    font_size: Annotated[
        float | None,
        typer.Option(
            min=7,
            max=48,
            help="Size of the text in points.  [default: 8; 12 if --width is 10 or more]",
            show_default=False,
        ),
    ] = None,
    dpi: Annotated[int, typer.Option(min=50, max=1200, help="Dots per inch of a PNG.")] = 200,
    title: Annotated[str, typer.Option(help="Title above the figure.", show_default=False)] = "",
    caption: Annotated[bool, typer.Option("--caption/--no-caption", help="Write a caption below the figure.")] = True,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the files.  [default: STUDY/figures]", file_okay=False, show_default=False),
    ] = None,
    results_dir: ResultsDir = "results",
    config_dir: ConfigDir = None,
) -> None:
    """Draw the figures of one or several studies.

    The figures are drawn from the CSV files and written to STUDY/figures (of several studies to A+B/figures). Their
    paths are printed. The name of a file contains the options that change what it shows:
    gradient_flow-compare=clip.png.

    A figure of your own is a Python file figure/NAME.py in the folder --config-dir.

    Example: bptt plot quickstart --figure gradient_flow --compare cell --facet clip --format png,pdf

    For a slide: bptt plot quickstart --width 13.33 --aspect 16:9 --no-caption
    """
    from experiments.plotting.image_files import plot_studies
    from experiments.plotting.sheet import Sheet
    from experiments.plotting.view import View
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
        config_dir=config_dir,
    )
    for note in plots.notes:
        typer.echo(f"bptt: {note}", err=True)
    for line in plots.damaged:
        typer.echo(line, err=True)
    for reason in dict.fromkeys(plots.left_out.values()):
        names = [name for name, why in plots.left_out.items() if why == reason]
        typer.echo(f"not drawn: {', '.join(names)} ({reason})", err=True)
    for path in plots.paths:
        typer.echo(path)


def _ratio(aspect: str, height: float | None) -> float:
    """Return width over height.

    Raises:
        UsageError: The text is not a ratio, or there is a height as well.
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
