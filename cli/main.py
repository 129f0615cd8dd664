"""The `bptt` program: its commands and its `--version` option."""

import atexit
import gc
import os
from typing import Annotated

import typer

from cli.commands.check import check
from cli.commands.clean import clean
from cli.commands.list import list_choices
from cli.commands.plot import plot
from cli.commands.probe import probe
from cli.commands.replay import replay
from cli.commands.report import report
from cli.commands.reproduce import reproduce
from cli.commands.run import run
from cli.commands.show import show
from cli.commands.status import status
from cli.commands.sweep import sweep
from cli.commands.watch import watch
from cli.completion import use_own_scripts
from cli.errors import print_usage_errors_in_one_line

use_own_scripts()
print_usage_errors_in_one_line()
os.environ["MPLBACKEND"] = "agg"  # figures are written to files; a notebook's backend may not be installed here
atexit.register(gc.freeze)  # without it, Python spends about a second at exit on freeing torch's modules
app = typer.Typer(
    name="bptt",
    help="Train recurrent networks and measure how their gradients vanish or explode through time.",
    epilog="To start: bptt sweep study=quickstart, then bptt plot quickstart.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run)
app.command("sweep")(sweep)
app.command("probe")(probe)
app.command("watch")(watch)
app.command("check")(check)
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
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train recurrent networks and measure how their gradients vanish or explode through time."""
