"""What is shown on stderr while runs go on: a live display in a terminal, few plain lines elsewhere."""

import math
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from cli.interrupts import said_by

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from experiments.status import Follower, State, Task

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 10.0
MOST_RUNS_NAMED = 40
BARS = "▁▂▃▄▅▆▇█"


@contextmanager
def shown(tasks: "Sequence[Task]", *, quiet: bool = False, may_be_fresh: bool = True) -> "Iterator[None]":
    """Show how far the runs are until the context is left.

    Args:
        tasks: The runs.
        quiet: Show nothing.
        may_be_fresh: Say in the end how many were finished before, and that --fresh makes them again.
    """
    if quiet:
        yield
        return
    from experiments.status import Follower

    follower = Follower(tasks)
    with _live(follower) if _is_terminal() else _plain(follower):
        yield
    if may_be_fresh:
        sys.stderr.write(_kept(follower.look()))


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb") and "CI" not in os.environ


@contextmanager
def _live(follower: "Follower") -> "Iterator[None]":
    """A display that is drawn again and again, and gone when the runs have ended."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    looked = threading.Lock()

    def draw() -> "RenderableType":
        with looked:
            return display(follower.look(), console)

    live = Live(get_renderable=draw, console=console, refresh_per_second=1 / SECONDS_BETWEEN_LOOKS, transient=True)
    with live, said_by(partial(console.print, highlight=False, markup=False)):
        yield


def display(states: "Sequence[State]", console: "Console") -> "RenderableType":
    """A line for each running run, as many as fit, under one for all where there are several."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    running = [state for state in states if state.status == "running"]
    wide = console.width >= 100
    lines: list[RenderableType] = []
    if len(states) > 1:
        whole = Table.grid(padding=(0, 1))
        done = sum(
            state.step / state.task.steps if state.status == "running" else state.status in _FINISHED
            for state in states
        )
        bar = ProgressBar(total=len(states), completed=done, width=20 if wide else 12)
        whole.add_row(Text(counts(states)), bar, Text(_time_left(states)))
        lines.append(whole)
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=40 if wide else 22 if console.width >= 80 else 10)
    most = max(1, console.height - 4)
    for state in running[:most]:
        cells: list[RenderableType] = [
            Text(state.task.label),
            ProgressBar(
                total=state.task.steps, completed=state.step, width=20 if wide else 8 if console.width >= 80 else 4
            ),
            Text(f"{state.step}/{state.task.steps}"),
            Text(f"loss {state.loss:.3g}" if state.step else "starting"),
            Text(_duration(state.left)),
        ]
        if wide:
            cells[3:3] = [
                Text(f"{state.speed:.0f}/s" if state.step else ""),
                Text(f"norm {state.grad_norm:.2g}" if state.step else ""),
            ]
        cells.append(Text(sparkline(state.flow, 20 if wide else 10)))
        table.add_row(*cells)
    lines.append(table)
    if len(running) > most:
        lines.append(Text(f"and {len(running) - most} more"))
    if any(state.flow for state in running) and wide:
        lines.append(Text("right: gradient norm from the last timestep back, a decade a level", style="dim"))
    for line in lines[2:]:
        if isinstance(line, Text):
            line.no_wrap = True
    return Group(*lines)


def sparkline(flow: "Sequence[float]", width: int) -> str:
    """Norms by lag as bars: the full one is the largest, each level below it a decade less; '!' is not finite."""
    picked = [flow[i * len(flow) // width] for i in range(width)] if len(flow) > width else list(flow)
    largest = max((norm for norm in picked if math.isfinite(norm)), default=0.0)

    def bar(norm: float) -> str:
        if not math.isfinite(norm):
            return "!"
        if norm <= 0 or largest <= 0:
            return " "
        return BARS[max(0, len(BARS) - 1 - int(math.log10(largest / norm)))]

    return "".join(map(bar, picked))


_FINISHED = ("completed", "diverged")
_ENDED = ("completed", "diverged", "failed", "interrupted")


def counts(states: "Sequence[State]") -> str:
    """How many runs there are of each status: '3/18 done, 2 running, 1 diverged, 13 waiting'."""
    by_status = Counter(state.status for state in states)
    done = by_status["completed"] + by_status["diverged"]
    others = [f"{by_status[status]} {status}" for status in ("running", *_ENDED[1:], "waiting") if by_status[status]]
    return ", ".join([f"{done}/{len(states)} done", *others])


def _time_left(states: "Sequence[State]") -> str:
    """From the speed of all runs together so far."""
    timed = [state for state in states if not state.kept and state.status in ("running", "completed", "diverged")]
    made, took = sum(state.step for state in timed), sum(state.seconds for state in timed)
    side_by_side = sum(state.status == "running" for state in states)
    left = sum(state.task.steps - state.step for state in states if state.status in ("running", "waiting"))
    return _duration(left * took / made / side_by_side) if made and side_by_side else ""


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}") + " left"


def _kept(states: "Sequence[State]") -> str:
    """What was finished before; empty if nothing was."""
    if len(states) == 1 and states[0].kept:
        return f"{states[0].status} before; --fresh makes it again\n"
    kept = sum(state.kept for state in states)
    return (
        f"{kept} of {len(states)} finished before; --fresh makes {'it' if kept == 1 else 'them'} again\n"
        if kept
        else ""
    )


@contextmanager
def _plain(follower: "Follower") -> "Iterator[None]":
    """A line when a run ends (where they are not too many), and one every ten seconds in which none did."""
    done = threading.Event()
    told: set[str] = set()

    def tell() -> bool:
        states = follower.look()
        new = [state for state in states if state.status in _ENDED and state.task.label not in told and not state.kept]
        for state in new:
            told.add(state.task.label)
            if len(states) <= MOST_RUNS_NAMED or state.status not in ("completed", "diverged"):
                number = f"[{len(told)}/{sum(not state.kept for state in states)}] " if len(states) > 1 else ""
                how = f"{state.status} in {state.seconds:.1f} s"
                _say(f"{number}{state.task.label}: {how}" + (f": {state.error}" if state.error else ""))
        return bool(new) and len(states) <= MOST_RUNS_NAMED

    def follow() -> None:
        quiet = 0.0
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            quiet = 0.0 if tell() else quiet + SECONDS_BETWEEN_LOOKS
            if quiet >= SECONDS_BETWEEN_LINES:
                quiet = 0.0
                _say(_line(follower.look()))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        tell()


def _line(states: "Sequence[State]") -> str:
    """Where one run is, or how many are where."""
    if len(states) > 1:
        return f"{counts(states)}, {_time_left(states)}".removesuffix(", ")
    (state,) = states
    return (
        f"step {state.step}/{state.task.steps}, loss {state.loss:.4g}, gradient norm {state.grad_norm:.3g}, "
        f"{state.speed:.0f} steps/s, {_duration(state.left)}"
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
