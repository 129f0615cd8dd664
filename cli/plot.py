"""bptt plot"""

from pathlib import Path
from typing import Annotated

import typer

from cli import completion
from cli.errors import one_line
from cli.options import Compare, Facet, ResultsDir, Studies, Where, XAxis, YAxis


@one_line
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
    output: Annotated[
        Path | None,
        typer.Option(help="The folder for the files.  [default: STUDY/figures]", file_okay=False, show_default=False),
    ] = None,
    results_dir: ResultsDir = "results",
) -> None:
    """Draw the figures of a study, or of several beside each other.

    They are made from the CSV files into STUDY/figures (of several: into A+B/figures); their paths are printed.

    Example: bptt plot quickstart --figure gradient_flow --compare cell --facet clip --format png,pdf
    """
    from experiments.drawing import View
    from experiments.plotting import plot_studies
    from experiments.study import find_study

    view = View(compare=compare, facet=facet, x=x, y=y, colour=colour, where=where or (), width=width)
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
