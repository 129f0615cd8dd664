"""Ctrl-C and SIGTERM: a command answers at once, even while torch computes and Python cannot run a signal handler."""

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.redrawn_text import RedrawnText
from experiments.sweeps.process_signals import close_signal_pipe, open_signal_pipe

INTERRUPTED = 130
"""Exit code of an interrupted command."""

STOPPING_MESSAGE = "bptt: stopping after the current computation; press Ctrl-C again to stop at once"
INTERRUPTED_MESSAGE = "bptt: interrupted; results written so far are kept"

SECONDS_TO_REPEAT = 0.05
"""Time after which an interrupt is raised again that a callback has swallowed."""

SECONDS_TO_STOP = 0.3
"""Time in which an interrupted command normally ends; one that takes longer is inside a long computation."""


@contextmanager
def answer_interrupts() -> Iterator[None]:
    """Answer interrupts while a command runs.

    If the command does not end soon after the first interrupt, a message says that it is stopping. The second interrupt
    ends the process at once. An interrupt that another error has taken the place of, as in a `finally` of a library, is
    raised in place of that error.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = open_signal_pipe()
    thread = threading.Thread(target=_answer_signals, args=(signals,), daemon=True)
    thread.start()
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: _repeat_interrupt(unraisable) or hook(unraisable)
    try:
        yield
    except Exception as error:
        if _follows_interrupt(error):
            raise KeyboardInterrupt from None
        raise
    finally:
        sys.unraisablehook = hook
        close_signal_pipe()
        thread.join()
        os.close(signals)


def _follows_interrupt(error: BaseException) -> bool:
    """Whether an error was raised while an interrupt was handled."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:  # an error that is raised again may be its own context
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    return any(isinstance(one, KeyboardInterrupt) for one in seen)


def _repeat_interrupt(unraisable: Any) -> bool:
    """Raise an interrupt again that came during a callback, such as one of the import system: Python drops it there."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        return False
    main = threading.main_thread().ident
    again = threading.Timer(SECONDS_TO_REPEAT, signal.pthread_kill, (main, signal.SIGINT))
    again.daemon = True
    again.start()
    return True


def _answer_signals(signals: int) -> None:
    if not _wait_for_interrupt(signals):
        return
    if not _is_readable_soon(signals):
        _write_line(STOPPING_MESSAGE)
    if not _wait_for_interrupt(signals):
        return
    while _is_readable_soon(signals):
        if not os.read(signals, 1):
            return
    if text := RedrawnText.current:
        text.__exit__()
    _write_line(INTERRUPTED_MESSAGE)
    os._exit(INTERRUPTED)  # this releases the run's lock, after which its run.json reads as interrupted


def _wait_for_interrupt(signals: int) -> bool:
    """Block until an interrupt arrives; return False if the command ends first."""
    while number := os.read(signals, 1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            return True
    return False


def _is_readable_soon(signals: int) -> bool:
    """Whether another signal arrives, or the command ends, within `SECONDS_TO_STOP`."""
    return bool(select.select([signals], [], [], SECONDS_TO_STOP)[0])


def _write_line(line: str) -> None:
    """Write a line to stderr without Python's buffer, whose lock the interrupted thread may hold."""
    if text := RedrawnText.current:
        text.write(f"{line}\n")
    else:
        os.write(2, f"{line}\n".encode())
