"""The execution of one run: lock its folder, start or resume it, and record in run.json how it ends."""

import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import yaml
from omegaconf import OmegaConf
from torch import Tensor

from experiments.config.parts import Parts, build, draft
from experiments.config.schema import Config
from experiments.errors import DamagedRun, in_a_line, place_in_user_code
from experiments.store.csv_writer import RunWriter
from experiments.store.files import read_json, write_whole
from experiments.store.integrity import CONFIG, changed_inputs, damage_of, describe_files
from experiments.store.locks import lock_run
from experiments.store.run_folders import check_writable, delete_contents
from experiments.store.status import FINISHED, SKIPPED, Status
from experiments.training.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint
from experiments.training.denormals import denormals
from experiments.training.memory import check_memory
from experiments.training.provenance import code_version
from experiments.training.run_json import now, record_at_start, theory_of, write_record
from experiments.training.tensorboard import EventFile
from experiments.training.user_files import user_files


class Result(NamedTuple):
    """How a run ended.

    Attributes:
        folder: Folder of the run.
        status: Status as in run.json; 'running' if another process executes the run.
        error: Error of a failed run in one line, or what is wrong with a damaged one.
        seconds: Run time in seconds; 0 if the run was skipped.
        skipped: Whether the run was not executed, because it is settled or another process executes it.
        changed: Files that a finished run was made from and that have changed since, such as 'sensor.csv'.
        unrecorded: Settings of `record` that ask for more than a finished run has recorded, such as {"every": 1}.
    """

    folder: Path
    status: Status
    error: str | None
    seconds: float
    skipped: bool
    changed: str = ""
    unrecorded: Mapping[str, Any] = MappingProxyType({})

    @property
    def is_doubtful(self) -> bool:
        """Whether a finished run is damaged, or made from files that have changed since."""
        return self.status == "damaged" or bool(self.changed)


Computation = Callable[[Parts, RunWriter, Checkpoint | None], dict[str, Any]]
"""What a run computes with its parts, from the beginning or from a checkpoint.

It writes tables to the run's folder and returns further entries for run.json, above all `diverged_at_step`.
"""


def execute_run(
    config: Config,
    folder: Path,
    compute: Computation,
    *,
    flush_denormals: bool = False,
    trained: Mapping[str, Tensor] | None = None,
) -> Result:
    """Execute one run in its folder, and record how it ends. Skip it if it is settled or another process executes it.

    An interrupted run resumes from its checkpoint if it has one. A run that raises an exception is recorded as failed
    with its error, and the function returns. A run that is interrupted is recorded as such, and the interrupt
    propagates.

    Args:
        config: Configuration of the run.
        folder: Folder of the run.
        compute: What the run computes.
        flush_denormals: Whether to round denormal numbers to 0; see `denormals`.
        trained: Parameters to load into the network in place of those that it was initialised with.

    Raises:
        UsageError: The configuration cannot be built, or the folder is not writable.
    """
    check_writable(folder)
    if settled := settled_result(config, folder):
        return settled
    torch.set_num_threads(config.threads)
    with denormals(flushed=flush_denormals):
        drafted = draft(config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with lock_run(folder) as free:
                if not free:
                    return Result(folder, "running", None, 0.0, skipped=True)
                # Another process may have finished the run before this one got the lock.
                return settled_result(config, folder) or _start_or_resume(config, folder, drafted, compute, trained)
        except OSError as error:
            return Result(folder, "failed", in_a_line(error), 0.0, skipped=False)


def _start_or_resume(
    config: Config, folder: Path, drafted: Parts, compute: Computation, trained: Mapping[str, Tensor] | None
) -> Result:
    """Execute an unfinished run whose folder is locked.

    The network is built only after run.json is written, so a run that runs out of memory is recorded as failed.
    """
    code = code_version(config)
    saved = load_checkpoint(folder, code)
    record = record_at_start(config, folder, drafted, code, saved)
    if saved is None:
        delete_contents(folder)
        (folder / ".hydra").mkdir()
        write_whole(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config.model_dump())))
    write_record(folder, record)

    began = time.monotonic() - (saved.seconds if saved else 0.0)
    began_processor = None if saved or config.device != "cpu" else time.process_time()
    status: Status = "interrupted"
    error = None
    try:
        check_memory(config, drafted)
        parts = build(config)
        if trained is not None:
            parts.network.load_state_dict(trained)
        record["theory"] = theory_of(config, parts, trained=trained is not None)
        write_record(folder, record)
        mirror = EventFile(folder, saved.step if saved else 0) if config.record.tensorboard else None
        devices = [torch.device(config.device)] if config.device.startswith("cuda") else []
        with RunWriter(folder, mirror, saved.sizes if saved else {}) as files, torch.random.fork_rng(devices):
            torch.manual_seed(config.seed)
            record |= compute(parts, files, saved)
        status = "completed" if record.get("diverged_at_step") is None else "diverged"
    except Exception as raised:
        status, error = "failed", in_a_line(raised) + place_in_user_code(raised)
        # A full disk is not the fault of the run: `prepare_folder` lets it resume without --retry.
        record |= {"error": error, "traceback": traceback.format_exc(), "retry": isinstance(raised, OSError)}
    finally:
        seconds = time.monotonic() - began
        processor_seconds = None if began_processor is None else round(time.process_time() - began_processor, 3)
        try:
            ended = status in SKIPPED and not record.get("retry")
            if ended:
                record["files"] = describe_files(folder)
            times = {"seconds": round(seconds, 3), "processor_seconds": processor_seconds}
            write_record(folder, {**record, "status": status, "finished": now(), **times})
            if ended:
                (folder / CHECKPOINT).unlink(missing_ok=True)
        except OSError as unwritten:  # If the disk is full, run.json keeps the status 'running'.
            status, error = "failed", error or in_a_line(unwritten)
    return Result(folder, status, error, seconds, skipped=False)


def settled_result(config: Config, folder: Path) -> Result | None:
    """The result of a run that is not to be executed again, even if it is damaged or its input files have changed.

    None if the run has not started, was interrupted, or is still running.
    """
    try:
        info = read_json(folder / "run.json")
    except DamagedRun as error:
        return Result(folder, "damaged", error.what, 0.0, skipped=True)
    if info.get("status") not in SKIPPED:
        return None
    if damage := damage_of(folder, info):
        return Result(folder, "damaged", damage, 0.0, skipped=True)
    return Result(
        folder,
        info["status"],
        info.get("error"),
        0.0,
        skipped=True,
        changed=changed_inputs(info, user_files(config)),
        unrecorded=config.record.beyond(_recorded(folder, info)) if info["status"] in FINISHED else {},
    )


def _recorded(folder: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with which a finished run was recorded; version 1 wrote them only into its configuration."""
    if "record" in info:
        recorded: dict[str, Any] = info["record"]
    else:
        recorded = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["record"]
    return recorded | ({"every": 1} if info.get("kind") == "probe" else {})
