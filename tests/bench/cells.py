"""Benchmark of all cells: `make bench`.

Times a training step (forward and backward pass) of one layer of every cell at its default options, with a read-out of
the last timestep. Each processor time is relative to that of three others of the same size:

    nn.RNN    torch's own layer
    nn.LSTM   torch's own layer
    loop      a plain Python loop over nn.RNNCell, with h of all timesteps stacked, as any layer returns it

`module` is nn.RNNCell in our loop (cell=module cell.path=torch.nn.RNNCell): its ratio to `loop` is what our loop over
a cell's `step` costs. `rnn` is not a loop over steps: rnn and gru train with their written equations and lstm with
torch's kernel. `rnn, by steps` is our rnn as a loop over its `step`, like a cell of the user.

A round times each variant once, in turn, in one process. Ratios are those of the same round; the table shows medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from experiments.catalogue.choices import choices
from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.tasks.task import Task
from models.cell import Cell
from models.initialization import default
from models.network import RecurrentNetwork
from models.rnn import RNN
from tests.bench.recording import Fused

BASES = ("nn.RNN", "nn.LSTM", "loop")


class Loop(nn.Module):
    """A plain Python loop over nn.RNNCell, and a read-out."""

    def __init__(self, task: Task, hidden: int) -> None:
        super().__init__()
        self.cell = nn.RNNCell(task.input_size, hidden)
        self.readout = nn.Linear(hidden, task.output_size)

    def forward(self, x: Tensor) -> Tensor:
        h, hidden = x.new_zeros(x.shape[1], self.cell.hidden_size), []
        for x_t in x:
            h = self.cell(x_t, h)
            hidden.append(h)
        outputs: Tensor = self.readout(torch.stack(hidden)[-1:])
        return outputs


class SteppedRNN(RNN):
    """Our rnn as a loop over its `step`."""

    forward = Cell.forward


def networks(length: int, batch: int, hidden: int, cells: list[str]) -> dict[str, tuple[nn.Module, Task]]:
    """The network of each variant, by name, with a task that its options fit."""
    size = [f"task.length={length}", f"batch_size={batch}", f"model.hidden_size={hidden}"]

    def ours(*overrides: str) -> tuple[nn.Module, Task]:
        parts = build(compose([*overrides, *size]))
        return parts.network, parts.task

    _, task = ours()
    stepped = RecurrentNetwork(
        SteppedRNN,
        default,
        input_size=task.input_size,
        hidden_size=hidden,
        num_layers=1,
        output_size=task.output_size,
        readout_steps=task.readout_steps,
    )
    named: dict[str, tuple[nn.Module, Task]] = {
        "nn.RNN": (Fused("rnn", task, hidden), task),
        "nn.LSTM": (Fused("lstm", task, hidden), task),
        "loop": (Loop(task, hidden), task),
        "module": ours("cell=module", "cell.path=torch.nn.RNNCell"),
        "rnn, by steps": (stepped, task),
    }
    return named | {cell: ours(f"cell={cell}") for cell in cells}


def steps_of(network: nn.Module, task: Task, batch: int) -> Callable[[int], float]:
    """A function that makes some training steps without updates, and returns the processor time of one in seconds."""
    inputs, targets = task.draw(batch, torch.Generator().manual_seed(0)).to(torch.device("cpu"), torch.float32)

    def steps(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            network.zero_grad()
            task.losses(network(inputs), targets).mean().backward()
        return (time.process_time() - began) / count

    return steps


def measure(length: int, batch: int, hidden: int, cells: list[str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step of each variant, and the median ratios to `BASES`."""
    ways = {
        name: steps_of(network, task, batch) for name, (network, task) in networks(length, batch, hidden, cells).items()
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, steps in ways.items():
            seconds = steps(3)
            if turn:  # the first round is for warming up
                times[name].append(seconds)
    return {
        name: [
            1000 * statistics.median(own),
            *(statistics.median(a / b for a, b in zip(own, times[base], strict=True)) for base in BASES),
        ]
        for name, own in times.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=3, default=(100, 32, 64), metavar=("LENGTH", "BATCH", "HIDDEN"))
    parser.add_argument("--cells", nargs="*", default=[name for name in choices("cell") if name != "module"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, one thread, float32, processor time; medians over {arguments.rounds} rounds")
    print("Length {}, batch {}, hidden {}".format(*arguments.size))
    print("| cell | ms a step | over nn.RNN | over nn.LSTM | over the loop |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (milliseconds, *ratios) in measure(*arguments.size, arguments.cells, arguments.rounds).items():
        print(f"| {name} | {milliseconds:.1f} | {' | '.join(f'{ratio:.2f}x' for ratio in ratios)} |")


if __name__ == "__main__":
    main()
