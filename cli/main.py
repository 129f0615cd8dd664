"""The `bptt` command."""

import atexit
import gc
import os
from typing import Annotated

import typer

from cli.clean import clean
from cli.completion import use_own_scripts
from cli.list import list_choices
from cli.plot import plot
from cli.probe import probe
from cli.replay import replay
from cli.report import report
from cli.reproduce import reproduce
from cli.run import run
from cli.show import show
from cli.status import status
from cli.sweep import sweep

use_own_scripts()
os.environ["MPLBACKEND"] = "agg"  # files need no windows, and a notebook's backend may not be installed here
atexit.register(gc.freeze)  # else Python spends a second at the end to take torch apart
app = typer.Typer(
    name="bptt",
    help="See how gradients flow back through time: train recurrent networks, measure, compare, draw.",
    epilog="First: bptt sweep study=quickstart, then bptt plot quickstart.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run)
app.command("sweep")(sweep)
app.command("probe")(probe)
app.command("status")(status)
app.command("plot")(plot)
app.command("report")(report)
app.command("reproduce")(reproduce)
app.command("replay")(replay)
app.command("clean")(clean)
app.command("show")(show)
app.command("list")(list_choices)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bptt {version('bptt')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """See how gradients flow back through time."""
