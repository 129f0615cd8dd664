"""Benchmark of `bptt.watch` in a user's own loop: `make bench`.

Steps of one loop take turns, in random order. The model is a layer of torch's own with a read-out, trained by Adam.
All kinds of step share the model, because two models of the same size differ by a few per cent in their place in
memory alone.

    bare       the loop alone
    idle       with `bptt.watch`, a step that is not recorded
    recorded   with `bptt.watch`, a recorded step and the one after it, which ends the record
    hooks      with a hook on each parameter that makes a histogram of its gradient, as `wandb.watch` does, and keeps it

The table has the cost of 50 steps of which one is recorded, over the cost of 50 bare steps, in processor time. What a
kind of step costs beyond a bare one is the median, over the rounds, of the difference within a round.
"""

import argparse
import random
import statistics
import tempfile
import time
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

    def __init__(self) -> None:
        self.kept: list[object] = []

    def keep(self, gradient: Tensor) -> None:
        flat = gradient.detach().flatten()
        low, high = float(flat.min()), float(flat.max())
        self.kept.append((torch.histc(flat, bins=64, min=low, max=high).tolist(), low, high))


def measure(cell: str, size: tuple[int, int, int], rounds: int, folder: Path, **options: Any) -> tuple[float, ...]:
    """Milliseconds of a bare step, and more of a recorded one; the cost of 50 steps: watched, idle and with hooks."""
    length, batch, hidden = size
    torch.manual_seed(0)
    model = Model(cell, hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    histograms = Histograms()
    watch = bptt.watch(model, folder, every=10**9, **options)

    def take(kind: str) -> float:
        handles = [one.register_hook(histograms.keep) for one in model.parameters()] if kind == "hooks" else []
        is_due = kind == "recorded"  # as the watch itself decides at the end of the step before
        watch._every, watch._calls.keeps = 1 if is_due else 10**9, is_due
        watch._calls.on = is_due or (kind == "idle" and "spikes" in options)
        began = time.process_time()
        x = torch.randn(length, batch, 2)
        optimizer.zero_grad()
        loss = (model(x) - x.mean((0, 2))[:, None]).square().mean()
        loss.backward()
        if kind in ("idle", "recorded"):
            watch.step(loss)
        optimizer.step()
        took = time.process_time() - began
        for handle in handles:
            handle.remove()
        return took

    times: dict[str, list[float]] = {"bare": [], "idle": [], "recorded": [], "hooks": []}
    take("recorded")
    with watch:
        for number in range(rounds + 1):
            for kind in random.sample(list(times), len(times)):
                took = take(kind) + take("idle" if kind == "recorded" else kind)
                if number:  # the first steps load code
                    times[kind].append(took)
    plain = statistics.median(times["bare"]) / 2
    recorded, idle, hooks = (
        statistics.median(took - bare for took, bare in zip(times[kind], times["bare"], strict=True))
        for kind in ("recorded", "idle", "hooks")
    )
    watched = recorded + (EVERY - 2) * idle / 2
    return plain * 1e3, recorded * 1e3, *(1 + more / EVERY / plain for more in (watched, EVERY * idle / 2, hooks / 2))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--cells", nargs="+", default=list(CELLS))
    parser.add_argument("--options", nargs="+", default=[], help="also spikes, truncation, lags, ...")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, one thread, float32; {arguments.rounds} rounds of two steps")
    print("| cell | length | batch | hidden | bare, ms a step | recorded, ms more | watched | idle | hooks |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for cell in arguments.cells:
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                options = dict.fromkeys(arguments.options, True)
                bare, recorded, *ratios = measure(cell, size, arguments.rounds, Path(folder), **options)
            numbers = " | ".join(map(str, size))
            print(
                f"| {cell} | {numbers} | {bare:.2f} | {recorded:.2f} | {' | '.join(f'{r:.3f}x' for r in ratios)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
