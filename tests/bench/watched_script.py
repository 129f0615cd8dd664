"""Benchmark of `bptt watch -- SCRIPT`: `python -m tests.bench.watched_script`.

A script trains a layer with Adam, alone and watched with `--every 50`, in turn, each time in a process of its own. It
prints the processor time of its steps 51 to 250, of which four are recorded; start-up and the first steps, which load
code, do not count.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = """
import sys, time
import torch
from torch import nn

cell, length, batch, hidden = sys.argv[1], *map(int, sys.argv[2:])
torch.manual_seed(0)
torch.set_num_threads(1)
torch.set_flush_denormal(True)
rnn, readout = getattr(nn, cell.upper())(2, hidden), nn.Linear(hidden, 1)
optimizer = torch.optim.Adam([*rnn.parameters(), *readout.parameters()], lr=1e-3)
for step in range(1, 251):
    if step == 51:
        began = time.process_time()
    x = torch.randn(length, batch, 2)
    optimizer.zero_grad()
    loss = (readout(rnn(x)[0][-1]) - x.mean((0, 2))[:, None]).square().mean()
    loss.backward()
    optimizer.step()
print("seconds", time.process_time() - began)
"""
SIZES = [(50, 32, 64), (100, 32, 64), (100, 32, 128)]
"""Length, batch and hidden size of each row."""


def seconds(folder: Path, *words: str) -> float:
    """Processor time that the script prints."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cells", nargs="+", default=["lstm", "rnn"])
    options = parser.parse_args()
    program = Path(sys.executable).parent / "bptt"
    print("| cell | length | batch | hidden | bare, ms a step | watched |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for cell in options.cells:
        for size in SIZES:
            arguments = ["train.py", cell, *map(str, size)]
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                (folder / "train.py").write_text(SCRIPT)
                bare, watched = [], []
                for _ in range(options.rounds):
                    bare.append(seconds(folder, sys.executable, *arguments))
                    watched.append(seconds(folder, str(program), "watch", "--every", "50", "--", *arguments))
            ratio = statistics.mean(watched) / statistics.mean(bare)
            numbers = " | ".join(map(str, size))
            print(f"| {cell} | {numbers} | {statistics.mean(bare) / 0.2:.2f} | {ratio:.3f}x |", flush=True)


if __name__ == "__main__":
    main()
