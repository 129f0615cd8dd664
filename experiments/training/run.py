"""A training run: from a checked configuration to a folder of CSV files."""

import io
from pathlib import Path
from typing import Any

import torch

from experiments.config.parts import Parts
from experiments.config.schema import Config
from experiments.measures.contributions import Contributions
from experiments.measures.gates import Gates
from experiments.measures.gradients import Gradients
from experiments.measures.measure import Measure
from experiments.measures.parameters import Parameters
from experiments.store.csv_writer import CsvWriter, RunWriter
from experiments.store.files import write_whole
from experiments.tasks.task import Task
from experiments.training.checkpoint import Checkpoint, Saver
from experiments.training.execution import Result, carry_out, code_of
from experiments.training.loop import Divergence, Step, evaluate, is_due, train
from experiments.training.seeding import generator_of

MEASURES: dict[str, type[Measure]] = {
    "gradients": Gradients,
    "contributions": Contributions,
    "parameters": Parameters,
    "gates": Gates,
}
"""By the name of its CSV file, which is also its switch in `record`."""

NETWORK = "network.pt"
"""The parameters of a trained network, for `bptt probe --checkpoint`."""


def run(config: Config) -> Result:
    """Train one network; see `carry_out`."""

    def work(parts: Parts, files: RunWriter, saved: Checkpoint | None) -> dict[str, Any]:
        diverged = _train(config, parts, files, saved)
        save_network(parts.network, files.path / NETWORK)
        if diverged is None:
            return {"diverged_at_step": None}
        return {"diverged_at_step": diverged.step, "overflow": diverged.overflow and diverged.overflow._asdict()}

    return carry_out(config, config.run_folder, work, flush_denormals=config.flushes_denormals)


def _train(config: Config, parts: Parts, files: RunWriter, saved: Checkpoint | None) -> Divergence | None:
    network, task = parts.network, parts.task
    optimizer = parts.make_optimizer(network.parameters())
    generator = generator_of(config.seed, "training")
    saver = Saver(files, code_of(config), network, optimizer, generator, config.checkpoint_seconds)
    if saved is not None:
        saver.restore(saved)
    metrics = files.table("metrics")
    evaluation = files.table("evaluation")

    def after_step(step: Step) -> None:
        if step.finite and is_due(step.number, config.record.evaluate_every, config.steps):
            held_out = generator_of(config.seed, "evaluation")
            loss, error, samples = evaluate(network, task, config.record.evaluate_samples, held_out)
            solved = None if task.solved_below is None else int(error < task.solved_below)
            evaluation.append([(step.number, loss, error, solved, task.chance_loss, task.chance_error, samples)])
        if step.finite and step.number < config.steps:
            saver.save_if_due(step.number)

    return train(
        network,
        task,
        optimizer,
        parts.clip,
        steps=config.steps,
        first_step=1 if saved is None else saved.step + 1,
        batch_size=config.batch_size,
        generator=generator,
        record_every=config.record.every,
        windows=windows_of(config, task),
        metrics=metrics,
        measures=measures_of(config, files),
        after_step=after_step,
    )


def measures_of(config: Config, files: RunWriter) -> dict[Measure, CsvWriter]:
    """The measures that `record` has switched on, each with its table."""
    switched_on = [name for name in MEASURES if getattr(config.record, name)]
    return {MEASURES[name](): files.table(name) for name in switched_on}


def windows_of(config: Config, task: Task) -> int:
    """Into how many windows a recorded step is cut."""
    return task.timesteps if config.record.windows == "all" else config.record.windows


def save_network(network: torch.nn.Module, path: Path) -> None:
    """Put the parameters in place in one go."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    write_whole(path, buffer.getvalue())
