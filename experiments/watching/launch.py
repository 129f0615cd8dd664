"""Runs a user's script as `python SCRIPT` does, and has its training watched or checked.

`bptt watch` and `bptt check` start this file by its path, in a process of its own. Until the script imports torch,
nothing of ours is imported, so what the script sets before (environment variables, say) works as ever.
"""

import sys

del sys.path[0]  # the folder of this file, whose modules have common names

import builtins
import importlib
import importlib.util
import io
import json
import os
import runpy
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType, TracebackType
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class AfterTorch(MetaPathFinder):
    """Calls a function once torch has been imported.

    Args:
        begin: The function.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find torch as Python does; return None for any other name."""
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def execute_and_begin(module: ModuleType) -> None:
                execute(module)
                self._begin()

            loader.exec_module = execute_and_begin
        return spec


def main() -> None:
    """Run the script that the command line names.

    The first argument is a JSON object with `module`, `script`, `begin` (our module that watches or checks it) and what
    that module reads.
    """
    task = json.loads(sys.argv[1])
    del sys.argv[:2]
    spec = importlib.util.spec_from_file_location("bptt", os.path.join(ROOT, "bptt.py"))
    assert spec is not None
    assert spec.loader is not None
    bptt = importlib.util.module_from_spec(spec)
    sys.modules["bptt"] = bptt
    spec.loader.exec_module(bptt)
    sys.meta_path.insert(
        0, AfterTorch(lambda: importlib.import_module(f"bptt.experiments.watching.{task['begin']}").begin(task))
    )
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        if task["module"]:
            sys.path.insert(0, os.getcwd())
            sys.argv.insert(0, "-m")
            runpy._run_module_as_main(task["script"])  # type: ignore[attr-defined]
        else:
            sys.path.insert(0, os.path.dirname(os.path.realpath(task["script"])))
            sys.argv.insert(0, task["script"])
            run_file(task["script"])
    except BaseException as error:
        hide_our_files(error)
        raise


def run_file(script: str) -> None:
    """Run a Python file in `__main__`."""
    path = os.path.abspath(script)
    loader = SourceFileLoader("__main__", path)
    given = {"__file__": path, "__builtins__": builtins, "__loader__": loader, "__cached__": None}
    scope = vars(sys.modules["__main__"])
    scope.update(given)
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, scope)


def hide_our_files(error: BaseException) -> None:
    """Leave our code out of the traceback that Python prints for an error of the script."""
    sys.last_value = error  # Python does the same, but not for sys.exit; the watch reads it
    kept, trace = [], error.__traceback__
    while trace is not None:
        if not is_ours(trace):
            kept.append(trace)
        elif kept and isinstance(error, KeyboardInterrupt):
            trace = None  # Ctrl-C came while our code ran: the script was at the line before it
            break
        trace = trace.tb_next
    for one in reversed(kept):
        trace = TracebackType(trace, one.tb_frame, one.tb_lasti, one.tb_lineno)
    show = sys.excepthook

    def show_without(kind: type[BaseException], raised: BaseException, _: TracebackType | None) -> None:
        show(kind, raised.with_traceback(trace), trace)

    sys.excepthook = show_without


def is_ours(trace: TracebackType) -> bool:
    """Whether an entry of a traceback is in this file or in a module of ours."""
    name = trace.tb_frame.f_globals.get("__name__", "")
    return trace.tb_frame.f_code.co_filename == __file__ or name.partition(".")[0] == "bptt"


MAIN = sys.modules["__main__"]  # keeps this module alive, whose name is now that of the script's

if __name__ == "__main__":
    main()
