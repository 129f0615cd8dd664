"""bptt report"""

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import one_line
from cli.options import Compare, Facet, ResultsDir, Studies, Where, XAxis, YAxis


@one_line
def report(
    studies: Studies,
    compare: Compare = None,
    facet: Facet = None,
    where: Where = None,
    x: XAxis = None,
    y: YAxis = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it to PDF as well; needs Chromium.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="The page's path.  [default: STUDY/report.html]", dir_okay=False, show_default=False),
    ] = None,
    results_dir: ResultsDir = "results",
) -> None:
    """Write a report of a study, or of several beside each other.

    One HTML page that needs no network: what was run, findings in words, figures with their numbers, a table of runs
    that sorts, and what it takes to repeat it all. Its path is printed.

    Example: bptt report quickstart --compare cell --pdf
    """
    from experiments.plotting.view import View
    from experiments.reports.study_report import find_browser, print_to_pdf, write_report
    from experiments.store.studies import find_study

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    if pdf:
        find_browser()
    folders = [find_study(study, results_dir) for study in studies]
    page = write_report(folders, View(compare=compare, facet=facet, where=where or (), x=x, y=y), output, tell)
    typer.echo(page)
    if pdf:
        typer.echo(print_to_pdf(page))
