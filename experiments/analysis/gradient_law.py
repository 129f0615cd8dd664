"""What theory predicts for the loss's gradient in a run, read from its run.json.

run.json holds what `experiments.training.theory` predicts for each layer's own Jacobian. This applies to the gradient
only if all of it comes from the last timestep: a loss at each timestep adds a part of its own everywhere.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.store.files import Value
from experiments.store.studies import Run


def _theory(run: Run) -> dict[str, Any]:
    """Of a run with a loss at the last timestep only."""
    return (run.info.get("theory") or {}) if run.info.get("readout_steps") == 1 else {}


def _is_one_layer(run: Run) -> bool:
    return run.config.get("model.num_layers") == 1


def _gain(run: Run) -> Value:
    """The gradient's gain before training: of one layer, through which all of it passes."""
    gain: Value = _theory(run).get("gain")
    return gain if _is_one_layer(run) and not run.info.get("checkpoint") else None


def _state(run: Run) -> Value:
    state: Value = _theory(run).get("state")
    return state


def _sigmas(run: Run) -> Value:
    """The largest singular values that bound the gradient: of each layer's W_hh / of the W_ih between layers."""
    theory = _theory(run)
    recurrent, between = theory.get("recurrent"), theory.get("between", [])
    if recurrent is None and _is_one_layer(run) and not run.info.get("checkpoint"):  # as older runs have it
        recurrent = [theory.get("bound")]
    if not recurrent or None in recurrent:
        return None
    return "/".join(" ".join(map(str, sigmas)) for sigmas in (recurrent, between))


LAWS: dict[str, Callable[[Run], Value]] = {"state": _state, "gain": _gain, "sigmas": _sigmas}
"""The columns of gradients, behind `theory_`, that say what theory says of a run."""


def with_law(gradients: pd.DataFrame) -> pd.DataFrame:
    """The rows of layer 0, and at each run's first recorded step what follows from the norms at lag 0.

    `predicted` is grad_norm at lag 0 times gain^lag; `bound`, of the state h, is what `bounds` gives. Both are a run's
    own, so that the median of the bounds is above the median of the norms as well.

    Args:
        gradients: Rows of gradients.csv of several runs, with the columns of `LAWS`.
    """
    frame = gradients.sort_values("layer", kind="stable")
    ids, steps, lag, norm = (frame[name].to_numpy() for name in ("run_id", "step", "lag", "grad_norm"))
    first = steps == frame.groupby("run_id", observed=True)["step"].transform("min").to_numpy()
    layer, laws = frame["layer"].to_numpy(), {name: frame[f"theory_{name}"].to_numpy() for name in LAWS}
    predicted, bound = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    groups = frame.assign(run_id=ids, row=np.arange(len(frame)))[first].groupby(["run_id", "state"], observed=True)[
        "row"
    ]
    for (_, state), members in groups:
        rows = members.to_numpy()
        starts, rows = norm[rows[lag[rows] == 0]], rows[layer[rows] == 0]
        if not len(starts) or not len(rows):
            continue
        gain, sigmas = laws["gain"][rows[0]], laws["sigmas"][rows[0]]
        with np.errstate(over="ignore", under="ignore"):
            if state == laws["state"][rows[0]] and not pd.isna(gain):
                predicted[rows] = starts[0] * float(gain) ** lag[rows].astype(float)
        if state == "h" and not pd.isna(sigmas):
            recurrent, between = ([float(sigma) for sigma in part.split()] for part in str(sigmas).split("/"))
            bound[rows] = bounds(starts.tolist(), recurrent, between, int(lag[rows].max()))[lag[rows]]
    with_both: pd.DataFrame = frame.assign(predicted=predicted, bound=bound)[layer == 0].sort_index()
    return with_both


def bounds(starts: Sequence[float], recurrent: Sequence[float], between: Sequence[float], lags: int) -> np.ndarray:
    """Upper bounds of grad_norm of h in layer 0 at lags 0, 1, ..., for a loss at the last timestep only.

    Write d(l, t) for dL/dh of layer l at timestep t, and D for the diagonal matrix of slopes, none above 1. From
    h(l, t) = phi(W_ih(l) h(l-1, t) + W_hh(l) h(l, t-1) + b(l)) the chain rule gives, for t < T,

        d(l, t) = W_hh(l)^T D d(l, t+1) + W_ih(l+1)^T D d(l+1, t),

    the second term for all layers but the last. By the triangle inequality, with sigma the largest singular values,

        ||d(l, t)|| <= sigma_hh(l) ||d(l, t+1)|| + sigma_ih(l+1) ||d(l+1, t)||.

    The root mean square over a batch obeys it as well (Minkowski). With each norm on the right replaced by its bound,
    this is a recursion backwards in time from lag 0, within a timestep from the last layer down. For one layer the
    bound is sigma_hh^lag (Pascanu, Mikolov, Bengio 2013, sec. 2).

    Args:
        starts: grad_norm at lag 0, of each layer.
        recurrent: sigma_hh of each layer.
        between: sigma_ih of each layer but the first.
        lags: The largest lag.
    """
    norms = list(map(float, starts))
    bottom = [norms[0]]
    with np.errstate(over="ignore", under="ignore"):
        for _ in range(lags):
            above = 0.0
            for layer in reversed(range(len(norms))):
                norms[layer] = recurrent[layer] * norms[layer] + above
                above = between[layer - 1] * norms[layer] if layer else 0.0
            bottom.append(norms[0])
    return np.array(bottom)
