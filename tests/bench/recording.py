"""Benchmark of a training step and of the cost of recording: `make bench`.

The benchmark times a training step (draw a batch, forward, backward, optimiser) in several variants. They take turns in
one process, so a drift of the machine's speed affects all of them alike:

    bare       torch's own layer without recording, as one would write it without this project
    unflushed  the same with denormal numbers kept, as torch does by default
    unrecorded bptt's loop with `record=none`
    default    bptt's loop with `record=default`, without evaluation
    all        the same with `record.every=1 record.windows=all`: every timestep of every step, all four measures
    usual      a Python loop over torch's cells with retain_grad at each timestep, the usual way to full resolution

All variants but `unflushed` flush denormal numbers; tests/bench/denormals.py measures their cost. A round times each
variant once. `default` is timed over record.every steps, of which one is recorded. Ratios are times per step divided by
the bare time of the same round. The table shows the median over the rounds.

A second table compares the memory of one step, each measured in a process of its own.
"""

import argparse
import contextlib
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import nn

from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.config.schema import Config
from experiments.store.csv_writer import RunWriter
from experiments.tasks.task import Task
from experiments.training.loop import train
from experiments.training.run import open_tables, windows_of

CELLS = {"rnn": (nn.RNN, nn.RNNCell), "lstm": (nn.LSTM, nn.LSTMCell), "gru": (nn.GRU, nn.GRUCell)}
SIZES = [(length, 32, 64) for length in (50, 100, 200, 400)] + [(100, 32, 128), (100, 8, 64)]
"""Length, batch and hidden size of each row."""

LARGE = (1000, 32, 128)
"""The same for the table of memory."""


class Fused(nn.Module):
    """The bare network: torch's own layer and a read-out."""

    def __init__(self, cell: str, task: Task, hidden: int) -> None:
        super().__init__()
        self.layer = CELLS[cell][0](task.input_size, hidden)
        self.readout = nn.Linear(hidden, task.output_size)

    def forward(self, x):
        return self.readout(self.layer(x)[0][-1:])


class Loop(nn.Module):
    """A loop over torch's cells with retain_grad, the usual way to record the gradient of each state."""

    def __init__(self, cell: str, task: Task, hidden: int) -> None:
        super().__init__()
        self.cell = CELLS[cell][1](task.input_size, hidden)
        self.readout = nn.Linear(hidden, task.output_size)

    def forward(self, x):
        state, self.states = None, []
        for x_t in x:
            state = self.cell(x_t, state)
            hidden = state[0] if isinstance(state, tuple) else state
            hidden.retain_grad()
            self.states.append(hidden)
        return self.readout(hidden[None])


def plain_steps(network: nn.Module, task: Task, config: Config, flush: bool = True):
    """A plain training loop. With a `Loop`, it also computes the norms of the states' gradients."""
    device = torch.device(config.device)
    optimizer = torch.optim.Adam(network.to(device).parameters(), lr=config.optimizer["lr"])
    generator = torch.Generator().manual_seed(0)

    def steps(count: int) -> None:
        torch.set_flush_denormal(flush)
        for _ in range(count):
            inputs, targets = task.draw(config.batch_size, generator).to(device, torch.float32)
            optimizer.zero_grad()
            loss = task.losses(network(inputs), targets).mean()
            loss.backward()
            if isinstance(network, Loop):
                torch.stack([state.grad for state in network.states]).flatten(1).norm(dim=1).tolist()
            optimizer.step()
            loss.item()
        torch.set_flush_denormal(True)

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
                parts.nonfinite,
                steps=10**9,
                batch_size=config.batch_size,
                generator=generator,
                record_every=config.record.every,
                windows=windows_of(config, parts.task),
                metrics=metrics,
                measures=measures,
                after_step=after_step,
            )

    return steps


def seconds_a_step(steps, count: int) -> float:
    began = time.perf_counter()
    steps(count)
    return (time.perf_counter() - began) / count


