"""The first module that the fork server imports: it lets the server and its workers end with the sweep.

Importing it changes the process, so nothing else imports it.
"""

import ctypes
import gc
import os
import signal
import sys
import time
from types import TracebackType

from experiments.sweeps.fork_server import STARTED_BY
from experiments.sweeps.process_signals import exit_with_parent

PR_SET_PDEATHSIG = 1
"""Option of prctl(2): the signal that this process gets when its parent dies. Forked processes do not inherit it.

Python's fork server notices the death of its parent too, but only after it has imported torch.
"""


def _report_error_later(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error of a starting worker, except where the sweep is gone: then the worker ends within the second."""
    time.sleep(1.0)
    sys.__excepthook__(kind, error, trace)


ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.environ.get(STARTED_BY) not in (None, str(os.getppid())):
    os._exit(0)  # the parent died before prctl was called
os.register_at_fork(after_in_child=lambda: exit_with_parent(os.getppid()))
gc.disable()  # imports create almost no garbage, and collecting costs time
os.register_at_fork(after_in_child=gc.enable)
sys.excepthook = _report_error_later
