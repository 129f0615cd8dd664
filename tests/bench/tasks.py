"""Benchmark of the time to draw a batch of each task: `make bench`.

A batch has 32 sequences with `task.length=100`; an image is read row by row. The table compares the time to draw it
with that of a training step (forward, backward, optimiser) of an LSTM with 64 units on 100 timesteps of the adding
problem. Both take turns; the table shows the medians of the processor time, all on one thread.

Tasks that need a file get a small one. music gets random notes, so music21 need not be installed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Generator, nn

from experiments.catalogue.choices import catalogue
from experiments.catalogue.key_comments import options
from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.tasks.task import Task
from tests.experiments.tasks.idx_files import write_images
from tests.experiments.tasks.mxl_files import write_scales

LENGTH, BATCH, HIDDEN = 100, 32, 64
LIMIT = 0.1
"""Largest share of a training step that drawing a batch should take."""


def timed(action: Callable[[], object], times: int) -> float:
    """The processor time of an action in milliseconds, as the mean of some calls."""
    start = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - start) / times * 1000


def training_step(task: Task) -> Callable[[], None]:
    """A training step of torch's own LSTM on a batch that has been drawn before."""
    batch = task.draw(BATCH, Generator().manual_seed(0))
    layer, readout = nn.LSTM(task.input_size, HIDDEN), nn.Linear(HIDDEN, task.output_size)
    optimizer = torch.optim.Adam([*layer.parameters(), *readout.parameters()])

    def step() -> None:
        optimizer.zero_grad()
        task.losses(readout(layer(batch.inputs)[0][-1:]), batch.targets).mean().backward()
        optimizer.step()

    return step


def tasks(folder: Path) -> dict[str, list[str]]:
    """The keys of each task by its name: a length of 100 if it has one, and files."""
    (folder / "series.csv").write_text("a,b\n" + "".join(f"{i % 17},{i % 23}\n" for i in range(100_000)))
    write_images(folder, training=6000, size=(28, 28))
    write_scales(folder, pieces=30, length=2 * LENGTH)
    needs = {
        "csv": [f"task.path={folder / 'series.csv'}", "task.target=a"],
        "fashion_mnist": [f"task.path={folder}", "task.by=row"],
        "music": [f"task.path={folder}"],
    }
    return {name: needs.get(name, []) for name in catalogue()["task"]}


def made(name: str, keys: list[str]) -> Task:
    config = compose([f"task={name}", *keys])
    wanted = [f"task.length={LENGTH}"] if "length" in config.task else []
    return build(compose([f"task={name}", *keys, *wanted])).task


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        candidates = {name: made(name, keys) for name, keys in tasks(Path(folder)).items()}
    step, generator = training_step(candidates["adding"]), Generator().manual_seed(0)
    spread = [name for name in candidates if "task.length_spread" in {one.key for one in options("task", name)}]
    candidates |= {f"{name}, spread 0.1": made(name, ["task.length_spread=0.1"]) for name in spread}
    print(f"| task | T | ms to draw {BATCH} sequences | share of a training step |")
    print("| --- | ---: | ---: | ---: |")
    for name, task in candidates.items():
        draw = partial(task.draw, BATCH, generator)
        draw()
        times = [(timed(draw, 20), timed(step, 2)) for _ in range(rounds)]
        share = statistics.median(drawing / training for drawing, training in times)
        drawn = statistics.median(drawing for drawing, _ in times)
        print(f"| {name} | {task.timesteps} | {drawn:.2f} | {share:.3f}{' (above the limit)' * (share > LIMIT)} |")


if __name__ == "__main__":
    main()
