"""The start of the `bptt` command and of its workers: our packages are found first, whatever the path holds.

Our packages have common names (`models`, `experiments`, ...), which a user's folder on PYTHONPATH may have too. This
module's name is unique, so every process of bptt imports it first.
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
    """Finds our packages beside this file, before Python searches its path."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec; None for any other name, which Python then finds as always."""
        return PathFinder.find_spec(fullname, [ROOT]) if fullname in PACKAGES else None


class Portable:
    """A function for another process: unpickling it imports this module before the function's own.

    Args:
        function: A function that can be pickled.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self._function(*arguments)


def main() -> None:
    """Run the command line. In a POSIX locale, which has ASCII only, Python starts again in UTF-8."""
    if sys.getfilesystemencoding() == "ascii":
        os.environ["PYTHONUTF8"] = "1"  # workers inherit it
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it is closed otherwise
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    from cli.main import app

    app()


sys.meta_path.insert(0, OwnPackages())
