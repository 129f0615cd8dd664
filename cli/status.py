"""bptt status"""

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion
from cli.errors import one_line
from cli.options import ResultsDir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from experiments.status import State

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
    from rich.live import Live

    from experiments.errors import UsageError
    from experiments.study import find_study

    folder = find_study(study, results_dir)
    console = Console()
    if not console.is_terminal:
        console = Console(width=200, height=10_000)
    states, looks = _look(folder)
    if not states:
        raise UsageError(f"{folder}: holds no run yet")
    if watch:
        with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, transient=True) as live:
            while any(state.status in ("running", "waiting") for state in states):
                live.update(_picture(folder, states, console), refresh=True)
                time.sleep(max(1.0, 4 * looks))
                states, looks = _look(folder)
    console.print(_picture(folder, states, console), soft_wrap=not console.is_terminal)


def _look(folder: Path) -> "tuple[Sequence[State], float]":
    """How far the runs are, and how many seconds it took to find out."""
    from experiments.status import states_of

    began = time.monotonic()
    return states_of(folder), time.monotonic() - began


def _picture(folder: Path, states: "Sequence[State]", console: "Console") -> "RenderableType":
    """What `bptt sweep` shows of them, then what failed, then what to do."""
    from rich.console import Group
    from rich.text import Text

    from cli.progress import counts, display
    from experiments.planned import read_plans

    failed = [state for state in states if state.status == "failed"]
    lines = [f"{state.task.label}: {state.error}" for state in failed[:MOST_FAILED]]
    if len(failed) > MOST_FAILED:
        lines.append(f"and {len(failed) - MOST_FAILED} more that failed")
    damaged = [state for state in states if state.status == "damaged"]
    lines += [f"{state.task.label}: damaged: {state.error}" for state in damaged[:MOST_FAILED]]
    if len(damaged) > MOST_FAILED:
        lines.append(f"and {len(damaged) - MOST_FAILED} more that are damaged")
    outdated = [state for state in states if state.changed]
    lines += [
        f"{'1 run was' if number == 1 else f'{number} runs were'} made from another version of {files}"
        for files, number in Counter(state.changed for state in outdated).items()
    ]
    doubtful = {state.task.folder.name for state in (*damaged, *outdated)}
    unfinished = [state.task.folder.name for state in states if state.status in ("interrupted", "waiting")]
    running = any(state.status == "running" for state in states)
    for sweep in read_plans(folder):
        if not sweep.runs.keys().isdisjoint(state.task.folder.name for state in failed):
            lines.append(f"to start over what failed: {sweep.retry}")
        elif not running and not sweep.runs.keys().isdisjoint(unfinished):
            lines.append(f"to go on: {sweep.command}")
        if not sweep.runs.keys().isdisjoint(doubtful):
            lines.append(f"to make again what is damaged or made from other files: {sweep.again}")
    if len(states) == 1 and (command := _command(folder, states[0])):
        lines.append(command)
    alone = len(states) == 1 and states[0].status != "running"
    return Group(Text(counts(states)) if alone else display(states, console), *(Text(line) for line in lines))


def _command(study: Path, state: "State") -> str:
    """What to do about a study's only run, where no sweep planned it."""
    from experiments.errors import DamagedRun
    from experiments.planned import commands, read_plans
    from experiments.results import read_json

    try:
        info = read_json(state.task.folder / "run.json")
    except DamagedRun:
        info = {}
    known = None if read_plans(study) else commands(study, info, state.task.folder.name)
    if known is None or state.status == "running":
        return ""
    if state.status == "interrupted":
        return f"to go on: {known[0]}"
    return f"to make it again: {known[1]}" if state.status in ("failed", "damaged") or state.changed else ""
