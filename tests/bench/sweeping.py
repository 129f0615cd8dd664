"""The overhead of a sweep beyond its training steps, and the speed-up of a second worker: `make bench`.

Times the same 200 runs of 20 steps with one worker and with two. Each sweep is a command of its own, and its start-up
counts. For comparison, two commands with one worker each run half of the runs side by side: they share nothing, so
this is about the most that the machine can do. The training steps alone are timed in the bare loop of
`tests.bench.recording`. Prints medians over the rounds.

Beyond its training steps, a run spends most of its time on two evaluations of 1,000 sequences each. Some seconds of
start-up are the same for every sweep: torch is imported by the command, and once for all workers.

`--start-up` instead times a sweep of 8 tiny runs by two workers, with the fork server and without it, in turn. It
prints the minimum of the elapsed time, and of the processor time of all processes.
"""

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch

from experiments.config.composing import compose
from experiments.config.parts import build
from tests.bench.recording import Fused, plain_steps

STEPS = 20
PR_SET_CHILD_SUBREAPER = 36
"""Option of prctl(2): orphaned descendants become children of this process."""


def sweep(runs: int, length: int, *, jobs: int = 1, commands: int = 1) -> float:
    """Seconds until all commands have ended, each of which has its share of the runs."""
    bptt = Path(sys.executable).with_name("bptt")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        processes = []
        for i in range(commands):
            seeds = f"seed=range({i * runs // commands},{(i + 1) * runs // commands})"
            overrides = [seeds, f"steps={STEPS}", f"task.length={length}", f"results_dir={folder}/{i}"]
            command = [bptt, "sweep", *overrides, "--jobs", str(jobs), "--quiet"]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit("a sweep failed")
        return time.perf_counter() - began


def bare(runs: int, length: int) -> float:
    """Seconds that the training steps alone take."""
    task = build(compose([f"task.length={length}"])).task
    began = time.perf_counter()
    for _ in range(runs):
        plain_steps(Fused("rnn", task), task, 1e-3)(STEPS)
    return time.perf_counter() - began


def print_start_up(rounds: int) -> None:
    """Print what the fork server saves when a sweep starts."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # so that `os.wait` also counts the fork server's time
    times: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
    for i in range(rounds):
        for name in sorted(times, reverse=i % 2 == 1):
            times[name].append(start_up(fork_server=name == "with"))
    print("| fork server | elapsed, s | processor time, s |")
    print("| --- | ---: | ---: |")
    for name, rows in times.items():
        print(f"| {name} | {' | '.join(f'{min(column):.2f}' for column in zip(*rows, strict=True))} |")


def start_up(*, fork_server: bool) -> tuple[float, float]:
    """Seconds that a sweep of 8 tiny runs takes: elapsed, and of processors."""
    disable = "" if fork_server else "from experiments.sweeps import fork_server; fork_server.start_fork_server = no; "
    code = f"import bptt_start; no = lambda **_: False; {disable}bptt_start.main()"
    with tempfile.TemporaryDirectory() as folder:
        before, began = os.times(), time.perf_counter()
        overrides = ["seed=range(8)", "task.length=20", "model.hidden_size=8", "record.evaluate_samples=20"]
        command = [sys.executable, "-c", code, "sweep", *overrides, f"steps={STEPS}", f"results_dir={folder}"]
        subprocess.run([*command, "--jobs", "2", "--quiet"], stdout=subprocess.DEVNULL, check=True)
        elapsed = time.perf_counter() - began
        with suppress(ChildProcessError):
            while True:
                os.wait()
        after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return elapsed, spent


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--start-up", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.start_up:
        print_start_up(arguments.rounds)
        return
    print(f"{arguments.runs} runs of {STEPS} steps, in seconds. beyond: seconds of one run beyond its training steps.")
    print("faster: speed-up over 1 worker. apart: two commands with 1 worker each, half of the runs each.\n")
    print("| length | steps alone | 1 worker | 2 workers | apart | beyond | 2 workers faster | apart faster |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for length in arguments.lengths:
        rounds = [
            (
                bare(arguments.runs, length),
                sweep(arguments.runs, length),
                sweep(arguments.runs, length, jobs=2),
                sweep(arguments.runs, length, commands=2),
            )
            for _ in range(arguments.rounds)
        ]
        times = [f"{statistics.median(seconds):.1f}" for seconds in zip(*rounds, strict=True)]
        beyond = statistics.median((one - alone) / arguments.runs for alone, one, _, _ in rounds)
        faster = statistics.median(one / two for _, one, two, _ in rounds)
        apart = statistics.median(one / halves for _, one, _, halves in rounds)
        print(f"| {length} | {' | '.join(times)} | {beyond:.3f} | {faster:.2f} | {apart:.2f} |", flush=True)


if __name__ == "__main__":
    main()
