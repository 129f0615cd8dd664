"""False alarms and misses of the findings of watched trainings over 30 seeds: `python -m tests.bench.findings` prints
the second table of the README of `experiments/watching/`.

Each seed trains a small network of a tanh layer for 100 steps, healthy or with one planted sickness. The recurrent
weights are orthogonal times a gain, inputs are small and the loss reads the last timestep, so the gain decides what
becomes of the gradient. Layers called `relu` have the identity times a gain, positive inputs and positive input
weights, so that the gradient grows by exactly the gain in each timestep; their steps are too small to change that.

A spike is one batch whose targets are as many times as large as its name says. Of an outlier, only the target of one
sequence is, 100,000 times.
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

SEEDS = range(200, 230)
"""Seeds of the trainings. None was looked at before this table was planned."""
GAINS = {"vanishing": 0.6, "growing": 1.5, "relu x 1": 1.0, "relu x 1.2": 1.2, "relu x 1.5": 1.5}
"""The gain of the recurrent weights by what is planted; 1 for all others."""
SPIKES = {"spike x 1,000": 1e3, "spike x 100,000": 1e5, "outlier x 100,000": 1e5}
"""How many times as large the targets are at step 80."""
NAMED = {
    "healthy": "arrives",
    "vanishing": "vanishes",
    "growing": "grows",
    "relu x 1": "arrives",
    "relu x 1.2": "grows",
    "relu x 1.5": "explodes",
    "spike x 1,000": "spike",
    "spike x 100,000": "spike",
    "outlier x 100,000": "its sequence",
}
"""What the finding should say of each."""


def found(planted: str, seed: int) -> set[str]:
    """What the finding of one training says: the fate of the gradient, a spike, and whether its sequence is named."""
    random.seed(seed)
    torch.manual_seed(seed)
    length, batch, hidden = random.randint(20, 32), random.randint(8, 32), random.choice([16, 32])
    outlier = random.randrange(batch)
    is_relu, gain = planted.startswith("relu"), GAINS.get(planted, 1.0)
    layer = nn.RNN(1, hidden, nonlinearity="relu" if is_relu else "tanh")
    model = nn.ModuleDict({"rnn": layer, "readout": nn.Linear(hidden, 1)})
    nn.init.orthogonal_(layer.weight_hh_l0, gain=gain)
    if is_relu:
        nn.init.eye_(layer.weight_hh_l0).data.mul_(gain)
        layer.weight_ih_l0.data.abs_()
    for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
        nn.init.zeros_(bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-15 if is_relu else 1e-6)
    with tempfile.TemporaryDirectory() as place:
        with bptt.watch(model, place, every=20, windows="all", spikes=True) as watch:
            for step in range(1, 101):
                x = 1e-6 * torch.randn(length, batch, 1)
                targets = torch.randn(batch, 1)
                if step == 80 and planted in SPIKES:
                    targets[outlier if planted.startswith("outlier") else slice(None)] *= SPIKES[planted]
                optimizer.zero_grad()
                loss = (model["readout"](layer(x.abs() if is_relu else x)[0][-1]) - targets).square().mean()
                loss.backward()
                watch.step(loss)
                optimizer.step()
        runs = read_runs(Path(place))
        row = write_summary(Path(place), runs)[0].iloc[0]
        said = describe_run(runs[0], {str(key): value for key, value in row.items()})
    named = set(re.findall(r"\b(shrinks|arrives|vanishes|grows|explodes)\b", said))
    named |= {"spike"} if "left its running distribution" in said else set()
    sequences = re.findall(r"sequence (\d+) of the batch", said)
    is_planted = planted.startswith("outlier")
    return named | {"its sequence" if is_planted and one == str(outlier) else "a sequence" for one in sequences}


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print_table(NAMED, SEEDS, found)


if __name__ == "__main__":
    main()
