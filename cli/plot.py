"""bptt plot"""

from typing import Annotated

import typer

from cli.errors import one_line
from cli.options import ResultsDir


@one_line
def plot(
    study: Annotated[str, typer.Argument(help="A study's name, or its folder.")],
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this one; may be given several times. `bptt list figure` shows them.", show_default=False
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(help="The key whose values are the lines.  [default: a key that differs]", show_default=False),
    ] = None,
    facet: Annotated[
        str | None,
        typer.Option(help="The key whose values are the columns of panels.  [default: another]", show_default=False),
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Any of png,svg,pdf.")] = "png",
    results_dir: ResultsDir = "results",
) -> None:
    """Draw the figures of a study.

    They are made from its CSV files into STUDY/figures; their paths are printed.

    Example: bptt plot quickstart --figure gradient_flow --compare cell --facet clip --format png,pdf
    """
    from experiments.analysis import find_study
    from experiments.plotting import plot_study

    paths = plot_study(
        find_study(study, results_dir), names=figure, compare=compare, facet=facet, formats=formats.split(",")
    )
    for path in paths:
        typer.echo(path)
