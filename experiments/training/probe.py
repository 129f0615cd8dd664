"""The probe: measure the gradients and Jacobians of a network without training it."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from experiments.clipping import total_norm
from experiments.config.composing import from_saved
from experiments.config.identity import probe_id
from experiments.config.parts import Parts
from experiments.config.schema import Config
from experiments.errors import UsageError
from experiments.store.csv_writer import RunWriter
from experiments.tasks.task import Batch
from experiments.training.backpropagation import backpropagate
from experiments.training.checkpoint import Checkpoint
from experiments.training.execution import Result, execute_run
from experiments.training.overflow import Overflow, find_overflow, gradients_of, infinite_where_unknown
from experiments.training.run import NETWORK, open_tables, windows_of
from experiments.training.seeding import generator_of
from models import padding
from models.cell import Cell, InputSequence
from models.jacobian import Spectrum, analyze, backward_step_jacobians
from models.padding import Starts
from models.recursion import Unrolled


def probe(config: Config, *, checkpoint: Path | None = None) -> Result:
    """Probe one network, at its initialisation or as a training run left it; see `execute_run`.

    The probe computes in float64, on the first batches that training would draw. It writes metrics.csv (one row per
    batch, without updates), the measures of the first batch, jacobian.csv and lyapunov.csv.

    Args:
        config: Configuration of the network and the task.
        checkpoint: Folder of a trained run whose parameters to use; None to probe the network at its initialisation.

    Raises:
        UsageError: The checkpoint cannot be read, the configuration cannot be built, or the folder is not writable.
    """
    trained = None if checkpoint is None else _load(checkpoint)

    def compute(parts: Parts, files: RunWriter, _: Checkpoint | None) -> dict[str, Any]:
        parts.network.double()
        batch, overflow = _probe_gradients(config, parts, files)
        _probe_jacobians(config, parts, files, batch)
        return {
            "kind": "probe",
            "checkpoint": None if checkpoint is None else checkpoint.name,
            "overflow": overflow and overflow._asdict(),
        }

    return execute_run(config, probe_folder(config, trained=checkpoint is not None), compute, trained=trained)


def probe_folder(config: Config, *, trained: bool = False) -> Path:
    """The folder of a probe, beside the training run of the same configuration."""
    name = f"probe-{'trained-' if trained else ''}"
    earlier = config.run_folder.with_name(name + probe_id(config, earlier=True))
    return earlier if earlier.is_dir() else earlier.with_name(name + probe_id(config))


def config_of_checkpoint(run: Path) -> Config:
    """The configuration of a trained run.

    Args:
        run: Folder of the run.

    Raises:
        UsageError: The folder contains no trained network, or its configuration is missing or damaged.
    """
    if not (run / NETWORK).is_file():
        raise UsageError(f"--checkpoint {run}: contains no {NETWORK}; pass the folder that `bptt run` printed")
    try:
        values = yaml.safe_load((run / ".hydra" / "config.yaml").read_text(encoding="utf-8"))
        return from_saved(values)
    except (FileNotFoundError, TypeError, yaml.YAMLError):
        raise UsageError(f"--checkpoint {run}: its .hydra/config.yaml is missing or damaged") from None


def _load(run: Path) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = torch.load(run / NETWORK, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types for a damaged file
        raise UsageError(f"--checkpoint {run}: its {NETWORK} is damaged ({type(error).__name__})") from None
    return state


def _probe_gradients(config: Config, parts: Parts, files: RunWriter) -> tuple[Batch, Overflow | None]:
    """Record loss and gradient norm of some batches without updates, and the measures of the first batch.

    Returns:
        The first batch, and where the gradient overflowed float64 in the first batch in which it did.
    """
    network, task = parts.network, parts.task
    generator = generator_of(config.seed, "training")
    metrics = files.table("metrics")
    first, overflow = None, None
    for number in range(1, config.probe.batches + 1):
        batch = task.draw(config.batch_size, generator).to(torch.device(config.device), torch.float64)
        windows = windows_of(config, task) if first is None else None
        loss, _, trace = backpropagate(network, task, batch, windows=windows)
        norm = total_norm(gradients_of(network))
        if math.isfinite(loss) and not math.isfinite(norm) and (found := find_overflow(network, task, batch)):
            overflow = overflow or found
            trace = backpropagate(network, task, batch, windows=windows, overflowed=True).trace
            infinite_where_unknown(network)
            norm = math.inf
        metrics.append([(number, loss, norm, *[None] * (len(metrics.columns) - 3))])
        if trace is not None:
            first = batch
            for measure, table in open_tables(parts.measures, files).items():
                table.append(measure.before_update(number, network, trace))
                table.append(measure.after_update(number, network))
    assert first is not None
    return first, overflow


def _probe_jacobians(config: Config, parts: Parts, files: RunWriter, batch: Batch) -> None:
    """Record the spectrum of ds_T/ds_t at the end of each window, and the Lyapunov exponents, for each layer.

    They are those of the timesteps that all samples have. With padding, the first of these is left out.
    """
    samples = config.probe.samples
    inputs, starts = batch.inputs[:, :samples], None if batch.starts is None else batch.starts[:samples]
    length, left_out = len(inputs), 0 if starts is None else int(starts.max()) + 1
    groups = torch.arange(inputs.shape[1]).tensor_split(min(config.threads, inputs.shape[1]))
    lags = {length - last for _, last in windows_of(config, parts.task)}
    jacobian, lyapunov = files.table("jacobian"), files.table("lyapunov")
    for layer, cell in enumerate(parts.network.cells):
        unrolled = [_unroll(cell, inputs[:, group], None if starts is None else starts[group]) for group in groups]
        spectra, exponents = _analyze(unrolled, length - left_out, lags, transient=length // 10)
        jacobian.append((layer, length - spectrum.lag, *_spectrum_row(spectrum)) for spectrum in spectra)
        means = exponents.mean(dim=0).tolist()  # -inf if the direction collapsed in any sample
        lyapunov.append((layer, index, _known(exponent)) for index, exponent in enumerate(means, start=1))
        inputs = torch.cat([one.states["h"][1:] for one in unrolled], dim=1)


def _unroll(cell: Cell, x: InputSequence, starts: Starts | None) -> Unrolled:
    state, windows = cell.initial_state(x.shape[1]), [(1, len(x))]
    return cell.unroll(x, state, windows) if starts is None else padding.unroll(cell, x, state, windows, None, starts)


def _analyze(
    groups: Sequence[Unrolled], timesteps: int, lags: set[int], transient: int
) -> tuple[list[Spectrum], Float[Tensor, "batch state"]]:
    """`analyze` for the last timesteps of groups of samples.

    Each group has a thread of its own, because LAPACK takes one matrix after the other.
    """

    def one(unrolled: Unrolled) -> tuple[list[Spectrum], Tensor]:
        return analyze(islice(backward_step_jacobians(unrolled), timesteps), lags, transient)

    with ThreadPoolExecutor(len(groups), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        spectra, exponents = zip(*pool.map(one, groups), strict=True)
    return [Spectrum.of_all(of_groups) for of_groups in zip(*spectra, strict=True)], torch.cat(exponents)


def _spectrum_row(spectrum: Spectrum) -> tuple[int | float | None, ...]:
    """The lag and the statistics of the spectrum. The mean square is a number, which may overflow, and a logarithm."""
    ln10 = math.log(10)
    batch = len(spectrum.log_mean_squared)
    mean_squared = torch.logsumexp(spectrum.log_mean_squared, dim=0) - math.log(batch)
    means = [log.mean().item() / ln10 for log in (spectrum.log_max, spectrum.log_mean, spectrum.log_min)]
    return spectrum.lag, *map(_known, [*means, mean_squared.exp().item(), mean_squared.item() / ln10])


def _known(value: float) -> float | None:
    """The value, or None (an empty field) if it is nan because a state is nan."""
    return None if math.isnan(value) else value
