"""Benchmark of the overhead of a sweep beyond its training steps, and of the speed-up by a second worker: `make bench`.

The benchmark runs the same 200 runs of 20 steps in four ways: as a sweep with one worker; as a sweep with two workers;
as two sweeps side by side, each with half of the runs, which share nothing and show what the machine can give; and
as training steps alone, in the bare loop of `tests.bench.recording`. Times include the start-up of each command. The
table shows medians over the rounds.

Beyond its training steps, a run spends most of its time on two evaluations on 1,000 sequences each. Every sweep also
spends a constant time on importing torch, in the command and once for all workers. Therefore the benchmark has a short
sweep and a longer one.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from experiments.config.composing import compose
from experiments.config.parts import build
from tests.bench.recording import Fused, plain_steps

STEPS = 20


def sweep(runs: int, length: int, *, jobs: int = 1, commands: int = 1) -> float:
    """Run time in seconds of sweeps that divide the runs among themselves."""
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
    """Run time in seconds of the training steps alone."""
    task = build(compose([f"task.length={length}"])).task
    began = time.perf_counter()
    for _ in range(runs):
        plain_steps(Fused("rnn", task), task, 1e-3)(STEPS)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 300])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{arguments.runs} runs of {STEPS} steps; times in seconds. 2 commands: two sweeps side by side, each with 1")
    print("worker and half of the runs. overhead: time of one run beyond its steps. faster: relative to 1 worker.\n")
    print(
        "| length | steps alone | 1 worker | 2 workers | 2 commands | overhead | 2 workers faster | 2 commands faster |"
    )
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
        overhead = statistics.median((one - alone) / arguments.runs for alone, one, _, _ in rounds)
        faster = statistics.median(one / two for _, one, two, _ in rounds)
        apart = statistics.median(one / halves for _, one, _, halves in rounds)
        print(f"| {length} | {' | '.join(times)} | {overhead:.3f} | {faster:.2f} | {apart:.2f} |", flush=True)


if __name__ == "__main__":
    main()
