"""One run: from a checked configuration to a folder of CSV files."""

import hashlib
import io
import os
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Generator

from experiments.config import Config, Parts, build
from experiments.errors import UsageError
from experiments.measures.contributions import Contributions
from experiments.measures.gates import Gates
from experiments.measures.gradients import Gradients
from experiments.measures.measure import Measure
from experiments.measures.parameters import Parameters
from experiments.provenance import provenance
from experiments.results import RunFolder, Table, read_json, write_json, write_whole
from experiments.tasks.task import Task
from experiments.tensorboard import EventFile
from experiments.theory import predict
from experiments.training import EVALUATION, METRICS, Step, evaluate, is_due, train

MEASURES: dict[str, type[Measure]] = {
    "gradients": Gradients,
    "contributions": Contributions,
    "parameters": Parameters,
    "gates": Gates,
}
"""By the name of its CSV file, which is also its switch in `record`."""

NETWORK = "network.pt"
"""The parameters of a trained network, for `bptt probe --checkpoint`."""

Status = Literal["running", "completed", "diverged", "failed", "interrupted"]
FINISHED: tuple[Status, ...] = ("completed", "diverged")


class Result(NamedTuple):
    """How a run ended.

    Attributes:
        folder: where its files are.
        status: as in run.json.
        error: of a failed run, in one line.
        seconds: what it took; 0 if it was finished before.
        skipped: whether it was finished before, and nothing was done.
    """

    folder: Path
    status: Status
    error: str | None
    seconds: float
    skipped: bool


Work = Callable[[Parts, RunFolder], dict[str, Any]]
"""What is done with the built parts; returns what run.json is to hold besides, `diverged_at_step` above all."""


def run(config: Config, *, fresh: bool = False) -> Result:
    """Train one network, unless this very configuration is already finished in its study; see `carry_out`."""

    def work(parts: Parts, files: RunFolder) -> dict[str, Any]:
        diverged = _train(config, parts, files)
        save_network(parts.network, files.path / NETWORK)
        return {"diverged_at_step": diverged}

    return carry_out(config, config.run_folder, work, fresh=fresh)


def carry_out(config: Config, folder: Path, work: Work, *, fresh: bool = False) -> Result:
    """Do the work of one run in its folder, and record how it ended.

    A run that raises is recorded as failed, with its error, and returns; one that is interrupted is recorded as that,
    and the interrupt goes on.

    Args:
        config: of the run.
        folder: where its files go.
        work: to do.
        fresh: do it again even if it is finished.

    Raises:
        UsageError: the configuration cannot be built, or the folder not be written.
    """
    check_writable(folder)
    done = read_json(folder / "run.json")
    if not fresh and done.get("status") in FINISHED:
        return Result(folder, done["status"], None, 0.0, skipped=True)
    torch.set_num_threads(config.threads)
    parts = build(config)
    _prepare(folder)
    write_whole(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config.model_dump())))

    record: dict[str, Any] = {
        "status": "running",
        "seed": config.seed,
        "threads": config.threads,
        "parameters": sum(parameter.numel() for parameter in parts.network.parameters()),
        "timesteps": parts.task.timesteps,
        "theory": _theory(config, parts),
        "readout_steps": parts.task.readout_steps or parts.task.timesteps,
        "pid": os.getpid(),
        "started": _now(),
        **provenance(),
    }
    write_json(folder / "run.json", record)
    began = time.perf_counter()
    status: Status = "interrupted"
    error = None
    try:
        with RunFolder(folder, EventFile(folder) if config.record.tensorboard else None) as files:
            record |= work(parts, files)
        status = "completed" if record.get("diverged_at_step") is None else "diverged"
    except Exception as raised:
        status, error = "failed", f"{type(raised).__name__}: {raised}"
        record |= {"error": error, "traceback": traceback.format_exc()}
    finally:
        seconds = time.perf_counter() - began
        try:
            write_json(
                folder / "run.json", {**record, "status": status, "finished": _now(), "seconds": round(seconds, 3)}
            )
        except OSError as unwritten:  # a full disk: run.json keeps saying 'running'
            status, error = "failed", error or f"{type(unwritten).__name__}: {unwritten}"
    return Result(folder, status, error, seconds, skipped=False)


def _theory(config: Config, parts: Parts) -> dict[str, Any] | None:
    """The gain of the first layer at its initialisation, where a closed form says it, for the inputs of the task."""
    inputs = parts.task.draw(config.batch_size, generator_of(config.seed, "theory")).inputs
    like = next(parts.network.parameters())
    prediction = predict(config, parts.network.cells[0], inputs.to(like.device, like.dtype))
    return None if prediction is None else prediction._asdict()


def _train(config: Config, parts: Parts, files: RunFolder) -> int | None:
    network, task = parts.network, parts.task
    metrics = files.table("metrics", METRICS)
    evaluation = files.table("evaluation", EVALUATION)

    def after_step(step: Step) -> None:
        if step.finite and is_due(step.number, config.record.evaluate_every, config.steps):
            held_out = generator_of(config.seed, "evaluation")
            loss, error = evaluate(network, task, config.record.evaluate_samples, held_out)
            solved = None if task.solved_below is None else int(error < task.solved_below)
            evaluation.append([(step.number, loss, error, solved, task.chance_loss, task.chance_error)])

    return train(
        network,
        task,
        parts.make_optimizer(network.parameters()),
        parts.clip,
        steps=config.steps,
        batch_size=config.batch_size,
        generator=generator_of(config.seed, "training"),
        record_every=config.record.every,
        windows=windows_of(config, task),
        metrics=metrics,
        measures=measures_of(config, files),
        after_step=after_step,
    )


def measures_of(config: Config, files: RunFolder) -> dict[Measure, Table]:
    """The measures that `record` has switched on, each with its table."""
    switched_on = [name for name in MEASURES if getattr(config.record, name)]
    return {MEASURES[name](): files.table(name, MEASURES[name].columns) for name in switched_on}


def windows_of(config: Config, task: Task) -> int:
    """Into how many windows a recorded step is cut."""
    return task.timesteps if config.record.windows == "all" else config.record.windows


def save_network(network: torch.nn.Module, path: Path) -> None:
    """Put the parameters in place in one go."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    write_whole(path, buffer.getvalue())


def generator_of(seed: int, purpose: str) -> Generator:
    """A generator for one purpose of a run: what one draws does not shift what another draws."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:7]))


def check_writable(folder: Path) -> None:
    """Find out, by trying, whether a folder can be made or written to; leaves nothing behind.

    Raises:
        UsageError: it cannot.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with TemporaryDirectory(dir=existing, prefix=".bptt-"):
            pass
    except OSError as error:
        raise UsageError(f"results_dir: cannot write to {existing} ({error.strerror})") from None


def _prepare(folder: Path) -> None:
    """Make the run's folder, without the files of an earlier attempt."""
    try:
        (folder / ".hydra").mkdir(parents=True, exist_ok=True)
        for earlier in [*folder.glob("*.csv"), *folder.glob(EventFile.PATTERN)]:
            earlier.unlink()
    except OSError as error:
        raise UsageError(f"results_dir: cannot write to {folder} ({error.strerror})") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
