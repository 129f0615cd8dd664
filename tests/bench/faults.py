"""False alarms and misses of `bptt.check` over 30 seeds: `python -m tests.bench.faults` prints the table of the
README of `experiments/watching/`.

Each seed trains a small network for 20 steps, healthy or with one planted fault, and checks its next batch. The seed
draws the kind of layer, the length, the batch and hidden sizes and the data.
"""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import bptt
from tests.bench.planted import print_table

SEEDS = range(100, 130)
"""Seeds that were not looked at while the check was written."""
FAULTS = {
    "none": None,
    "state detached every k steps": "detached",
    "state reset at each call": "state",
    "outlier sample": "outlier",
    "padding in the loss": "padding",
    "inputs after the loss": "unreached",
    "layer under torch.no_grad": "gradient",
    "sum over time": "sum",
}
"""The planted faults, and the kind of finding that names each; "sum" is what the finding `reduction` says."""


class Chunked(nn.Module):
    """A recurrent layer that reads its input in chunks, and a read-out of every output."""

    def __init__(self, layer: Callable[..., Any], hidden: int, chunk: int, fault: str) -> None:
        super().__init__()
        self.rnn, self.readout = layer(2, hidden, num_layers=random.choice([1, 2])), nn.Linear(hidden, 1)
        self._chunk, self._fault = chunk, fault

    def forward(self, x: Tensor) -> Tensor:
        """Answer at each timestep; x is (time, batch, 2)."""
        state, outputs = None, []
        for number, part in enumerate(x.split(self._chunk)):
            with torch.set_grad_enabled(
                torch.is_grad_enabled() and not (self._fault.startswith("layer under") and number == 0)
            ):
                output, state = self.rnn(part, state)
            if self._fault.startswith("state detached"):
                state = tuple(one.detach() for one in state) if isinstance(state, tuple) else state.detach()
            if self._fault.startswith("state reset"):
                state = None
            outputs.append(output)
        return self.readout(torch.cat(outputs))[..., 0]


def found(fault: str, seed: int) -> set[str]:
    """The kinds of faults that the check names in one training."""
    random.seed(seed)
    torch.manual_seed(seed)
    time, batch = random.randint(6, 24), random.randint(4, 16)
    model = Chunked(random.choice([nn.RNN, nn.LSTM, nn.GRU]), random.choice([8, 16, 32]), max(2, time // 3), fault)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    ends = torch.randint(time // 2, time - 1, (batch,)) if fault.startswith("padding") else torch.full((batch,), time)

    def loss(model: nn.Module, x: Tensor) -> Tensor:
        error = (model(x) - x[..., 0].cumsum(0)).square()
        error = error.sum(0) if fault.startswith("sum") else error
        return error[: time // 2].mean() if fault.startswith("inputs") else error.mean()

    def draw() -> Tensor:
        x = torch.randn(time, batch, 2)
        if fault.startswith("outlier"):
            x[:, random.randrange(batch)] *= 100
        return x * (torch.arange(time)[:, None, None] < ends[:, None])

    for _ in range(20):
        optimizer.zero_grad()
        loss(model, draw()).backward()
        optimizer.step()
    findings = bptt.check(model, draw(), loss).findings
    sums = {"sum" for one in findings if "is a sum over time" in one.sentence}
    return {one.kind for one in findings if one.is_fault} | sums


def main() -> None:
    """Print the table."""
    print_table(FAULTS, SEEDS, found)


if __name__ == "__main__":
    main()
