"""A process that has imported everything and from which `bptt` commands are forked: importing torch takes seconds.

A command that starts here is a process of its own, in its own session, with its own arguments, folder and output. So
are the fork server of a sweep and the script that `bptt watch` or `bptt check` runs, except that they are forked from
the command. What they do before their imports is for tests that start the command themselves.
"""

import atexit
import builtins
import contextlib
import importlib
import json
import multiprocessing.util
import os
import select
import signal
import subprocess
import sys
import threading
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

ROOT = Path(__file__).parents[2]
FRESH_PATH, FRESH_FINDERS = [*sys.path], [*sys.meta_path]
BPTT = Path(sys.executable).with_name("bptt")
IMPORTED = (
    "torch._dynamo",
    "cli.main",
    "experiments.sweeps.sweep",
    "experiments.training.run",
    "experiments.training.probe",
)
OURS = ("bptt", "bptt_start", "cli", "conf", "experiments", "models", "tests")


class WarmProcess:
    """A command that was forked, as `subprocess.Popen` has it.

    Attributes:
        pid: Process id, which is also the session's.
        stdout: Path of what it printed.
        stderr: Path of what it printed on stderr.
    """

    def __init__(self, pid, folder):
        self.pid, self._code = pid, folder / "code"
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"

    def poll(self):
        """Its exit code; None while it runs."""
        return int(self._code.read_text()) if self._code.exists() else None

    def send(self, signum):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("bptt", seconds)
            time.sleep(0.01)
        return code


class WarmServer:
    """Starts commands. Leaving it as a context ends the server, not its commands."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def start(
        self, arguments, cwd, folder, *, environment=None, constants=None, program="from bptt_start import main; main()"
    ):
        """Start `bptt`, or another program in Python, in `cwd`; `folder`, which must be empty, takes its output.

        Its environment is this process's unless another is given. `constants` are those of ours that have another value
        in it, by their full names.
        """
        request = {"arguments": list(map(str, arguments)), "cwd": str(cwd), "folder": str(folder), "program": program}
        request |= {"environment": dict(environment or os.environ), "constants": constants or {}}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return WarmProcess(int(self._process.stdout.readline()), folder)


def serve():
    """Fork a command for each line on stdin, print its process id, and write its exit code when it has ended."""
    for module in ("bptt_start", *IMPORTED):
        importlib.import_module(module)
    os.fsync = lambda file: None  # no test cuts the power
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running = {}
    requests = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1000)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                    code = running.pop(ended[0]) / "code"
                    code.with_suffix(".new").write_text(str(os.waitstatus_to_exitcode(ended[1])))
                    code.with_suffix(".new").rename(code)
        if 0 in ready:
            if not (received := os.read(0, 100_000)):
                return
            requests += received
            *lines, requests = requests.split(b"\n")
            for line in lines:
                request = json.loads(line)
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    run(**request)
                running[pid] = Path(request["folder"])
                print(pid, flush=True)


def run(arguments, cwd, folder, environment, constants, program):
    """Be the program, in the forked process, and end it."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ |= environment
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    sys.argv = [str(BPTT), *arguments]
    multiprocessing.util.spawnv_passfds = forking_the_fork_server(multiprocessing.util.spawnv_passfds)
    importlib.import_module("cli.commands.watch").subprocess = SimpleNamespace(Popen=ForkedScript)
    end_after(lambda: exec(program, {"be_python": be_python}))


def end_after(program):
    """Call a function, and end the process as Python does after a script."""
    code = 0
    try:
        program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        code, trace = 1, error.__traceback__
        one = trace
        while one is not None:
            if one.tb_frame.f_code.co_filename == __file__:
                trace = one.tb_next  # without our frames
            one = one.tb_next
        sys.last_value = error
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        if isinstance(error, KeyboardInterrupt):
            code = -signal.SIGINT
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


class KeptTorch:
    """Finds torch as it was imported before; until then, it is as if it were not."""

    def __init__(self):
        self._kept = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] == "torch"}
        self._spec = self._kept["torch"].__spec__

    def find_spec(self, name, path, target=None):
        return ModuleSpec(name, self) if name == "torch" else None

    def create_module(self, spec):
        return self._kept["torch"]

    def exec_module(self, module):
        sys.modules.update(self._kept)
        module.__spec__ = self._spec


def be_python():
    """Run `SCRIPT ARGS` or `-c CODE` of `sys.argv[1:]` as a Python that has imported neither our packages nor torch."""
    del sys.argv[0]
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    sys.meta_path[:] = [KeptTorch(), *FRESH_FINDERS]
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(__builtins__=builtins)
    if sys.argv[0] == "-c":
        sys.path[:] = ["", *FRESH_PATH]
        code = compile(sys.argv.pop(1), "<string>", "exec", dont_inherit=True)
    else:
        path = os.path.abspath(sys.argv[0])
        sys.path[:] = [os.path.dirname(path), *FRESH_PATH]
        vars(main).update(__file__=path)
        code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    exec(code, vars(main))


class ForkedScript:
    """A script that `bptt watch` or `bptt check` starts, as `subprocess.Popen` has it; but it is forked from them."""

    def __init__(self, command):
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if not self._pid:
            atexit._clear()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
            sys.argv = command
            end_after(be_python)

    def send_signal(self, number):
        os.kill(self._pid, number)

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def forking_the_fork_server(start):
    """A function like `start`, with which Python starts its helpers; but it forks the one that would import torch."""

    def start_or_fork(executable, arguments, passed):
        if "multiprocessing.forkserver" not in arguments[-1]:
            return start(executable, arguments, passed)
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        first = 3
        for number in sorted([*passed, os.sysconf("SC_OPEN_MAX")]):
            os.closerange(first, number)
            first = number + 1
        try:
            exec(arguments[-1], {})
        finally:
            os._exit(0)

    return start_or_fork


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    serve()
