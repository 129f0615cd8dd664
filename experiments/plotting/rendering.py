"""Renders figures to the bytes of image files, in several processes while the next figures are drawn."""

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

import cloudpickle
import matplotlib as mpl
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from matplotlib.figure import Figure

from bptt_start import Portable
from experiments.drawing.style import find_asian_fonts, settings

MOST_OTHERS = 8
"""The largest number of other processes: all of them start at once, and there are about a dozen figures."""

SECONDS_IDLE = 10
"""Seconds without work after which a process ends by itself, in case the main process no longer ends it."""


class Rendered(NamedTuple):
    """A rendered figure.

    Attributes:
        content: Bytes of the file; the same data give the same bytes.
        notes: What could not be drawn.
    """

    content: bytes
    notes: list[str]


class Renderer:
    """Renders figures while the next ones are drawn. Figures that are drawn within its context have our style.

    It uses one process for each processor, up to a limit. At the end this process renders figures as well.

    Args:
        style: Settings of matplotlib. None: those for text of the usual size.
        alone: Whether this process renders everything, because starting others takes longer than rendering few figures.
    """

    def __init__(self, style: dict[Any, Any] | None = None, *, alone: bool = False) -> None:
        self._others = 0 if alone else min(cpu_count(), MOST_OTHERS)
        self._settings = settings() if style is None else style
        self._style = mpl.rc_context(self._settings)
        self._jobs: list[tuple[partial[Rendered], Future[Rendered]]] = []

    def add(self, figure: Figure, suffix: str, *, transparent: bool = False) -> None:
        """Render a copy of a figure as it is now: rendering moves its artists, so that a second time would differ."""
        job = partial(_render_copy, _pickled(figure), suffix, self._settings, transparent=transparent)
        self._jobs.append((job, self._executor().submit(Portable(job)) if self._others else Future()))

    def finish(self) -> list[Rendered]:
        """Return everything that was added, in that order. This process renders what no other has begun."""
        here = {i: job() for i, (job, future) in reversed([*enumerate(self._jobs)]) if future.cancel()}
        return [here[i] if i in here else _result(job, future) for i, (job, future) in enumerate(self._jobs)]

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
    """Pickle a figure while garbage collection is off, because it would change weak references during pickling."""
    collects = gc.isenabled()
    gc.disable()
    try:
        pickled: bytes = cloudpickle.dumps(figure)  # it includes functions of a user's figure
        return pickled
    finally:
        if collects:
            gc.enable()


def _render_copy(pickled: bytes, suffix: str, style: dict[Any, Any], *, transparent: bool) -> Rendered:
    return render(pickle.loads(pickled), suffix, style, transparent=transparent)


def _result(job: partial[Rendered], future: "Future[Rendered]") -> Rendered:
    try:
        return future.result()
    except BrokenProcessPool:  # the process was killed
        return job()


def _prepare() -> None:
    """Leave interrupts to the main process, and switch off garbage collection, which few figures do not need."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    find_asian_fonts()


_PREPARE = Portable(_prepare)
"""A single object, because joblib keeps its processes only as long as the initializer is the same object."""


def render(figure: Figure, suffix: str, style: dict[Any, Any], *, transparent: bool = False) -> Rendered:
    """Render a figure, without a date in the file.

    Args:
        figure: Figure that was drawn with these settings.
        suffix: File format: png, svg or pdf.
        style: Settings of matplotlib.
        transparent: Whether the background is transparent.
    """
    dated = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}[suffix]
    buffer = io.BytesIO()
    with mpl.rc_context(style), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(buffer, format=suffix, metadata={dated: None}, transparent=transparent)
    notes = []
    for warning in caught:
        if "missing from font" in str(warning.message):
            missing = str(warning.message).partition(" missing")[0]
            notes.append(f"no installed font has {missing}; the figure shows a box instead")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return Rendered(buffer.getvalue(), notes)
