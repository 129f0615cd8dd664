"""Figures as the bytes of files, rendered by several processes while the next figures are drawn."""

import gc
import io
import pickle
import signal
import warnings
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

import matplotlib as mpl
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from matplotlib.figure import Figure

from bptt_start import Portable
from experiments.drawing.style import find_asian_fonts, settings

MOST_OTHERS = 8
"""Processes: all of them start at once, and there are a dozen figures."""

SECONDS_IDLE = 10
"""After so many a process ends by itself, should nobody be left to end it."""


class Rendered(NamedTuple):
    """A figure as a file holds it.

    Attributes:
        content: the same data give the same bytes.
        notes: what could not be drawn.
    """

    content: bytes
    notes: list[str]


class Renderer:
    """Renders figures while the next ones are drawn. Within it, figures are drawn in our style.

    It has a process for each processor, if they are few; this one joins in at the end.

    Args:
        style: matplotlib's settings; None: those of text of the usual size.
        alone: Whether this process does all of it: for a figure or two no other is worth its start.
    """

    def __init__(self, style: dict[Any, Any] | None = None, *, alone: bool = False) -> None:
        self._others = 0 if alone else min(cpu_count(), MOST_OTHERS)
        self._settings = settings() if style is None else style
        self._style = mpl.rc_context(self._settings)
        self._jobs: list[tuple[partial[Rendered], Future[Rendered]]] = []

    def add(self, figure: Figure, suffix: str, *, transparent: bool = False) -> None:
        """Have a figure rendered as it is now: rendering moves things in it, and a second time would differ."""
        job = partial(_render_copy, _pickled(figure), suffix, self._settings, transparent=transparent)
        self._jobs.append((job, self._executor().submit(Portable(job)) if self._others else Future()))

    def finish(self) -> list[Rendered]:
        """All that was added, in that order; from the last one on, what no other process has begun is rendered here."""
        here = {i: job() for i, (job, future) in reversed([*enumerate(self._jobs)]) if future.cancel()}
        return [here[i] if i in here else _made(job, future) for i, (job, future) in enumerate(self._jobs)]

    def _executor(self) -> Any:
        return get_reusable_executor(self._others, timeout=SECONDS_IDLE, initializer=_PREPARE)

    def __enter__(self) -> Self:
        self._style.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._style.__exit__(kind, error, trace)
        if self._others and self._jobs:
            self._executor().shutdown(kill_workers=True)


def _pickled(figure: Figure) -> bytes:
    """Without a collection of garbage in the middle: it would change the weak references that are being written."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return pickle.dumps(figure)
    finally:
        if collects:
            gc.enable()


def _render_copy(pickled: bytes, suffix: str, style: dict[Any, Any], *, transparent: bool) -> Rendered:
    return render(pickle.loads(pickled), suffix, style, transparent=transparent)


def _made(job: partial[Rendered], future: "Future[Rendered]") -> Rendered:
    try:
        return future.result()
    except BrokenProcessPool:  # it was killed
        return job()


def _prepare() -> None:
    """Leave interrupts to the first process, and what is left of so few figures uncollected."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    find_asian_fonts()


_PREPARE = Portable(_prepare)
"""One object: joblib keeps its processes only while they are asked for with the same."""


def render(figure: Figure, suffix: str, style: dict[Any, Any], *, transparent: bool = False) -> Rendered:
    """Render a figure, without a date.

    Args:
        figure: A figure, drawn in the style.
        suffix: png, svg or pdf.
        style: matplotlib's settings.
        transparent: Whether it has no ground of its own.
    """
    dated = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}[suffix]
    buffer = io.BytesIO()
    with mpl.rc_context(style), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(buffer, format=suffix, metadata={dated: None}, transparent=transparent)
    notes = []
    for warning in caught:
        if "missing from font" in str(warning.message):
            note = f"no font of this machine has {str(warning.message).partition(' missing')[0]}: a box in its place"
            notes.append(note)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return Rendered(buffer.getvalue(), notes)
