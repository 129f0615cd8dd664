"""Benchmark of `bptt.watch` in a user's own loop: `make bench`.

Loops of the same model take turns in one process, two steps each, in random order. The model is a layer of torch's own
with a read-out, trained by Adam.

    bare       the loop alone
    watched    with `bptt.watch(model, folder, every=2)`: a recorded step, and the one after it, which ends the record
    idle       with `bptt.watch`, but steps that are not recorded
    hooks      with a hook on each parameter that makes a histogram of its gradient, as `wandb.watch` does, and keeps it

The table has the cost of 50 steps of which one is recorded, over the cost of 50 bare steps, from the mean processor
times of a step. It includes writing the files, which happens every five seconds.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import bptt

EVERY = 50
CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
SIZES = [(50, 32, 64), (100, 32, 64), (200, 32, 64), (100, 32, 128)]
"""Length, batch and hidden size of each row."""


class Model(nn.Module):
    """A recurrent layer and a read-out of its last state."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.rnn = CELLS[cell](2, hidden)
        self.readout = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.rnn(x)[0][-1])


class Histograms:
    """Hooks on all parameters that make a histogram of each gradient."""

    def __init__(self, model: nn.Module) -> None:
        self.kept: list[object] = []
        for parameter in model.parameters():
            parameter.register_hook(self.keep)

    def keep(self, gradient: Tensor) -> None:
        flat = gradient.detach().flatten()
        low, high = float(flat.min()), float(flat.max())
        self.kept.append((torch.histc(flat, bins=64, min=low, max=high).tolist(), low, high))

    def step(self, loss: Tensor) -> None:
        """Nothing is left to do."""


def loop(cell: str, size: tuple[int, int, int], start: Callable[[nn.Module], Any] | None = None) -> Callable[[], float]:
    """A training loop; each call takes one step and returns its processor time in seconds."""
    length, batch, hidden = size
    torch.manual_seed(0)
    model = Model(cell, hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    watch = None if start is None else start(model)

    def step() -> float:
        began = time.process_time()
        x = torch.randn(length, batch, 2)
        optimizer.zero_grad()
        loss = (model(x) - x.mean((0, 2))[:, None]).square().mean()
        loss.backward()
        if watch is not None:
            watch.step(loss)
        optimizer.step()
        return time.process_time() - began

    return step


def measure(cell: str, size: tuple[int, int, int], rounds: int, folder: Path) -> tuple[float, float, float, float]:
    """Milliseconds of a bare step; and the cost of 50 steps with a watch, one that records nothing, and hooks."""
    with ExitStack() as stack:

        def watched(every: int) -> Callable[[nn.Module], Any]:
            return lambda model: stack.enter_context(bptt.watch(model, folder, every=every))

        loops = {
            "bare": loop(cell, size),
            "idle": loop(cell, size, watched(10**9)),
            "watched": loop(cell, size, watched(2)),
            "hooks": loop(cell, size, Histograms),
        }
        times: dict[str, list[float]] = {name: [] for name in loops}
        for number in range(rounds + 1):
            for name in random.sample(list(loops), len(loops)):
                two = loops[name]() + loops[name]()
                if number:  # the first steps load code
                    times[name].append(two / 2)
    plain, unrecorded, recorded, histograms = (statistics.mean(times[name]) for name in loops)
    fifty = EVERY * plain
    watching = 2 * recorded + (EVERY - 2) * unrecorded
    hooked = histograms + (EVERY - 1) * plain
    return plain * 1e3, watching / fifty, unrecorded / plain, hooked / fifty


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--cells", nargs="+", default=list(CELLS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, one thread, float32; means over {arguments.rounds} rounds")
    print("| cell | length | batch | hidden | bare, ms a step | watched | idle | hooks |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for cell in arguments.cells:
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                bare, *ratios = measure(cell, size, arguments.rounds, Path(folder))
            numbers = " | ".join(map(str, size))
            print(f"| {cell} | {numbers} | {bare:.2f} | {' | '.join(f'{r:.3f}x' for r in ratios)} |", flush=True)


if __name__ == "__main__":
    main()
