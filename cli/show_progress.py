"""Progress on stderr while runs are running: a live table in a terminal, a few plain lines elsewhere."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, TextIO, cast

from cli.printing import print_wrapped
from cli.progress_table import count_by_status, format_time_left, progress_table, time_left
from experiments.store.status import ENDED, FINISHED

if TYPE_CHECKING:
    from experiments.store.progress import FollowedRun, Follower, Progress

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 10.0
MOST_RUNS_NAMED = 40


@contextmanager
def show_progress(runs: "Sequence[FollowedRun]", *, quiet: bool = False, may_be_fresh: bool = True) -> "Iterator[None]":
    """Show the progress of runs until the context ends.

    Args:
        runs: Runs to follow.
        quiet: Whether to show nothing.
        may_be_fresh: Whether to say at the end which runs were skipped and that `--fresh` runs them again.
    """
    if quiet:
        yield
        return
    from experiments.store.progress import Follower

    follower = Follower(runs)
    with _live_table(follower) if _is_terminal() else _plain_lines(follower):
        yield
    if may_be_fresh:
        _print_skipped(follower.look())


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb") and "CI" not in os.environ


@contextmanager
def _live_table(follower: "Follower") -> "Iterator[None]":
    """Redraw a table until the runs end, then erase it."""
    from cli.redrawn_text import RedrawnText

    progress = follower.look()
    done = threading.Event()
    with RedrawnText(sys.stderr, tall=len(progress) > 1) as text, redirect_stderr(cast(TextIO, text)):

        def redraw() -> None:
            while not done.wait(SECONDS_BETWEEN_LOOKS):
                text.draw(progress_table(follower.look(), text.console))

        thread = threading.Thread(target=redraw, daemon=True)
        if not all(one.kept for one in progress):
            thread.start()
        try:
            yield
        finally:
            done.set()
            if thread.is_alive():
                thread.join()


def _print_skipped(progress: "Sequence[Progress]") -> None:
    """Say how many runs were skipped because they had already finished."""
    skipped = sum(one.kept for one in progress)
    if skipped and len(progress) == 1:
        print_wrapped(f"already {progress[0].status}; --fresh runs it again", err=True)
    elif skipped:
        them = "it" if skipped == 1 else "them"
        print_wrapped(f"{skipped} of {len(progress)} already finished; --fresh runs {them} again", err=True)


@contextmanager
def _plain_lines(follower: "Follower") -> "Iterator[None]":
    """Print a line for each run that ends, and one after every ten seconds in which none did.

    Of more than 40 runs, only those that fail or are interrupted have a line.
    """
    done = threading.Event()
    printed: set[str] = set()

    def print_ended() -> bool:
        progress = follower.look()
        new = [one for one in progress if one.status in ENDED and one.run.label not in printed and not one.kept]
        for one in new:
            printed.add(one.run.label)
            if len(progress) <= MOST_RUNS_NAMED or one.status not in FINISHED:
                number = f"[{len(printed)}/{sum(not one.kept for one in progress)}] " if len(progress) > 1 else ""
                outcome = f"{one.status} in {one.seconds:.1f} s"
                _print_line(f"{number}{one.run.label}: {outcome}" + (f": {one.error}" if one.error else ""))
        return bool(new) and len(progress) <= MOST_RUNS_NAMED

    def follow() -> None:
        seconds_without_line = 0.0
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            seconds_without_line = 0.0 if print_ended() else seconds_without_line + SECONDS_BETWEEN_LOOKS
            if seconds_without_line >= SECONDS_BETWEEN_LINES:
                seconds_without_line = 0.0
                _print_line(_progress_line(follower.look()))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        print_ended()


def _progress_line(progress: "Sequence[Progress]") -> str:
    """The step and loss of a single run, or the counts of several."""
    if len(progress) > 1:
        return f"{count_by_status(progress)}, {time_left(progress)}".removesuffix(", ")
    (one,) = progress
    if one.step == 0:
        return f"step 0/{one.run.steps}"
    return (
        f"step {one.step}/{one.run.steps or '?'}, loss {one.loss:.4g}, gradient norm {one.grad_norm:.3g}, "
        f"{one.speed:.0f} steps/s, {format_time_left(one.left)}"
    )


def _print_line(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
