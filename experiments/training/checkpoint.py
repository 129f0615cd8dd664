"""Where a training stands, saved now and then, so that a run that was cut off goes on as if nothing had happened."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Generator

from experiments.store.files import RunFolder, write_whole

CHECKPOINT = "checkpoint.pt"


class Checkpoint(NamedTuple):
    """All that the next step depends on.

    Attributes:
        step: the last one that was made.
        seconds: what the steps took so far.
        sizes: of the CSV files after that step, in bytes, by the table's name.
        code: what made it, as `provenance` says; another version might go on differently.
        states: State dicts of everything that remembers something from step to step, by name: network, optimizer,
            clip, schedule, remedy, each measure, and the random number generators.
    """

    step: int
    seconds: float
    sizes: dict[str, int]
    code: dict[str, Any]
    states: dict[str, dict[str, Any]]


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


@runtime_checkable
class Stateful(Protocol):
    """Anything that remembers something from step to step, as torch's modules and optimisers do.

    The state consists of tensors, numbers, strings, and lists and dicts of them: torch reads nothing else back safely.
    """

    def state_dict(self) -> dict[str, Any]:
        """What to save."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Continue from what was saved."""
        ...


class RandomNumbers:
    """The generator of the training sequences and torch's global ones, from which a cell or remedy may draw.

    Args:
        generator: Generator of the training sequences.
        device: Device of the network.
    """

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self._generator, self._device = generator, device

    def state_dict(self) -> dict[str, Any]:
        """The states of the generators."""
        state = {"training": self._generator.get_state(), "torch": torch.get_rng_state()}
        if self._device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._device)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from saved states."""
        self._generator.set_state(state["training"])
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self._device)


class Saver:
    """Saves checkpoints of one training.

    Args:
        files: Folder and tables of the run.
        code: See `Checkpoint`.
        parts: Parts of the training by name; those that are `Stateful` are saved.
        every: Seconds between two checkpoints; 0 saves after each step.
    """

    def __init__(self, files: RunFolder, code: dict[str, Any], parts: Mapping[str, object], every: float) -> None:
        self._files, self._code, self._every = files, code, every
        self._parts = {name: part for name, part in parts.items() if isinstance(part, Stateful)}
        self._began = self._saved = time.monotonic()

    def restore(self, saved: Checkpoint) -> None:
        """Put all parts back to where they were. The tables are there: they were opened at the checkpoint's sizes."""
        for name, part in self._parts.items():
            part.load_state_dict(saved.states[name])
        self._began -= saved.seconds

    def save_if_due(self, step: int) -> None:
        """Save, if the last time is long enough ago."""
        if time.monotonic() - self._saved >= self._every:
            self.save(step)

    def save(self, step: int) -> None:
        """Save: first the tables, then, in one go, the checkpoint that counts on them."""
        seconds = time.monotonic() - self._began
        states = {name: part.state_dict() for name, part in self._parts.items()}
        checkpoint = Checkpoint(step, seconds, self._files.sync(), self._code, states)
        buffer = io.BytesIO()
        torch.save(checkpoint._asdict(), buffer)
        write_whole(self._files.path / CHECKPOINT, buffer.getvalue())
        self._saved = time.monotonic()
