"""bptt replay"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from cli import completion
from cli.errors import FAILED, one_line_errors
from cli.options import ConfigDir, Quiet
from cli.printing import print_wrapped

SAME_CIRCUMSTANCES = (
    "versions, processor, threads and source are the same, so a file was changed or the run is not deterministic"
)
UNCHANGED_FILES = (
    "the files are unchanged, and versions, processor, threads and source are the same, so the run is not deterministic"
)


@one_line_errors
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
    """Repeat runs and check that the results are identical.

    Each run is repeated from its saved configuration in a temporary folder, and every CSV file is compared byte for
    byte. For each run, the command prints 'identical', or the first difference together with what has changed since:
    versions, processor, threads, source. The exit code is 1 if anything differs.

    Example: bptt replay results/quickstart/runs/*
    """
    from cli.show_progress import show_progress
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import DamagedRun
    from experiments.store.locks import read_info
    from experiments.store.plans import commands_of_run
    from experiments.store.progress import FollowedRun
    from experiments.sweeps.replay import changed_circumstances, changed_files, compare, damage, prepare_replay

    extend_python_path(config_dir)
    with TemporaryDirectory(prefix="bptt-replay-") as scratch:
        reruns, unreadable = [], []
        for number, run in enumerate(runs):
            try:
                reruns.append((run, prepare_replay(run, Path(scratch) / str(number))))
            except DamagedRun as error:
                unreadable.append(error)
        differ = damaged = 0
        for run, rerun in reruns:
            with show_progress([FollowedRun(rerun.folder, run.name, rerun.steps)], quiet=quiet):
                result = rerun.run()
            difference = f"fails: {result.error}" if result.status == "failed" else compare(run, rerun.folder)
            differ += difference is not None
            print_wrapped(f"{run}: {'identical' if difference is None else difference}")
            info, what, files = read_info(run), damage(run), changed_files(run, rerun.folder)
            damaged += bool(what)
            lines = [f"used another version of {files}"] if files else []
            if difference is not None:
                lines = [*([what] if what else []), *lines, *changed_circumstances(run, rerun.folder)]
                lines = lines or [UNCHANGED_FILES if "files" in info else SAME_CIRCUMSTANCES]
            if (what or files) and (known := commands_of_run(run.absolute().parent.parent, info, run.name)):
                lines.append(f"to rerun it: {known[1]}")
            for line in lines:
                print_wrapped(f"  {line}", indent="  ")
    for unread in unreadable:
        typer.echo(f"left out: {unread}", err=True)
    if damaged or unreadable:
        typer.echo(f"{damaged + len(unreadable)} of {len(runs)} damaged", err=True)
    if differ or unreadable:
        raise typer.Exit(FAILED)
