"""Where a training stands, saved now and then, so that a run that was cut off goes on as if nothing had happened."""

import io
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from experiments.store.csv_writer import RunWriter
from experiments.store.files import write_whole

CHECKPOINT = "checkpoint.pt"


class Checkpoint(NamedTuple):
    """All that the next step depends on.

    Attributes:
        step: the last one that was made.
        seconds: what the steps took so far.
        sizes: of the CSV files after that step, in bytes, by the table's name.
        code: what made it, as `provenance` says; another version might go on differently.
        network: its state dict.
        optimizer: its state dict.
        random: the states of the training's generator, and of torch's own, of which a user's cell may draw.
    """

    step: int
    seconds: float
    sizes: dict[str, int]
    code: dict[str, Any]
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    random: dict[str, Tensor]


def load(folder: Path, code: dict[str, Any]) -> Checkpoint | None:
    """The checkpoint in a run's folder; None where there is none, or none that this code can go on from.

    It cannot where the file is damaged, where a CSV file is shorter than it was, or where other versions made it.
    """
    try:
        saved = Checkpoint(**torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True))
        whole = all((folder / f"{name}.csv").stat().st_size >= size for name, size in saved.sizes.items())
    except Exception:  # torch.load raises of many kinds; all mean that the run starts over
        return None
    return saved if whole and saved.code == code else None


def saved_at(folder: Path) -> float:
    """When a run last saved where it stands, in seconds since the epoch; 0 if it did not."""
    try:
        return (folder / CHECKPOINT).stat().st_mtime
    except OSError:
        return 0.0


class Saver:
    """Saves checkpoints of one training.

    Args:
        files: the run's folder and tables.
        code: see `Checkpoint`.
        network: that is trained, with its optimizer and the generator of its sequences.
        optimizer: of the network.
        generator: of the training sequences.
        every: seconds between two checkpoints; 0 saves after each step.
    """

    def __init__(
        self,
        files: RunWriter,
        code: dict[str, Any],
        network: nn.Module,
        optimizer: Optimizer,
        generator: Generator,
        every: float,
    ) -> None:
        self._files, self._code, self._every = files, code, every
        self._network, self._optimizer, self._generator = network, optimizer, generator
        self._began = self._saved = time.monotonic()

    def restore(self, saved: Checkpoint) -> None:
        """Put the training back to where it was. The tables are: they began at the checkpoint's sizes."""
        self._network.load_state_dict(saved.network)
        self._optimizer.load_state_dict(saved.optimizer)
        self._generator.set_state(saved.random["training"])
        torch.set_rng_state(saved.random["torch"])
        if "cuda" in saved.random:
            torch.cuda.set_rng_state(saved.random["cuda"], self._device)
        self._began -= saved.seconds

    def save_if_due(self, step: int) -> None:
        """Save, if the last time is long enough ago."""
        if time.monotonic() - self._saved >= self._every:
            self.save(step)

    def save(self, step: int) -> None:
        """Save: first the tables, then, in one go, the checkpoint that counts on them."""
        random = {"training": self._generator.get_state(), "torch": torch.get_rng_state()}
        if self._device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self._device)
        checkpoint = Checkpoint(
            step,
            time.monotonic() - self._began,
            self._files.sync(),
            self._code,
            self._network.state_dict(),
            self._optimizer.state_dict(),
            random,
        )
        buffer = io.BytesIO()
        torch.save(checkpoint._asdict(), buffer)
        write_whole(self._files.path / CHECKPOINT, buffer.getvalue())
        self._saved = time.monotonic()

    @property
    def _device(self) -> torch.device:
        return next(self._network.parameters()).device
