"""The life of a run: locked, begun or continued, and ended, each recorded in run.json as it happens."""

import os
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor

from experiments.checkpoint import CHECKPOINT, Checkpoint, load
from experiments.config import CHOICES, Config, Parts, build
from experiments.errors import in_a_line
from experiments.housekeeping import check_writable, empty
from experiments.locks import lock
from experiments.provenance import digest_of_source, provenance
from experiments.results import RunFolder, read_json, write_json, write_whole
from experiments.seeding import generator_of
from experiments.status import SETTLED, Status
from experiments.tensorboard import EventFile
from experiments.theory import predict


class Result(NamedTuple):
    """How a run ended.

    Attributes:
        folder: where its files are.
        status: as in run.json; 'running' where another process makes it.
        error: of a failed run, in one line.
        seconds: what it took; 0 if nothing was done.
        skipped: whether nothing was done: it was settled before, or another process makes it.
    """

    folder: Path
    status: Status
    error: str | None
    seconds: float
    skipped: bool


Work = Callable[[Parts, RunFolder, Checkpoint | None], dict[str, Any]]
"""What is done with the built parts, from the start or from a checkpoint.

It returns what run.json is to hold besides, `diverged_at_step` above all.
"""


def carry_out(config: Config, folder: Path, work: Work, *, trained: Mapping[str, Tensor] | None = None) -> Result:
    """Do the work of one run in its folder, and record how it ended; unless it is settled, or another process does it.

    A run that was cut off goes on from its checkpoint, where it has one. One that raises is recorded as failed, with
    its error, and returns; one that is interrupted is recorded as that, and the interrupt goes on.

    Args:
        config: of the run.
        folder: where its files go.
        work: to do.
        trained: parameters that the network is given in place of those it was drawn with.

    Raises:
        UsageError: the configuration cannot be built, or the folder not be written.
    """
    check_writable(folder)
    if settled := _settled(folder):
        return settled
    torch.set_num_threads(config.threads)
    parts = build(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder) as free:
            if not free:
                return Result(folder, "running", None, 0.0, skipped=True)
            if trained is not None:
                parts.network.load_state_dict(trained)
            return _settled(folder) or _make(config, folder, parts, work, trained=trained is not None)
    except OSError as error:
        return Result(folder, "failed", in_a_line(error), 0.0, skipped=False)


def _make(config: Config, folder: Path, parts: Parts, work: Work, *, trained: bool) -> Result:
    """The same, once the folder is locked and what is in it known to be unfinished."""
    saved = load(folder, code_of(config))
    record: dict[str, Any] = {
        "status": "running",
        "seed": config.seed,
        "threads": config.threads,
        "parameters": sum(parameter.numel() for parameter in parts.network.parameters()),
        "timesteps": parts.task.timesteps,
        "readout_steps": parts.task.readout_steps or parts.task.timesteps,
        "pid": os.getpid(),
        "started": _now(),
        "source": code_of(config)["source"],
        **provenance(),
    }
    if saved is not None:
        before = read_json(folder / "run.json")
        stage = {"after_step": saved.step, "at": _now(), "host": record["machine"]["host"]}
        record |= {"started": before["started"], "continued": [*before.get("continued", []), stage]}
    else:
        empty(folder)
        (folder / ".hydra").mkdir()
        write_whole(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config.model_dump())))

    began = time.monotonic() - (saved.seconds if saved else 0.0)
    status: Status = "interrupted"
    error = None
    try:
        record["theory"] = _theory(config, parts, trained=trained)
        write_json(folder / "run.json", record)
        mirror = EventFile(folder, saved.step if saved else 0) if config.record.tensorboard else None
        devices = [torch.device(config.device)] if config.device.startswith("cuda") else []
        with RunFolder(folder, mirror, saved.sizes if saved else {}) as files, torch.random.fork_rng(devices):
            torch.manual_seed(config.seed)
            record |= work(parts, files, saved)
        status = "completed" if record.get("diverged_at_step") is None else "diverged"
    except Exception as raised:
        status, error = "failed", in_a_line(raised)
        # A full disk is not the run's own fault: a sweep goes on with it by itself.
        record |= {"error": error, "traceback": traceback.format_exc(), "retry": isinstance(raised, OSError)}
    finally:
        seconds = time.monotonic() - began
        try:
            write_json(
                folder / "run.json", {**record, "status": status, "finished": _now(), "seconds": round(seconds, 3)}
            )
            if status in SETTLED and not record.get("retry"):
                (folder / CHECKPOINT).unlink(missing_ok=True)
        except OSError as unwritten:  # a full disk: run.json keeps saying 'running'
            status, error = "failed", error or in_a_line(unwritten)
    return Result(folder, status, error, seconds, skipped=False)


def _theory(config: Config, parts: Parts, *, trained: bool) -> dict[str, Any] | None:
    """What theory says of the network, for the inputs of the task; None where no closed form applies."""
    inputs = parts.task.draw(config.batch_size, generator_of(config.seed, "theory")).inputs
    like = next(parts.network.parameters())
    theory = predict(config, parts.network.cells, inputs.to(like.device, like.dtype), trained=trained)
    return None if theory is None else theory._asdict()


def _settled(folder: Path) -> Result | None:
    info = read_json(folder / "run.json")
    if info.get("status") not in SETTLED:
        return None
    return Result(folder, info["status"], info.get("error"), 0.0, skipped=True)


def code_of(config: Config) -> dict[str, Any]:
    """What must be the same for a run to go on as it began: the packages' versions, and the source that makes it."""
    targets = [str(getattr(config, group)["_target_"]) for group in CHOICES]
    return {"versions": provenance()["versions"], "source": digest_of_source(targets)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
