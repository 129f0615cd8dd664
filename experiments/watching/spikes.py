"""spikes.csv of a watched loop: the gradient norm of every step is judged, and a batch that is a spike is traced."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from experiments.measures.measure import Row
from experiments.measures.parameters import parts_of
from experiments.measures.spikes import BATCHES, Spikes
from experiments.spike_detector import Spike, SpikeDetector
from experiments.store.files import write_whole
from experiments.watching.calls import Call
from experiments.watching.readings import Reading
from experiments.watching.trace import OneLayer, WatchedTrace
from models.norms import l2_norm
from models.origin import find_origin
from models.trace import cut

COLUMNS = Spikes.columns


class WatchedSpikes:
    """Judges the gradient norm of every step.

    Of steps in a row whose norms are not finite, only the first is a spike: after it, every step of most trainings is.

    Args:
        limit: See `SpikeDetector`.
    """

    def __init__(self, limit: float) -> None:
        self._detector = SpikeDetector(limit)
        self._was_finite = True

    def judge(self, norm: float) -> Spike | None:
        """Judge the norm of the next step; None if it is no spike."""
        spike = self._detector.judge(norm)
        goes_on = not math.isfinite(norm) and not self._was_finite
        self._was_finite = math.isfinite(norm)
        return None if goes_on else spike

    def is_spike(self, norm: float) -> bool:
        """Whether a norm would be a spike, which then does not count."""
        return self._detector.is_spike(norm) and (math.isfinite(norm) or self._was_finite)


def named_parameters(model: nn.Module, trained: Sequence[Tensor]) -> dict[str, Tensor]:
    """The parameters that a norm is taken of, by name: those of the model, and others that the optimizer updates."""
    named: dict[str, Tensor] = dict(model.named_parameters())
    known = set(named.values())
    for number, one in enumerate(trained):
        if one not in known:
            size = " x ".join(map(str, one.shape))
            named[f"parameter {number} of the optimizer ({size or 1})"] = one
    return named


def trace_spike(step: int, spike: Spike, parameters: Mapping[str, Tensor], readings: Mapping[int, Reading]) -> Row:
    """The row of a spike in spikes.csv.

    If the gradient is not finite, but in no timestep, the row names a parameter whose gradient is not, without a share.
    The layers that are traced together have as many timesteps and sequences as the one with the largest gradient.

    Args:
        step: Number of the step.
        spike: The spike.
        parameters: See `named_parameters`.
        readings: What each layer read, by its number, as far as they were seen. Its windows are single timesteps.
    """
    if not readings:
        return (step, *spike, *(None,) * 7)
    largest = max(readings.values(), key=_size)
    together = {number: one for number, one in readings.items() if _shape(one) == _shape(largest)}
    gradients = _gradients(parameters, readings, together)
    trace = WatchedTrace(together, cut(largest.timesteps, largest.timesteps))
    origin = find_origin(trace, gradients, spike.limit)
    if not math.isfinite(spike.norm) and origin.timestep is None:
        origin = origin._replace(parameter=_lost_parameter(gradients))
    layer = None if origin.layer is None else list(together)[origin.layer]
    return (step, *spike, *origin._replace(layer=layer))


def save_spike(
    folder: Path, step: int, model: nn.Module, calls: Sequence[Call], names: Mapping[nn.Module, str]
) -> None:
    """Save what the watched layers read in a step, and the weights, to spikes/STEP.pt in the run's folder.

    Args:
        folder: Folder of the run.
        step: Number of the step.
        model: Model that is trained.
        calls: Calls of the layers.
        names: Name of each layer in the model.
    """
    read = [
        {"layer": names[one.module], "input": _detached(one.input), "state": _detached(one.before)} for one in calls
    ]
    buffer = io.BytesIO()
    torch.save({"calls": read, "model": model.state_dict()}, buffer)
    (folder / BATCHES).mkdir(exist_ok=True)
    write_whole(folder / BATCHES / f"{step}.pt", buffer.getvalue())


def _detached(value: Any) -> Any:
    if isinstance(value, PackedSequence):
        return value._replace(data=value.data.detach())
    return tuple(one.detach() for one in value) if isinstance(value, tuple) else value.detach()


def _shape(reading: Reading) -> tuple[int, int]:
    return reading.timesteps, len(reading.lengths)


def _size(reading: Reading) -> float:
    """The norm of the gradient of a layer's parameters; infinite if it is not finite."""
    norm = math.hypot(*(float(l2_norm(one.grad)) for one in reading.cell.parameters() if one.grad is not None))
    return norm if math.isfinite(norm) else math.inf


def _lost_parameter(gradients: Mapping[str, Tensor]) -> str | None:
    """The parameter whose gradient is not finite, if that is not so from some timestep on; None if all are finite.

    Of several, it is the last one outside the layers, which are nearer to the loss.
    """
    lost = [name for name, one in gradients.items() if "[" not in name and not bool(one.isfinite().all())]
    outside = [name for name in lost if not name.startswith("layers.")]
    return outside[-1] if outside else lost[0] if lost else None


def _gradients(
    parameters: Mapping[str, Tensor], readings: Mapping[int, Reading], together: Mapping[int, Reading]
) -> dict[str, Tensor]:
    """The gradients of `find_origin`: those of the layers that are traced together, and of what is in no layer."""
    in_layers = {one for reading in readings.values() for one in reading.cell.parameters()}
    gradients = {name: one.grad for name, one in parameters.items() if one.grad is not None and one not in in_layers}
    for number, reading in together.items():
        network: Any = OneLayer(reading)
        gradients |= {
            f"layers.{number}.{part.name.removeprefix('layers.0.')}": part.gradient
            for part in parts_of(network)
            if part.parameter.grad is not None
        }
    return gradients
