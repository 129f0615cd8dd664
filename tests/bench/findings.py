"""False alarms and misses of the findings of watched trainings over 30 seeds: `python -m tests.bench.findings` prints
the second table of the README of `experiments/watching/`.

Each seed trains a small network of a tanh layer for 100 steps, healthy or with one planted sickness. The recurrent
weights are orthogonal times a gain, inputs are small and the loss reads the last timestep, so the gain decides what
becomes of the gradient. A spike is one batch whose targets are 1,000 times as large.
"""

import random
import re
import tempfile
from pathlib import Path

import torch
from torch import nn

import bptt
from experiments.analysis.findings import describe_run
from experiments.analysis.summary import write_summary
from experiments.store.studies import read_runs
from tests.bench.planted import print_table

SEEDS = range(100, 130)
"""Seeds of the trainings."""
GAINS = {"healthy": 1.0, "vanishing": 0.6, "growing": 1.5, "spike": 1.0}
"""The gain of the recurrent weights by what is planted."""
NAMED = {"healthy": "arrives", "vanishing": "vanishes", "growing": "grows", "spike": "spike"}
"""What the finding should say of each."""


def found(planted: str, seed: int) -> set[str]:
    """What the finding of one training says: the fate of the gradient, and "spike" if a norm left the distribution."""
    random.seed(seed)
    torch.manual_seed(seed)
    length, batch, hidden = random.randint(20, 32), random.randint(8, 32), random.choice([16, 32])
    model = nn.ModuleDict({"rnn": nn.RNN(1, hidden), "readout": nn.Linear(hidden, 1)})
    nn.init.orthogonal_(model["rnn"].weight_hh_l0, gain=GAINS[planted])
    for bias in (model["rnn"].bias_ih_l0, model["rnn"].bias_hh_l0):
        nn.init.zeros_(bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    with tempfile.TemporaryDirectory() as place:
        with bptt.watch(model, place, every=20, windows="all") as watch:
            for step in range(1, 101):
                x = 1e-6 * torch.randn(length, batch, 1)
                targets = torch.randn(batch, 1) * (1000 if planted == "spike" and step == 80 else 1)
                optimizer.zero_grad()
                loss = (model["readout"](model["rnn"](x)[0][-1]) - targets).square().mean()
                loss.backward()
                watch.step(loss)
                optimizer.step()
        runs = read_runs(Path(place))
        row = write_summary(Path(place), runs)[0].iloc[0]
        said = describe_run(runs[0], {str(key): value for key, value in row.items()})
    fates = set(re.findall(r"\b(shrinks|arrives|vanishes|grows|explodes)\b", said))
    return fates | ({"spike"} if "left its running distribution" in said else set())


def main() -> None:
    """Print the table."""
    print_table(NAMED, SEEDS, found)


if __name__ == "__main__":
    main()
