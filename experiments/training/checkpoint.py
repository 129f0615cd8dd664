"""Checkpoints: the state of a training, saved regularly, from which an interrupted run resumes exactly."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Generator

from experiments.store.csv_writer import RunWriter
from experiments.store.files import write_whole

CHECKPOINT = "checkpoint.pt"


class Checkpoint(NamedTuple):
    """Everything that the next training step depends on.

    Attributes:
        step: Last step that was completed.
        seconds: Run time so far, in seconds.
        sizes: Size of each CSV file after that step, in bytes, by the name of the table.
        code: Version of the code that made it, see `code_version`; another version might continue differently.
        states: State dicts of everything that keeps state from step to step, by name: network, optimizer, clip,
            schedule, remedy, nonfinite, stop, each measure, and the random number generators.
    """

    step: int
    seconds: float
    sizes: dict[str, int]
    code: dict[str, Any]
    states: dict[str, dict[str, Any]]


def load_checkpoint(folder: Path, code: dict[str, Any]) -> Checkpoint | None:
    """Load the checkpoint in the folder of a run; None if there is none that the run can resume from.

    A run cannot resume if the checkpoint is damaged, if a CSV file is shorter than it was at the checkpoint, or if
    another version of the code made the checkpoint.

    Args:
        folder: Folder of the run.
        code: Current version of the code, see `code_version`.
    """
    try:
        saved = Checkpoint(**torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True))
        whole = all((folder / f"{name}.csv").stat().st_size >= size for name, size in saved.sizes.items())
    except Exception:  # torch.load raises many types; for any of them the run starts over
        return None
    return saved if whole and saved.code == code else None


def saved_at(folder: Path) -> float:
    """Time of the last checkpoint of a run, in seconds since the epoch; 0 if there is none."""
    try:
        return (folder / CHECKPOINT).stat().st_mtime
    except OSError:
        return 0.0


@runtime_checkable
class Stateful(Protocol):
    """An object that keeps state from step to step, as torch's modules and optimisers do.

    The state consists of tensors, numbers, strings, and lists and dicts of them; torch loads nothing else safely.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the state to save."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Continue from a saved state."""
        ...


class RandomNumbers:
    """The random number generators of a training: that of the training sequences, and torch's global ones.

    A cell or a remedy may draw from the global ones.

    Args:
        generator: Generator of the training sequences.
        device: Device of the network.
    """

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self._generator, self._device = generator, device

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the generators."""
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
    """Saves checkpoints of one training, and restores its parts from one.

    Args:
        files: Folder and tables of the run.
        code: Version of the code, see `Checkpoint`.
        parts: Parts of the training by name. Those that are `Stateful` are saved.
        every: Seconds between two checkpoints; 0 saves after every step.
    """

    def __init__(self, files: RunWriter, code: dict[str, Any], parts: Mapping[str, object], every: float) -> None:
        self._files, self._code, self._every = files, code, every
        self._parts = {name: part for name, part in parts.items() if isinstance(part, Stateful)}
        self._began = self._saved = time.monotonic()

    def restore(self, saved: Checkpoint) -> None:
        """Restore the state of all parts from a checkpoint.

        The tables need nothing: they were cut to their sizes at the checkpoint when they were opened.
        """
        for name, part in self._parts.items():
            part.load_state_dict(saved.states[name])
        self._began -= saved.seconds

    def save_if_due(self, step: int) -> None:
        """Save a checkpoint if the last one is old enough."""
        if time.monotonic() - self._saved >= self._every:
            self.save(step)

    def save(self, step: int) -> None:
        """Save a checkpoint: first flush the tables that it refers to, then replace the file atomically."""
        seconds = time.monotonic() - self._began
        states = {name: part.state_dict() for name, part in self._parts.items()}
        checkpoint = Checkpoint(step, seconds, self._files.sync(), self._code, states)
        buffer = io.BytesIO()
        torch.save(checkpoint._asdict(), buffer)
        write_whole(self._files.path / CHECKPOINT, buffer.getvalue())
        self._saved = time.monotonic()
