"""A probe: how a network passes gradients back before it is trained (or as a checkpoint left it), without training."""

import math
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from experiments.clipping import total_norm
from experiments.config.composing import from_saved
from experiments.config.parts import Parts
from experiments.config.schema import Config
from experiments.errors import UsageError
from experiments.store.files import RunFolder
from experiments.tasks.task import Batch
from experiments.training.checkpoint import Checkpoint
from experiments.training.execution import Result, carry_out
from experiments.training.overflow import Overflow, find_overflow, mark_overflow
from experiments.training.run import NETWORK, open_tables, windows_of
from experiments.training.seeding import generator_of
from models.jacobian import Spectrum, analyze, backward_step_jacobians, unroll_states
from models.network import Window, cut


def probe(config: Config, *, checkpoint: Path | None = None) -> Result:
    """Probe one network; see `carry_out`.

    All is computed in float64, on the batches that training would begin with. Writes metrics.csv (a row a batch, no
    update between them), the measures of the first batch, jacobian.csv and lyapunov.csv.

    Args:
        config: of the network and task.
        checkpoint: the folder of a trained run, whose parameters are taken.

    Raises:
        UsageError: the checkpoint cannot be read; and what `carry_out` raises.
    """
    trained = None if checkpoint is None else _load(checkpoint)

    def work(parts: Parts, files: RunFolder, _: Checkpoint | None) -> dict[str, Any]:
        parts.network.double()
        inputs, overflow = _probe_gradients(config, parts, files)
        _probe_jacobians(config, parts, files, inputs[:, : config.probe.samples])
        return {
            "kind": "probe",
            "checkpoint": None if checkpoint is None else checkpoint.name,
            "overflow": overflow and overflow._asdict(),
        }

    return carry_out(config, probe_folder(config, trained=checkpoint is not None), work, trained=trained)


def probe_folder(config: Config, *, trained: bool = False) -> Path:
    """Where a probe is written: beside the training of the same configuration."""
    return config.run_folder.with_name(f"probe-{'trained-' if trained else ''}{config.probe_id}")


def config_of_checkpoint(run: Path) -> Config:
    """The configuration of a trained run.

    Raises:
        UsageError: the folder holds no trained network.
    """
    if not (run / NETWORK).is_file():
        raise UsageError(f"--checkpoint {run}: holds no {NETWORK}; give the folder that `bptt run` printed")
    try:
        values = yaml.safe_load((run / ".hydra" / "config.yaml").read_text(encoding="utf-8"))
        return from_saved(values)
    except (FileNotFoundError, TypeError, yaml.YAMLError):
        raise UsageError(f"--checkpoint {run}: its .hydra/config.yaml is missing or damaged") from None


def _load(run: Path) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = torch.load(run / NETWORK, weights_only=True)
    except Exception as error:  # of whatever kind the damage makes it
        raise UsageError(f"--checkpoint {run}: its {NETWORK} is damaged ({type(error).__name__})") from None
    return state


def _probe_gradients(
    config: Config, parts: Parts, files: RunFolder
) -> tuple[Float[Tensor, "time batch input"], Overflow | None]:
    """Loss and gradient of some batches, without an update; the measures of the first.

    Returns:
        What the first batch reads, and where the gradient of the first that did so left float64's range.
    """
    network, task = parts.network, parts.task
    generator = generator_of(config.seed, "training")
    metrics = files.table("metrics")
    first, overflow = None, None
    for number in range(1, config.probe.batches + 1):
        batch = task.draw(config.batch_size, generator).to(torch.device(config.device), torch.float64)
        loss, norm, trace = _backpropagate(config, parts, batch)
        if math.isfinite(loss) and not math.isfinite(norm) and (found := find_overflow(network, task, batch)):
            overflow = overflow or found
            _, _, trace = _backpropagate(config, parts, batch)
            norm, trace = math.inf, mark_overflow(network.parameters(), trace)
        metrics.append([(number, loss, norm, None, None, None)])
        if first is None:
            first = batch.inputs
            for measure, table in open_tables(parts.measures, files).items():
                table.append(measure.before_update(number, network, trace))
                table.append(measure.after_update(number, network))
    assert first is not None
    return first, overflow


def _backpropagate(config: Config, parts: Parts, batch: Batch) -> tuple[float, float, list[Window]]:
    """The loss, the norm of the whole gradient, and the windows."""
    network, task = parts.network, parts.task
    network.zero_grad()
    outputs, trace = network.unroll(batch.inputs, windows_of(config, task))
    loss = task.losses(outputs, batch.targets).mean()
    torch.autograd.backward(loss)
    norm = total_norm([parameter.grad for parameter in network.parameters() if parameter.grad is not None])
    return loss.item(), norm, trace


def _probe_jacobians(config: Config, parts: Parts, files: RunFolder, inputs: Float[Tensor, "time batch input"]) -> None:
    """The spectrum of ds_T/ds_t at the windows' ends, and the Lyapunov exponents, of each layer."""
    length = len(inputs)
    lags = {length - last for _, last in cut(length, windows_of(config, parts.task))}
    jacobian, lyapunov = files.table("jacobian"), files.table("lyapunov")
    for layer, cell in enumerate(parts.network.cells):
        states = unroll_states(cell, inputs)
        jacobians = backward_step_jacobians(cell, inputs, states)
        spectra, exponents = analyze(jacobians, lags, transient=length // 10)
        jacobian.append((layer, length - spectrum.lag, *_spectrum_row(spectrum)) for spectrum in spectra)
        means = exponents.mean(dim=0).tolist()  # -inf where the direction collapsed in any sample
        lyapunov.append((layer, index, _known(exponent)) for index, exponent in enumerate(means, start=1))
        inputs = states[1:, :, : cell.hidden_size]


def _spectrum_row(spectrum: Spectrum) -> tuple[int | float | None, ...]:
    """lag and the columns behind it; the mean of squares as a number, which may overflow, and as a logarithm."""
    ln10 = math.log(10)
    batch = len(spectrum.log_mean_squared)
    mean_squared = torch.logsumexp(spectrum.log_mean_squared, dim=0) - math.log(batch)
    means = [log.mean().item() / ln10 for log in (spectrum.log_max, spectrum.log_mean, spectrum.log_min)]
    return spectrum.lag, *map(_known, [*means, mean_squared.exp().item(), mean_squared.item() / ln10])


def _known(value: float) -> float | None:
    """None, an empty field, for what cannot be had because a state is nan."""
    return None if math.isnan(value) else value
