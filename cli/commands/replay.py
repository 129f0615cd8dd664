"""bptt replay"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from cli import completion
from cli.errors import FAILED, one_line_errors
from cli.options import ConfigDir, Quiet
from cli.printing import print_wrapped

IS_SETTING = re.compile(r"\+?record(\.\w+)?=")

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
            metavar="RUN... [record.KEY=VALUE]...",
            help="Folders of runs, such as results/quickstart/runs/*, and what to record this time.",
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

    With settings of record, such as record.every=1 or record=full, the command gives finished runs another record. It
    repeats each run and, if metrics.csv, evaluation.csv and network.pt are identical, replaces the other files in the
    run's folder. Recording does not change the training.

    Example: bptt replay results/quickstart/runs/*

    Example: bptt replay results/quickstart/runs/* record.every=1 record.windows=all
    """
    from cli.show_progress import show_progress
    from experiments.analysis.summary import write_summary
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import DamagedRun, UsageError
    from experiments.store.locks import read_info
    from experiments.store.plans import commands_of_run
    from experiments.store.progress import FollowedRun
    from experiments.sweeps.replay import (
        Difference,
        changed_circumstances,
        changed_files,
        compare,
        damage,
        prepare_replay,
    )
    from experiments.sweeps.rerecording import TRAINED, replace_record

    extend_python_path(config_dir)
    record = [str(one) for one in runs if IS_SETTING.match(str(one))]
    runs = [one for one in runs if str(one) not in record]
    for one in runs:
        if "=" in str(one) and not one.exists():
            raise UsageError(f"{one}: only what is recorded can be set, such as record.every=1")
    if not runs:
        raise UsageError(f"{' '.join(record)}: for which run? Give the folder of a run, too")
    with TemporaryDirectory(prefix="bptt-replay-") as scratch:
        reruns, left_out = [], []
        for number, run in enumerate(runs):
            try:
                reruns.append((run, prepare_replay(run, Path(scratch) / str(number), record, config_dir)))
            except (DamagedRun, UsageError) as error:
                if len(runs) == 1 and isinstance(error, UsageError):
                    raise
                left_out.append(error if str(run) in str(error) else UsageError(f"{run}: {error}"))
        if not reruns and all(isinstance(error, UsageError) for error in left_out):
            raise left_out[0]
        differ = damaged = 0
        studies: set[Path] = set()
        for run, rerun in reruns:
            with show_progress([FollowedRun(rerun.folder, run.name, rerun.steps)], quiet=quiet):
                result = rerun.run()
            difference: Difference | str | None = f"fails: {result.error}"
            if result.status != "failed":
                difference = compare(run, rerun.folder, TRAINED if record else None)
            differ += difference is not None
            if difference is None and record:
                replace_record(run, rerun.folder)
                studies.add(run.absolute().parent.parent)
                print_wrapped(f"{run}: the training is identical; recorded with {' '.join(record)}")
            else:
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
    for study in studies:
        if (study / "summary.csv").exists():
            write_summary(study)
    for why in left_out:
        typer.echo(f"left out: {why}", err=True)
    damaged += sum(isinstance(why, DamagedRun) for why in left_out)
    if damaged:
        typer.echo(f"{damaged} of {len(runs)} damaged", err=True)
    if differ or left_out:
        raise typer.Exit(FAILED)
