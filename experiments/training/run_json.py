"""The content of run.json: what a run is, what it was made from, and what theory predicts for it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.config.parts import Parts
from experiments.config.schema import Config
from experiments.store.files import read_json, write_json
from experiments.store.integrity import describe_inputs
from experiments.training.checkpoint import Checkpoint
from experiments.training.provenance import provenance
from experiments.training.seeding import generator_of
from experiments.training.theory import predict
from experiments.training.user_files import user_files
from models.cell import Cell


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a run to its run.json."""
    write_json(folder / "run.json", record)


def record_at_start(
    config: Config, folder: Path, parts: Parts, code: dict[str, Any], saved: Checkpoint | None
) -> dict[str, Any]:
    """The record of a run that starts, or that resumes from a checkpoint.

    Args:
        config: Configuration of the run.
        folder: Folder of the run. If the run resumes, it holds the run.json written before.
        parts: Parts of the run; the network may be on the meta device.
        code: Version of the code and of the user's files, see `code_version`.
        saved: Checkpoint from which the run resumes; None if it starts from the beginning.
    """
    record: dict[str, Any] = {
        "run_id": folder.name,
        "status": "running",
        "seed": config.seed,
        "threads": config.threads,
        "parameters": sum(parameter.numel() for parameter in parts.network.parameters()),
        "timesteps": parts.task.timesteps,
        "cell": _states_and_gates(parts.network.cells[0]),
        "record": config.record.model_dump(),
        "theory": None,
        "readout_steps": parts.task.readout_steps or parts.task.timesteps,
        "pid": os.getpid(),
        "started": now(),
        "source": code["source"],
        "made_from": describe_inputs(user_files(config)),
        "data": parts.task.data,
        **provenance(),
    }
    if saved is not None:
        before = read_json(folder / "run.json")
        stage = {"after_step": saved.step, "at": now(), "host": record["machine"]["host"]}
        record |= {"started": before["started"], "continued": [*before.get("continued", []), stage]}
    return record


def theory_of(config: Config, parts: Parts, *, trained: bool) -> dict[str, Any] | None:
    """What theory predicts for the network on inputs of the task; None if no closed form applies."""
    inputs = parts.task.draw(config.batch_size, generator_of(config.seed, "theory")).inputs_of_all
    like = next(parts.network.parameters())
    theory = predict(config, parts.network.cells, inputs.to(like.device, like.dtype), trained=trained)
    return None if theory is None else theory._asdict()


def now() -> str:
    """The current time in UTC, in ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _states_and_gates(cell: Cell) -> dict[str, Any]:
    """The names of the cell's states, and the gate that keeps each of them."""
    return {"states": list(cell.state_names), "kept_by": cell.kept_by}
