"""What a sweep costs beyond its steps, and what a second worker is worth: `make bench`.

The same 200 runs of 20 steps by one worker and by two, each as a command of its own, start included, in turn; the
halves of them by two commands side by side, which share nothing: as much as this machine has to give; and their steps
alone, in the bare loop of `tests.bench.recording`. The medians over the rounds. What a run takes beyond its steps is
above all its two evaluations on 1,000 sequences each. Some seconds are the same for all sweeps: importing torch, in
the command and once for all workers. Hence a short sweep and a longer one.
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
    """Seconds that the commands take, which share the runs."""
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
    """Seconds that the steps take."""
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
    print(f"{arguments.runs} runs of {STEPS} steps, in seconds. beyond: of one run, beyond its steps. faster: than")
    print("1 worker. apart: by two commands of 1 worker each, half of the runs each.\n")
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
