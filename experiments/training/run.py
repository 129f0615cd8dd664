"""A training run: train the network of one configuration, and write its CSV files and parameters."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from experiments.config.parts import Parts
from experiments.config.schema import Config, RecordConfig
from experiments.measures.measure import Measure
from experiments.stopping import Evaluated, NoStop
from experiments.store.csv_writer import CsvWriter, RunWriter
from experiments.store.files import write_whole
from experiments.store.integrity import CONFIG
from experiments.tasks.task import Task
from experiments.training.checkpoint import CHECKPOINT, Checkpoint, RandomNumbers, Saver, load_checkpoint
from experiments.training.early_end import EarlyEnd
from experiments.training.execution import Result, execute_run
from experiments.training.loop import Divergence, Step, evaluate, is_due, train
from experiments.training.provenance import code_version
from experiments.training.seeding import generator_of
from models.contributions import Bounds
from models.trace import cut

NETWORK = "network.pt"
"""Name of the file with the parameters of the trained network, for `bptt probe --checkpoint`."""


def run(config: Config) -> Result:
    """Train one network; see `execute_run`.

    A run that resumes goes on with the record that it began with. The result says what that record lacks.
    """
    asked, config = config.record, with_record_as_begun(config)

    def compute(parts: Parts, files: RunWriter, saved: Checkpoint | None) -> dict[str, Any]:
        end = EarlyEnd(parts.stop, config.steps)
        diverged = _train(config, parts, files, saved, end)
        save_network(parts.network, files.path / NETWORK)
        if diverged is not None:
            overflow = diverged.overflow and diverged.overflow._asdict()
            return {"diverged_at_step": diverged.step, "overflow": overflow, "stopped": None, "stopped_at_step": None}
        stopped_at_step = None if end.reason is None else end.last_step
        return {"diverged_at_step": None, "stopped": end.reason, "stopped_at_step": stopped_at_step}

    result = execute_run(config, config.run_folder, compute, flush_denormals=config.flushes_denormals)
    return result if result.skipped else result._replace(unrecorded=asked.beyond(config.record.model_dump()))


def with_record_as_begun(config: Config) -> Config:
    """The configuration with what an interrupted run has recorded so far, if the run can resume."""
    folder = config.run_folder
    if not (folder / CHECKPOINT).exists():
        return config
    try:
        saved = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        begun = config.model_copy(update={"record": RecordConfig(**saved["record"])})
    except (OSError, TypeError, ValueError, LookupError, yaml.YAMLError):
        return config
    if begun.record == config.record or load_checkpoint(folder, code_version(begun)) is None:
        return config
    return begun


def _train(
    config: Config, parts: Parts, files: RunWriter, saved: Checkpoint | None, end: EarlyEnd
) -> Divergence | None:
    network, task = parts.network, parts.task
    optimizer = parts.make_optimizer(network.parameters())
    schedule = parts.make_schedule(optimizer)
    generator = generator_of(config.seed, "training")
    stateful = {
        "network": network,
        "optimizer": optimizer,
        "clip": parts.clip,
        "schedule": schedule,
        "remedy": parts.remedy,
        "nonfinite": parts.nonfinite,
        **({} if isinstance(parts.stop, NoStop) else {"stop": end}),
        "random": RandomNumbers(generator, torch.device(config.device)),
        **{f"measure.{name}": measure for name, measure in parts.measures.items()},
    }
    for measure in parts.measures.values():
        measure.folder = files.path
    saver = Saver(files, code_version(config), stateful, config.checkpoint_seconds)
    if saved is not None:
        saver.restore(saved)
    metrics = files.table("metrics")
    evaluation = files.table("evaluation")
    files.table("data_lags").append(task.dependence() if saved is None else ())

    def after_step(step: Step) -> bool:
        if step.finite and is_due(step.number, config.record.evaluate_every, end.last_step):
            held_out = generator_of(config.seed, "evaluation")
            loss, error, samples = evaluate(network, task, config.record.evaluate_samples, held_out)
            solved = None if task.solved_below is None else int(error < task.solved_below)
            row = Evaluated(step.number, loss, error, solved, task.chance_loss, task.chance_error, samples)
            evaluation.append([row])
            end.add(row)
        if step.finite and step.number < end.last_step:
            saver.save_if_due(step.number)
        return end.last_step == step.number + 1

    return train(
        network,
        task,
        optimizer,
        parts.clip,
        schedule,
        parts.remedy,
        parts.nonfinite,
        steps=end.last_step,
        first_step=1 if saved is None else saved.step + 1,
        batch_size=config.batch_size,
        generator=generator,
        record_every=config.record.every,
        windows=windows_of(config, task),
        metrics=metrics,
        measures=open_tables(parts.measures, files),
        after_step=after_step,
    )


def open_tables(measures: Mapping[str, Measure], files: RunWriter) -> dict[Measure, CsvWriter]:
    """Open the table of each measure."""
    return {measure: files.table(name, measure.columns) for name, measure in measures.items()}


def windows_of(config: Config, task: Task) -> Bounds:
    """The windows of timesteps of a recorded step."""
    return cut(task.timesteps, task.timesteps if config.record.windows == "all" else config.record.windows)


def save_network(network: torch.nn.Module, path: Path) -> None:
    """Save the parameters of a network, atomically."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    write_whole(path, buffer.getvalue())
