"""Real sweeps in the background, and what they leave on the disk."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

BPTT = Path(sys.executable).with_name("bptt")


class Sweep:
    """A sweep in a session of its own, so that all processes that it begins can be found."""

    def __init__(self, folder, *arguments, before=None, warm=None, **options):
        if warm is not None:
            self._process = warm.start(["sweep", *arguments], folder, Path(tempfile.mkdtemp()), **options)
            self.log = self._process.stderr
            self._watch()
            return
        self.log = folder / "log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [BPTT, "sweep", *arguments],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                # A shell starts background jobs deaf to SIGINT, and whoever runs these tests there passes that on.
                preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), before and before()),
            )
        self._watch()

    def _watch(self):
        self.pid = self._process.pid
        self.is_over = lambda: self._process.poll() is not None

    def send(self, signum):
        os.kill(self.pid, signum)

    def end(self, seconds=120):
        """Its exit code, and what it said."""
        return self._process.wait(seconds), self.log.read_text()

    def processes(self):
        """Those that it began, itself included."""
        return sorted(self._parents())

    def fork_server(self):
        """The one that workers are forked from: of a child of the sweep's, the one with children."""
        parents = self._parents()
        return next(pid for pid in parents.values() if parents.get(pid) == self.pid)

    def _parents(self):
        """Of each process that it began, itself included."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                name, _, rest = path.read_text().rpartition(")")
                state, parent, _, session = rest.split()[:4]
                if int(session) == self.pid and state != "Z":
                    found[int(name.split()[0])] = int(parent)
        return found

    def kill(self, *processes):
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(processes)


def statuses(folder):
    files = [run / "run.json" for run in (folder / "results" / "default" / "runs").glob("*")]
    return Counter(json.loads(file.read_text())["status"] for file in files if file.exists())


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in tables(folder)}


def tables(folder):
    """The CSV files of runs; also while a sweep makes and removes folders."""
    files = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return sorted(path for path in files if path.suffix == ".csv" and path.parts[-3] == "runs")


def writing(folder):
    """How many runs have begun to write their tables."""
    return sum(path.name == "metrics.csv" for path in tables(folder))


def size(folder):
    """Of all CSV files, as far as they are there yet."""
    total = 0
    for path in tables(folder):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
