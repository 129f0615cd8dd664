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

from experiments.config.parts import Parts, build, draft
from experiments.config.schema import CHOICES, Config
from experiments.errors import DamagedRun, in_a_line
from experiments.measures.measure import find_measure
from experiments.store.files import RunFolder, read_json, write_json, write_whole
from experiments.store.integrity import changed_inputs, damage_of, inputs_of, seal
from experiments.store.locks import lock
from experiments.store.run_folders import check_writable, empty
from experiments.store.status import SETTLED, Status
from experiments.training.checkpoint import CHECKPOINT, Checkpoint, load
from experiments.training.denormals import denormals
from experiments.training.memory import check_memory
from experiments.training.provenance import digest_of_source, provenance
from experiments.training.seeding import generator_of
from experiments.training.tensorboard import EventFile
from experiments.training.theory import predict
from experiments.training.user_files import data_files, own_modules
from models.cell import Cell


class Result(NamedTuple):
    """How a run ended.

    Attributes:
        folder: where its files are.
        status: as in run.json; 'running' where another process makes it.
        error: of a failed run, in one line; of a damaged one, what is wrong.
        seconds: what it took; 0 if nothing was done.
        skipped: whether nothing was done: it was settled before, or another process makes it.
        changed: The files that a finished run was made from and that have changed since, such as 'sensor.csv'.
    """

    folder: Path
    status: Status
    error: str | None
    seconds: float
    skipped: bool
    changed: str = ""

    @property
    def is_doubtful(self) -> bool:
        """Whether a finished run is damaged, or made from files that have changed since."""
        return self.status == "damaged" or bool(self.changed)


Work = Callable[[Parts, RunFolder, Checkpoint | None], dict[str, Any]]
"""What is done with the built parts, from the start or from a checkpoint.

It returns what run.json is to hold besides, `diverged_at_step` above all.
"""


def carry_out(
    config: Config,
    folder: Path,
    work: Work,
    *,
    flush_denormals: bool = False,
    trained: Mapping[str, Tensor] | None = None,
) -> Result:
    """Do the work of one run in its folder, and record how it ended; unless it is settled, or another process does it.

    A run that was cut off goes on from its checkpoint, where it has one. One that raises is recorded as failed, with
    its error, and returns; one that is interrupted is recorded as that, and the interrupt goes on.

    Args:
        config: of the run.
        folder: where its files go.
        work: to do.
        flush_denormals: whether it is done with denormal numbers rounded to 0; see `denormals`.
        trained: parameters that the network is given in place of those it was drawn with.

    Raises:
        UsageError: the configuration cannot be built, or the folder not be written.
    """
    check_writable(folder)
    if settled := settled_result(config, folder):
        return settled
    torch.set_num_threads(config.threads)
    with denormals(flushed=flush_denormals):
        drafted = draft(config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with lock(folder) as free:
                if not free:
                    return Result(folder, "running", None, 0.0, skipped=True)
                return settled_result(config, folder) or _make(config, folder, drafted, work, trained)
        except OSError as error:
            return Result(folder, "failed", in_a_line(error), 0.0, skipped=False)


def _make(config: Config, folder: Path, drafted: Parts, work: Work, trained: Mapping[str, Tensor] | None) -> Result:
    """The same, once the folder is locked and what is in it known to be unfinished.

    The run's network is built only when run.json is there: if memory runs out, the run has failed like any other.
    """
    code = code_of(config)
    saved = load(folder, code)
    record: dict[str, Any] = {
        "run_id": folder.name,
        "status": "running",
        "seed": config.seed,
        "threads": config.threads,
        "parameters": sum(parameter.numel() for parameter in drafted.network.parameters()),
        "timesteps": drafted.task.timesteps,
        "cell": _roles(drafted.network.cells[0]),
        "theory": None,
        "readout_steps": drafted.task.readout_steps or drafted.task.timesteps,
        "pid": os.getpid(),
        "started": _now(),
        "source": code["source"],
        "made_from": inputs_of(own_files(config)),
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
    write_json(folder / "run.json", record)

    began = time.monotonic() - (saved.seconds if saved else 0.0)
    status: Status = "interrupted"
    error = None
    try:
        check_memory(config, drafted)
        parts = build(config)
        if trained is not None:
            parts.network.load_state_dict(trained)
        record["theory"] = _theory(config, parts, trained=trained is not None)
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
            ended = status in SETTLED and not record.get("retry")
            if ended:
                record["files"] = seal(folder)
            write_json(
                folder / "run.json", {**record, "status": status, "finished": _now(), "seconds": round(seconds, 3)}
            )
            if ended:
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


def _roles(cell: Cell) -> dict[str, Any]:
    """What readers need to know of a cell: the names of its states, and which gate keeps which."""
    return {"states": list(cell.state_names), "kept_by": cell.kept_by}


def settled_result(config: Config, folder: Path) -> Result | None:
    """How a run ended that is left as it is, damaged or made from other files though it may be; None to make it."""
    try:
        info = read_json(folder / "run.json")
    except DamagedRun as error:
        return Result(folder, "damaged", error.what, 0.0, skipped=True)
    if info.get("status") not in SETTLED:
        return None
    if damage := damage_of(folder, info):
        return Result(folder, "damaged", damage, 0.0, skipped=True)
    changed = changed_inputs(info, own_files(config))
    return Result(folder, info["status"], info.get("error"), 0.0, skipped=True, changed=changed)


def code_of(config: Config) -> dict[str, Any]:
    """What must be the same for a run to go on as it began: versions of packages, source code and the user's files."""
    files = inputs_of(own_files(config))
    return {
        "versions": provenance()["versions"],
        "source": digest_of_source(_targets(config)),
        "made_from": {name: used["digest"] for name, used in files.items()},
    }


def own_files(config: Config) -> dict[str, Path]:
    """The user's own files that a run is made from: data files by their key, modules by their name."""
    chosen = {group: getattr(config, group) for group in CHOICES}
    return data_files(chosen) | own_modules(_targets(config))


def _targets(config: Config) -> list[str]:
    measures = [find_measure(name) for name in config.record.measures]
    chosen = [str(getattr(config, group)["_target_"]) for group in CHOICES]
    return chosen + [f"{measure.__module__}.{measure.__qualname__}" for measure in measures]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
