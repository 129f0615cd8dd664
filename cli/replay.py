"""bptt replay"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from cli import completion
from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Quiet
from cli.terminal import say

SAME = "versions, processor, threads and source are the same: a file was changed, or the run is not deterministic"


@one_line
def replay(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folders of runs, such as results/quickstart/runs/*.",
            show_default=False,
            autocompletion=completion.run_folders,
        ),
    ],
    config_dir: ConfigDir = None,
    quiet: Quiet = False,
) -> None:
    """Make runs again, and compare.

    Each is made from its own saved configuration in a temporary folder, and every CSV file compared byte for byte. Says
    'identical', or the first difference, and what has changed since: versions, processor, threads, source. The exit
    code is 1 where anything differs.

    Example: bptt replay results/quickstart/runs/*
    """
    from cli.progress import shown
    from experiments.composition import extend_path
    from experiments.replay import circumstances, compare, prepare
    from experiments.status import Task

    extend_path(config_dir)
    with TemporaryDirectory(prefix="bptt-replay-") as scratch:
        reruns = [prepare(run, Path(scratch) / str(number)) for number, run in enumerate(runs)]
        differ = 0
        for run, rerun in zip(runs, reruns, strict=True):
            with shown([Task(rerun.folder, run.name, rerun.steps)], quiet=quiet):
                result = rerun.make()
            difference = f"fails: {result.error}" if result.status == "failed" else compare(run, rerun.folder)
            differ += difference is not None
            say(f"{run}: {'identical' if difference is None else difference}")
            if difference is not None:
                changed = circumstances(run, rerun.folder)
                for line in changed or [SAME]:
                    say(f"  {line}", indent="  ")
    if differ:
        raise typer.Exit(FAILED)
