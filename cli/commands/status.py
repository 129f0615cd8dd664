"""bptt status"""

import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import one_line_errors
from cli.options import ResultsDir, Study
from cli.printing import stdout_console, wrap, wrap_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from experiments.store.progress import Progress

MOST_NAMED = 20
"""Failed runs, and damaged runs, that are named; the rest are counted."""


@one_line_errors
def status(
    study: Study,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep updating until all runs have ended; stop with Ctrl-C.")
    ] = False,
    results_dir: ResultsDir = "results",
) -> None:
    """Print the progress of a study.

    Shows how many runs have finished, failed or been interrupted, the progress of those that are running (in any
    process, on any machine), the errors, and the commands that resume or rerun the rest.

    Example: bptt status quickstart --watch
    """
    from cli.redrawn_text import RedrawnText
    from experiments.errors import UsageError
    from experiments.store.studies import find_study

    folder = find_study(study, results_dir)
    console = stdout_console()
    progress, seconds = _timed_progress(folder)
    if not progress:
        raise UsageError(f"{folder}: holds no run yet")
    if watch:
        with suppress(KeyboardInterrupt), RedrawnText(sys.stdout, tall=True) as text:
            while any(one.status in ("running", "waiting") for one in progress):
                if console.is_terminal:
                    text.draw(_status_text(folder, progress, text.console))
                time.sleep(max(1.0, 4 * seconds))
                progress, seconds = _timed_progress(folder)
    console.print(_status_text(folder, progress, console), crop=False)


def _timed_progress(folder: Path) -> "tuple[Sequence[Progress], float]":
    """The progress of the runs, and how many seconds it took to read it."""
    from experiments.store.progress import progress_of_study

    began = time.monotonic()
    return progress_of_study(folder), time.monotonic() - began


def _status_text(folder: Path, progress: "Sequence[Progress]", console: "Console") -> "RenderableType":
    """The progress table of `bptt sweep`, then the errors, then the commands that resume or rerun runs."""
    from rich.console import Group
    from rich.text import Text

    from cli.progress_table import count_by_status, progress_table
    from experiments.store.plans import read_plans
    from experiments.wording import counted

    failed = [one for one in progress if one.status == "failed"]
    problems = [f"{one.run.label}: {one.error}" for one in failed[:MOST_NAMED]]
    if len(failed) > MOST_NAMED:
        problems.append(f"and {counted(len(failed) - MOST_NAMED, 'more failed run')}")
    damaged = [one for one in progress if one.status == "damaged"]
    problems += [f"{one.run.label}: damaged: {one.error}" for one in damaged[:MOST_NAMED]]
    if len(damaged) > MOST_NAMED:
        problems.append(f"and {counted(len(damaged) - MOST_NAMED, 'more damaged run')}")
    problems += [f"{one.run.label}: {one.unseen}" for one in progress if one.unseen and one.status != "failed"]
    outdated = [one for one in progress if one.changed]
    problems += [
        f"{counted(number, 'run')} used another version of {files}"
        for files, number in Counter(one.changed for one in outdated).items()
    ]
    doubtful = {one.run.folder.name for one in (*damaged, *outdated)}
    unfinished = [one.run.folder.name for one in progress if one.status in ("interrupted", "waiting")]
    is_running = any(one.status == "running" for one in progress)
    lines = [line for problem in problems for line in wrap(problem.split(" "), console.width, "  ")]
    for sweep in filter(lambda sweep: sweep.command, read_plans(folder)):
        if not sweep.runs.keys().isdisjoint(one.run.folder.name for one in failed):
            lines += _command_lines("to rerun failed runs", sweep.retry_command, console.width)
        elif not is_running and not sweep.runs.keys().isdisjoint(unfinished):
            lines += _command_lines("to resume", sweep.command, console.width)
        if not sweep.runs.keys().isdisjoint(doubtful):
            lines += _command_lines("to rerun damaged or outdated runs", sweep.repair_command, console.width)
    if len(progress) == 1 and (known := _command_for_only_run(folder, progress[0])):
        lines += _command_lines(*known, console.width)
    is_idle_alone = len(progress) == 1 and progress[0].status != "running"
    table = Text(count_by_status(progress)) if is_idle_alone else progress_table(progress, console)
    return Group(table, *(Text(line, no_wrap=True, overflow="ignore") for line in lines))


def _command_lines(purpose: str, command: str, width: int) -> list[str]:
    """The purpose of a command and the command, on one line, or on further lines that can be pasted into a shell."""
    line = f"{purpose}: {command}"
    return [line] if len(line) <= width else [f"{purpose}:", *wrap_command(command, width)]


def _command_for_only_run(study: Path, one: "Progress") -> tuple[str, str] | None:
    """The purpose and the command that resumes or reruns the only run of a study, if no sweep planned it."""
    from experiments.errors import DamagedRun
    from experiments.store.files import read_json
    from experiments.store.plans import commands_of_run, read_plans

    try:
        info = read_json(one.run.folder / "run.json")
    except DamagedRun:
        info = {}
    known = None if read_plans(study) else commands_of_run(study, info, one.run.folder.name)
    if known is None:
        return None
    if one.status == "interrupted":
        return "to resume", known[0]
    return ("to rerun it", known[1]) if one.status in ("failed", "damaged") or one.changed else None
