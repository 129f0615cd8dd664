"""What the fork server imports first. It dies with the process that started it, and what it forks ends with it."""

import ctypes
import gc
import os
import signal
import sys
import time
from types import TracebackType

from experiments.sweeps.process_end import STARTED_BY, end_with

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that comes when the parent dies, also in the middle of an import. Forks do not inherit it."""


def _say_later(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say what kept a worker from starting, unless it is that the process it was for is gone: then it ends before."""
    time.sleep(1.0)
    sys.__excepthook__(kind, error, trace)


ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.environ.get(STARTED_BY) not in (None, str(os.getppid())):
    os._exit(0)  # it died before that could be asked for
os.register_at_fork(after_in_child=lambda: end_with(os.getppid()))
gc.disable()  # to import makes no garbage, and looking for it takes a fifth of the time
os.register_at_fork(after_in_child=gc.enable)
sys.excepthook = _say_later
