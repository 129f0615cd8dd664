"""Benchmark of the slowdown by a vanishing gradient: `make bench`.

Below 1.2e-38, float32 numbers are denormal, and processors compute with them many times slower. The benchmark times a
training step in three variants, in turn in one process, from the same initialisation:

    kept      torch's own layer with denormal numbers, which is torch's default
    flushed   the same with torch.set_flush_denormal(True)
    ours      bptt's loop with `record=default`, which flushes denormal numbers by default

The learning rate is almost 0, so the gradient stays as it is at the initialisation. Each ratio compares times of the
same round. The table shows medians over the rounds, and how much of the gradient reaches the first timestep (float64).
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from experiments.config.composing import compose
from experiments.config.parts import build
from tests.bench.recording import Fused, bptt_steps, plain_steps, seconds_a_step

BATCH, HIDDEN = 32, 64

STARTS = {
    "rnn": ["cell=rnn"],
    "lstm": ["cell=lstm"],
    "lstm, torch's default": ["cell=lstm", "cell.forget_bias=null"],
    "gru": ["cell=gru"],
}


def measure(overrides: list[str], length: int, rounds: int, folder: Path) -> dict[str, float]:
    """Milliseconds per step with denormal numbers kept and flushed, and the median ratios."""
    overrides = [
        *overrides, "task=adding", f"task.length={length}", f"batch_size={BATCH}", f"model.hidden_size={HIDDEN}",
        "optimizer=sgd", "optimizer.lr=1e-30",
    ]  # fmt: skip
    config = compose(overrides)
    parts = build(config)
    bare = Fused(config.cell["name"], parts.task, HIDDEN)
    for theirs, own in zip(bare.parameters(), parts.network.parameters(), strict=True):
        theirs.data.copy_(own)
    ways = {
        "kept": (plain_steps(bare, parts.task, config, flush=False), 5),
        "flushed": (plain_steps(bare, parts.task, config), 5),
        "ours": (bptt_steps(overrides, folder / "ours"), config.record.every),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, (steps, count) in ways.items():
            seconds = seconds_a_step(steps, count)
            if turn:  # the first round is for warming up
                times[name].append(seconds)
    kept, flushed, own = times.values()
    return {
        "kept": 1000 * statistics.median(kept),
        "flushed": 1000 * statistics.median(flushed),
        "faster": statistics.median(k / f for k, f in zip(kept, flushed, strict=True)),
        "ours": statistics.median(o / f for o, f in zip(own, flushed, strict=True)),
        "left": reaching_the_first_timestep(bare.double(), parts.task),
    }


def reaching_the_first_timestep(network: Fused, task) -> float:
    """The norm of dL/dx_1 divided by that of dL/dx_T."""
    inputs, targets = task.draw(BATCH, torch.Generator().manual_seed(0)).to("cpu", torch.float64)
    inputs.requires_grad_()
    task.losses(network(inputs), targets).mean().backward()
    return float(inputs.grad[0].norm() / inputs.grad[-1].norm())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 200, 400])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, one thread, batch {BATCH}, hidden {HIDDEN}, float32; {arguments.rounds} rounds")
    print("| network | length | gradient at timestep 1 | kept, ms per step | flushed, ms | faster | bptt / flushed |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for start, overrides in STARTS.items():
        for length in arguments.lengths:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(overrides, length, arguments.rounds, Path(folder))
            print(
                f"| {start} | {length} | {row['left']:.0e} | {row['kept']:.1f} | {row['flushed']:.1f} | "
                f"{row['faster']:.1f}x | {row['ours']:.2f}x |",
                flush=True,
            )


if __name__ == "__main__":
    main()