def measure(cell: str, size: tuple[int, int, int], rounds: int, folder: Path, device: str) -> dict[str, float]:
    """The bare time per step in milliseconds, and the median ratios of the other variants to it."""
    _, _, hidden = size
    overrides = [*settings(cell, size), f"device={device}"]
    config = compose(overrides)
    task = build(config).task
    torch.manual_seed(0)
    ways = {
        "bare": (plain_steps(Fused(cell, task, hidden), task, config), config.record.every),
        "unflushed": (plain_steps(Fused(cell, task, hidden), task, config, flush=False), 10),
        "unrecorded": (bptt_steps([*overrides, "record=none"], folder / "unrecorded"), config.record.every),
        "default": (bptt_steps(overrides, folder / "default"), config.record.every),
        "all": (bptt_steps([*overrides, *ALL], folder / "all"), 10),
        "usual": (plain_steps(Loop(cell, task, hidden), task, config), 5),
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


ALL = ("record.every=1", "record.windows=all")


def settings(cell: str, size: tuple[int, int, int]) -> list[str]:
    """The settings of a run of this size."""
    length, batch, hidden = size
    return [
        f"cell={cell}",
        "task=adding",
        f"task.length={length}",
        f"batch_size={batch}",
        f"model.hidden_size={hidden}",
    ]


def memory_of_a_step(cell: str, way: str, folder: Path) -> float:
    """The memory in MiB that a training step of the size `LARGE` takes at most, beyond what the process had before.

    The second of two steps counts, because the first one loads code.
    """
    overrides = [*settings(cell, LARGE), *(ALL if way == "all" else ["record=none"])]
    config = compose(overrides)
    task = build(config).task
    bare = plain_steps(Fused(cell, task, LARGE[2]), task, config)
    steps = bare if way == "bare" else bptt_steps(overrides, folder / way)
    small = settings(cell, (2, *LARGE[1:]))
    bptt_steps([*small, *ALL], folder / f"small-{way}")(1)  # loads the code
    before = resident()
    steps(1)
    return peak() - before


def resident() -> float:
    """The memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    status = Path("/proc/self/status").read_text()  # getrusage counts what the parent process had, too
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def in_a_process(function: Callable[..., float], *arguments: object) -> float:
    """The result of a function that a new process calls."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cells", nargs="+", default=list(CELLS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--lengths", type=int, nargs="+", default=sorted({length for length, *_ in SIZES}))
    arguments = parser.parse_args()
    device = arguments.device
    if device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU that torch can use: nothing is timed")
        return
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    where = torch.cuda.get_device_name(device) if device.startswith("cuda") else "one thread"
    print(f"torch {torch.__version__}, {where}, float32; medians over {arguments.rounds} rounds")
    print("| cell | length | batch | hidden | bare, ms a step | unflushed | unrecorded | default | all | usual |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for cell in arguments.cells:
        for size in SIZES:
            if size[0] in arguments.lengths:
                with tempfile.TemporaryDirectory() as folder:
                    bare, *ratios = measure(cell, size, arguments.rounds, Path(folder), device).values()
                numbers = " | ".join(map(str, size))
                print(f"| {cell} | {numbers} | {bare:.2f} | {' | '.join(f'{r:.2f}x' for r in ratios)} |", flush=True)
    if device != "cpu":
        return
    print("\nMemory of a step, MiB: length {}, batch {}, hidden {}".format(*LARGE))
    print("| cell | bare | unrecorded | all | all over bare |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for cell in arguments.cells:
        with tempfile.TemporaryDirectory() as folder:
            ways = ("bare", "unrecorded", "all")
            bare, plain, recorded = (in_a_process(memory_of_a_step, cell, way, Path(folder)) for way in ways)
        print(f"| {cell} | {bare:.0f} | {plain:.0f} | {recorded:.0f} | {recorded / bare:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
