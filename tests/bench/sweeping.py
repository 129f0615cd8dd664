"""What a sweep costs beyond its steps, and what a second worker is worth: `make bench`.

The same 200 runs of 20 steps by one worker and by two, each as a command of its own, start included, in turn; and their
steps alone, in the bare loop of `tests.bench.recording`. The medians over the rounds. What a run takes beyond its steps
is above all its two evaluations on 1,000 sequences each. Five seconds are the same for all sweeps, and no second worker
shortens them: importing torch, in the command and again in each worker. Hence a short sweep and a longer one.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from experiments.config import build, compose
from tests.bench.recording import Fused, plain_steps

STEPS, LENGTHS = 20, (100, 300)


def sweep(runs: int, jobs: int, length: int) -> float:
    """Seconds that the command takes."""
    with tempfile.TemporaryDirectory() as folder:
        bptt = Path(sys.executable).with_name("bptt")
        overrides = [f"seed=range({runs})", f"steps={STEPS}", f"task.length={length}", f"results_dir={folder}"]
        began = time.perf_counter()
        subprocess.run([bptt, "sweep", *overrides, "--jobs", str(jobs), "--quiet"], check=True, capture_output=True)
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
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{arguments.runs} runs of {STEPS} steps, in seconds. beyond: of one run, beyond its steps.")
    print("faster: two workers than one.\n")
    print("| length | steps alone | 1 worker | 2 workers | beyond | faster |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for length in LENGTHS:
        rounds = [
            (bare(arguments.runs, length), sweep(arguments.runs, 1, length), sweep(arguments.runs, 2, length))
            for _ in range(arguments.rounds)
        ]
        times = [statistics.median(seconds) for seconds in zip(*rounds, strict=True)]
        beyond = statistics.median((one - alone) / arguments.runs for alone, one, _ in rounds)
        faster = statistics.median(one / two for _, one, two in rounds)
        print(f"| {length} | {' | '.join(f'{t:.1f}' for t in times)} | {beyond:.3f} | {faster:.2f} |", flush=True)


if __name__ == "__main__":
    main()
