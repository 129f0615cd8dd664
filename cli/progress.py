"""What is shown on stderr while runs go on: a live display in a terminal, few plain lines elsewhere."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, TextIO, cast

from cli.display import counts, display, duration, time_left
from cli.terminal import say
from experiments.store.status import ENDED, FINISHED

if TYPE_CHECKING:
    from experiments.store.progress import FollowedRun, Follower, Progress

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 10.0
MOST_RUNS_NAMED = 40


@contextmanager
def show_progress(
    tasks: "Sequence[FollowedRun]", *, quiet: bool = False, may_be_fresh: bool = True
) -> "Iterator[None]":
    """Show how far the runs are until the context is left.

    Args:
        tasks: The runs.
        quiet: Show nothing.
        may_be_fresh: Say in the end how many were finished before, and that --fresh makes them again.
    """
    if quiet:
        yield
        return
    from experiments.store.progress import Follower

    follower = Follower(tasks)
    with _live(follower) if _is_terminal() else _plain(follower):
        yield
    if may_be_fresh:
        _tell_kept(follower.look())


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb") and "CI" not in os.environ


@contextmanager
def _live(follower: "Follower") -> "Iterator[None]":
    """A display that is drawn again and again, and gone when the runs have ended."""
    from cli.frame import Frame

    states = follower.look()
    done = threading.Event()
    with Frame(sys.stderr, tall=len(states) > 1) as frame, redirect_stderr(cast(TextIO, frame)):

        def follow() -> None:
            while not done.wait(SECONDS_BETWEEN_LOOKS):
                frame.draw(display(follower.look(), frame.console))

        thread = threading.Thread(target=follow, daemon=True)
        if not all(state.kept for state in states):
            thread.start()
        try:
            yield
        finally:
            done.set()
            if thread.is_alive():
                thread.join()


def _tell_kept(states: "Sequence[Progress]") -> None:
    """Say what was finished before, if anything was."""
    kept = sum(state.kept for state in states)
    if kept and len(states) == 1:
        say(f"{states[0].status} before; --fresh makes it again", err=True)
    elif kept:
        say(f"{kept} of {len(states)} finished before; --fresh makes {'it' if kept == 1 else 'them'} again", err=True)


@contextmanager
def _plain(follower: "Follower") -> "Iterator[None]":
    """A line when a run ends (where they are not too many), and one every ten seconds in which none did."""
    done = threading.Event()
    told: set[str] = set()

    def tell() -> bool:
        states = follower.look()
        new = [state for state in states if state.status in ENDED and state.run.label not in told and not state.kept]
        for state in new:
            told.add(state.run.label)
            if len(states) <= MOST_RUNS_NAMED or state.status not in FINISHED:
                number = f"[{len(told)}/{sum(not state.kept for state in states)}] " if len(states) > 1 else ""
                how = f"{state.status} in {state.seconds:.1f} s"
                _say(f"{number}{state.run.label}: {how}" + (f": {state.error}" if state.error else ""))
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


def _line(states: "Sequence[Progress]") -> str:
    """Where one run is, or how many are where."""
    if len(states) > 1:
        return f"{counts(states)}, {time_left(states)}".removesuffix(", ")
    (state,) = states
    return (
        f"step {state.step}/{state.run.steps}, loss {state.loss:.4g}, gradient norm {state.grad_norm:.3g}, "
        f"{state.speed:.0f} steps/s, {duration(state.left)}"
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
