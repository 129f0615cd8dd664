"""bptt status"""

import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion
from cli.errors import one_line
from cli.options import ResultsDir
from cli.terminal import UNLIMITED, wrap, wrap_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from experiments.store.progress import Progress

MOST_FAILED = 20


@one_line
def status(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="By name or folder.", show_default=False, autocompletion=completion.studies
        ),
    ],
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing it until all runs have ended, or Ctrl-C.")
    ] = False,
    results_dir: ResultsDir = "results",
) -> None:
    """Say how far the runs of a study are.

    How many ended, and how; those that are being made, by whatever process and machine; the errors of those that
    failed; and what would go on with the rest.

    Example: bptt status quickstart --watch
    """
    from rich.console import Console

    from cli.frame import Frame
    from experiments.errors import UsageError
    from experiments.store.studies import find_study

    folder = find_study(study, results_dir)
    console = Console()
    if not console.is_terminal:
        console = Console(width=UNLIMITED, height=UNLIMITED)
    states, looks = _look(folder)
    if not states:
        raise UsageError(f"{folder}: holds no run yet")
    if watch:
        with suppress(KeyboardInterrupt), Frame(sys.stdout, tall=True) as frame:
            while any(state.status in ("running", "waiting") for state in states):
                if console.is_terminal:
                    frame.draw(_picture(folder, states, frame.console))
                time.sleep(max(1.0, 4 * looks))
                states, looks = _look(folder)
    console.print(_picture(folder, states, console), crop=False)


def _look(folder: Path) -> "tuple[Sequence[Progress], float]":
    """How far the runs are, and how many seconds it took to find out."""
    from experiments.store.progress import progress_of_study

    began = time.monotonic()
    return progress_of_study(folder), time.monotonic() - began


def _picture(folder: Path, states: "Sequence[Progress]", console: "Console") -> "RenderableType":
    """What `bptt sweep` shows of them, then what failed, then what to do."""
    from rich.console import Group
    from rich.text import Text

    from cli.display import counts, display
    from experiments.store.plans import read_plans
    from experiments.wording import counted

    failed = [state for state in states if state.status == "failed"]
    said = [f"{state.run.label}: {state.error}" for state in failed[:MOST_FAILED]]
    if len(failed) > MOST_FAILED:
        said.append(f"and {len(failed) - MOST_FAILED} more that failed")
    damaged = [state for state in states if state.status == "damaged"]
    said += [f"{state.run.label}: damaged: {state.error}" for state in damaged[:MOST_FAILED]]
    if len(damaged) > MOST_FAILED:
        said.append(f"and {len(damaged) - MOST_FAILED} more that are damaged")
    outdated = [state for state in states if state.changed]
    said += [
        f"{counted(number, 'run')} {'was' if number == 1 else 'were'} made from another version of {files}"
        for files, number in Counter(state.changed for state in outdated).items()
    ]
    doubtful = {state.run.folder.name for state in (*damaged, *outdated)}
    unfinished = [state.run.folder.name for state in states if state.status in ("interrupted", "waiting")]
    running = any(state.status == "running" for state in states)
    lines = [line for text in said for line in wrap(text.split(" "), console.width, "  ")]
    for sweep in filter(lambda sweep: sweep.command, read_plans(folder)):
        if not sweep.runs.keys().isdisjoint(state.run.folder.name for state in failed):
            lines += _command("to start over what failed", sweep.retry_command, console.width)
        elif not running and not sweep.runs.keys().isdisjoint(unfinished):
            lines += _command("to resume", sweep.command, console.width)
        if not sweep.runs.keys().isdisjoint(doubtful):
            lines += _command("to make again what is damaged or outdated", sweep.repair_command, console.width)
    if len(states) == 1 and (known := _command_of_one(folder, states[0])):
        lines += _command(*known, console.width)
    alone = len(states) == 1 and states[0].status != "running"
    picture = Text(counts(states)) if alone else display(states, console)
    return Group(picture, *(Text(line, no_wrap=True, overflow="ignore") for line in lines))


def _command(what: str, command: str, width: int) -> list[str]:
    """What a command is for, and the command; below it, and to be pasted from there, where one line has no room."""
    line = f"{what}: {command}"
    return [line] if len(line) <= width else [f"{what}:", *wrap_command(command, width)]


def _command_of_one(study: Path, state: "Progress") -> tuple[str, str] | None:
    """What to do about a study's only run, where no sweep planned it, and the command for it."""
    from experiments.errors import DamagedRun
    from experiments.store.files import read_json
    from experiments.store.plans import commands_of_run, read_plans

    try:
        info = read_json(state.run.folder / "run.json")
    except DamagedRun:
        info = {}
    known = None if read_plans(study) else commands_of_run(study, info, state.run.folder.name)
    if known is None:
        return None
    if state.status == "interrupted":
        return "to resume", known[0]
    return ("to make it again", known[1]) if state.status in ("failed", "damaged") or state.changed else None
