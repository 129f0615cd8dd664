"""Benchmark of the cost of recording: `make bench`.

The benchmark times a training step (draw a batch, forward, backward, optimiser) in four variants. They take turns in
one process, so a drift of the machine's speed affects all of them alike:

    bare      torch's own layer without recording, as one would write it without this project
    default   bptt's loop with `record=default`, without evaluation
    every     the same with `record.every=1`
    usual     a Python loop over torch's cells with retain_grad at each timestep, the usual way to full resolution

All variants flush denormal numbers; tests/bench/denormals.py measures their cost. A round times each variant once.
`default` is timed over record.every steps, of which one is recorded. Ratios are times per step divided by the bare time
of the same round. The table shows the median over the rounds.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.store.csv_writer import RunWriter
from experiments.tasks.task import Task
from experiments.training.loop import train
from experiments.training.run import open_tables

CELLS = {"rnn": (nn.RNN, nn.RNNCell), "lstm": (nn.LSTM, nn.LSTMCell), "gru": (nn.GRU, nn.GRUCell)}
BATCH, HIDDEN = 32, 64


class Fused(nn.Module):
    """The bare network: torch's own layer and a read-out."""

    def __init__(self, cell: str, task: Task) -> None:
        super().__init__()
        self.layer = CELLS[cell][0](task.input_size, HIDDEN)
        self.readout = nn.Linear(HIDDEN, task.output_size)

    def forward(self, x):
        return self.readout(self.layer(x)[0][-1:])


class Loop(nn.Module):
    """A loop over torch's cells with retain_grad, the usual way to record the gradient of each state."""

    def __init__(self, cell: str, task: Task) -> None:
        super().__init__()
        self.cell = CELLS[cell][1](task.input_size, HIDDEN)
        self.readout = nn.Linear(HIDDEN, task.output_size)

    def forward(self, x):
        state, self.states = None, []
        for x_t in x:
            state = self.cell(x_t, state)
            hidden = state[0] if isinstance(state, tuple) else state
            hidden.retain_grad()
            self.states.append(hidden)
        return self.readout(hidden[None])


def plain_steps(network: nn.Module, task: Task, lr: float):
    """A plain training loop. With a `Loop`, it also computes the norms of the states' gradients."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(0)

    def steps(count: int) -> None:
        for _ in range(count):
            inputs, targets = task.draw(BATCH, generator)
            optimizer.zero_grad()
            loss = task.losses(network(inputs), targets).mean()
            loss.backward()
            if isinstance(network, Loop):
                torch.stack([state.grad for state in network.states]).flatten(1).norm(dim=1).tolist()
            optimizer.step()
            loss.item()

    return steps


class Enough(Exception):
    """Ends a training after the steps to be timed."""


def bptt_steps(overrides: list[str], folder: Path):
    """bptt's training loop with its files, which are written about once per second, as in a long run."""
    config = compose(overrides)
    parts = build(config)
    optimizer = parts.make_optimizer(parts.network.parameters())
    generator = torch.Generator().manual_seed(0)
    folder.mkdir()
    files = RunWriter(folder)
    metrics = files.table("metrics")
    schedule = parts.make_schedule(optimizer)
    measures = open_tables(parts.measures, files)

    def steps(count: int) -> None:
        def after_step(step):
            if step.number == count:
                raise Enough

        with contextlib.suppress(Enough):
            train(
                parts.network,
                parts.task,
                optimizer,
                parts.clip,
                schedule,
                parts.remedy,
                steps=10**9,
                batch_size=BATCH,
                generator=generator,
                record_every=config.record.every,
                windows=config.record.windows,
                metrics=metrics,
                measures=measures,
                after_step=after_step,
            )

    return steps


def seconds_a_step(steps, count: int) -> float:
    began = time.perf_counter()
    steps(count)
    return (time.perf_counter() - began) / count


def measure(cell: str, length: int, rounds: int, folder: Path) -> dict[str, float]:
    """The bare time per step in milliseconds, and the median ratios of the other variants to it."""
    overrides = [f"cell={cell}", "task=adding", f"task.length={length}", f"model.hidden_size={HIDDEN}"]
    config = compose(overrides)
    task, lr = build(config).task, config.optimizer["lr"]
    torch.manual_seed(0)
    ways = {
        "bare": (plain_steps(Fused(cell, task), task, lr), config.record.every),
        "default": (bptt_steps(overrides, folder / "default"), config.record.every),
        "every": (bptt_steps([*overrides, "record.every=1"], folder / "every"), 5),
        "usual": (plain_steps(Loop(cell, task), task, lr), 5),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for steps, _ in ways.values():
        seconds_a_step(steps, 3)  # warm up
    for _ in range(rounds):
        for name, (steps, count) in ways.items():
            times[name].append(seconds_a_step(steps, count))
    ratios = {name: [t / bare for t, bare in zip(times[name], times["bare"], strict=True)] for name in ways}
    return {"bare": 1000 * statistics.median(times["bare"])} | {
        name: statistics.median(ratios[name]) for name in ways if name != "bare"
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 100, 200, 400])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, one thread, batch {BATCH}, hidden {HIDDEN}, float32; {arguments.rounds} rounds")
    print("| cell | length | bare, ms per step | record=default | record.every=1 | loop with retain_grad |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for cell in CELLS:
        for length in arguments.lengths:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(cell, length, arguments.rounds, Path(folder))
            print(
                f"| {cell} | {length} | {row['bare']:.2f} | "
                f"{row['default']:.2f}x | {row['every']:.2f}x | {row['usual']:.2f}x |",
                flush=True,
            )


if __name__ == "__main__":
    main()
