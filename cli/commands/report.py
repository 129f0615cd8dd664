"""bptt report"""

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import one_line_errors
from cli.options import Compare, ConfigDir, Facet, ResultsDir, Studies, Where, XAxis, YAxis


@one_line_errors
def report(
    studies: Studies,
    compare: Compare = None,
    facet: Facet = None,
    where: Where = None,
    x: XAxis = None,
    y: YAxis = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also print the report to PDF; needs Chromium.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Path of the HTML file.  [default: STUDY/report.html]", dir_okay=False, show_default=False),
    ] = None,
    results_dir: ResultsDir = "results",
    config_dir: ConfigDir = None,
) -> None:
    """Write an HTML report of one or more studies.

    The report is a single file that works offline. It contains the configurations, the findings in words, the figures
    with their data, a sortable table of all runs, and the commands and versions needed to repeat them.

    The file's path is printed on stdout.

    Example: bptt report quickstart --compare cell --pdf
    """
    from experiments.plotting.view import View
    from experiments.reports.pdf import find_browser, print_to_pdf
    from experiments.reports.study_report import write_report
    from experiments.store.studies import find_study

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    if pdf:
        find_browser()
    folders = [find_study(study, results_dir) for study in studies]
    view = View(compare=compare, facet=facet, where=where or (), x=x, y=y)
    page = write_report(folders, view, output, tell, config_dir)
    typer.echo(page)
    if pdf:
        typer.echo(print_to_pdf(page))
