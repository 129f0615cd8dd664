"""truncation.csv: how far the gradient is from the whole one if backpropagation is cut after K timesteps."""

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from experiments.measures.measure import Measure, Row
from models.contributions import Bounds, Contribution
from models.network import RecurrentNetwork
from models.norms import l2_norm
from models.trace import Trace

Gradients = Mapping[str, Tensor]
"""The gradient of each parameter of the layers, by its name, in float64."""


class Truncation(Measure):
    """The gradient g_K that `truncation=K` gives at the same weights on the same batch, beside the whole gradient g.

    distance = ||g_K - g|| / ||g||, and cosine is that of the angle between them. One row for each parameter of the
    layers, and one named `layers` for all of them together. K are the distances from the starts of the windows to the
    end of the sequence, and the training's own `truncation`. g is that of the loss alone, without a penalty. There are
    no rows if g is 0 or not finite.

    If all losses are in the last K timesteps, g - g_K is the sum of the parts of all earlier timesteps, exactly; these
    sums take one pass over the parts. For every other K, the layers are unrolled and backpropagated once more.
    """

    columns = ("step", "parameter", "truncation", "grad_norm", "distance", "cosine")
    words = ("parameter",)

    @torch.no_grad()
    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        length, own = trace.ends[-1], network.truncation
        is_cut = own is not None and own < length
        trained = {name: one for layer in trace.layers for name, one in layer.contributions.items()}
        contributions = trace.with_truncation(None) if is_cut else trained
        if not contributions:
            return
        whole = {name: one.total().double() for name, one in contributions.items()}
        losses = network.readout_steps or length
        rows = {k: list(compare(whole, before)) for k, before in _before_each(contributions, trace.windows, losses)}
        for truncation in (length - first + 1 for first, _ in trace.windows):
            if truncation < losses and (cut := trace.with_truncation(truncation)):
                rows[truncation] = list(compare(whole, difference(whole, cut)))
        if is_cut and own is not None:
            rows[own] = list(compare(whole, difference(whole, trained)))
        for truncation, compared in sorted(rows.items()):
            for name, numbers in compared:
                yield step, name, truncation, *numbers


def _before_each(
    contributions: Mapping[str, Contribution], windows: Bounds, losses: int
) -> Iterator[tuple[int, Gradients]]:
    """Yield what a cut before each window leaves out: the sum of all earlier parts.

    Args:
        contributions: Parts of each parameter's gradient.
        windows: Windows of timesteps.
        losses: Number of timesteps with a loss, at the end of the sequence. A cut among them is left out.

    Yields:
        Number of timesteps from the start of the window to the end of the sequence, and the sums.
    """
    length = windows[-1][1]
    parts = {name: one.parts(windows) for name, one in contributions.items()}
    before = {name: torch.zeros_like(one.total(), dtype=torch.float64) for name, one in contributions.items()}
    for first, _ in windows:
        if length - first + 1 < losses:
            return
        yield length - first + 1, before
        before = {name: so_far + next(parts[name]).double() for name, so_far in before.items()}


def difference(whole: Gradients, cut: Mapping[str, Contribution]) -> Gradients:
    """What the gradient lacks if it is cut. A parameter that it does not reach has a gradient of 0."""
    return {name: one - cut[name].total().double() if name in cut else one for name, one in whole.items()}


def compare(whole: Gradients, lost: Gradients) -> Iterable[tuple[str, tuple[float, float, float | None]]]:
    """Norm, distance and cosine of whole - lost for each parameter, and for all together."""
    left = {name: one - lost[name] for name, one in whole.items()}
    norms = {name: [float(l2_norm(of[name])) for of in (whole, lost, left)] for name in whole}
    for name, names in [*((name, [name]) for name in whole), ("layers", list(whole))]:
        size, lost_size, cut_size = (math.hypot(*of) for of in zip(*(norms[one] for one in names), strict=True))
        if not 0 < size < math.inf or not math.isfinite(lost_size):
            continue
        cosine = None
        if cut_size:
            cosine = sum(float((whole[one] / size * (left[one] / cut_size)).sum()) for one in names)
        yield name, (cut_size, lost_size / size, cosine)
