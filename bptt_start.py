"""Start of the `bptt` command and of its workers: makes Python find our packages first, whatever is on its path.

Our packages have common names (`models`, `experiments`, ...), which a user's folder on PYTHONPATH may have too. This
module has a unique name, so every process of bptt can import it first.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

ROOT = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ("cli", "conf", "experiments", "models")


class OwnPackages(MetaPathFinder):
    """Finds our packages beside this file before Python searches its path."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of our packages; return None for any other name, which Python then searches for as usual."""
        return PathFinder.find_spec(fullname, [ROOT]) if fullname in PACKAGES else None


class Portable:
    """Wraps a function for another process, which then imports this module before the function's own.

    Args:
        function: Function that can be pickled.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self._function(*arguments)

    def checkpoint(self, *arguments: Any) -> Any:
        """Let submitit queue the function again when its job reaches the time limit."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


def main() -> None:
    """Run the command line. In a POSIX locale, which is ASCII only, restart Python in UTF-8 mode."""
    if sys.getfilesystemencoding() == "ascii":
        os.environ["PYTHONUTF8"] = "1"  # workers inherit it
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None if it is closed
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    from cli.main import app

    app()


sys.meta_path.insert(0, OwnPackages())
