"""What theory predicts for the gradient of a run's loss, read from its run.json.

run.json holds what `experiments.training.theory` predicts for each layer's own Jacobian. The prediction applies to the
gradient only if the whole loss is at the last timestep: a loss at an earlier timestep adds its own part there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.store.files import Value
from experiments.store.studies import Run


def _theory(run: Run) -> dict[str, Any]:
    """The prediction in run.json; empty if the run has a loss at several timesteps, or its gradient was cut."""
    whole = run.info.get("readout_steps") == 1 and run.config.get("truncation") is None
    return (run.info.get("theory") or {}) if whole else {}


def _is_one_layer(run: Run) -> bool:
    return run.config.get("model.num_layers") == 1


def _gain(run: Run) -> Value:
    """The predicted gain of the gradient before training, for a single layer: the whole gradient passes through it."""
    gain: Value = _theory(run).get("gain")
    return gain if _is_one_layer(run) and not run.info.get("checkpoint") else None


def _state(run: Run) -> Value:
    state: Value = _theory(run).get("state")
    return state


def _sigmas(run: Run) -> Value:
    """The largest singular values that bound the gradient, as text: those of W_hh / those of W_ih between layers."""
    theory = _theory(run)
    recurrent, between = theory.get("recurrent"), theory.get("between", [])
    if recurrent is None and _is_one_layer(run) and not run.info.get("checkpoint"):  # older runs have only `bound`
        recurrent = [theory.get("bound")]
    if not recurrent or None in recurrent:
        return None
    return "/".join(" ".join(map(str, sigmas)) for sigmas in (recurrent, between))


LAWS: dict[str, Callable[[Run], Value]] = {"state": _state, "gain": _gain, "sigmas": _sigmas}
"""Columns with the prediction for each run; in the table of gradients their names start with `theory_`."""


def with_law(gradients: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of layer 0, and add predictions at each run's first recorded step.

    `predicted` is grad_norm at lag 0 times gain^lag. `bound` is the upper bound from `bounds`, for the state h. Both
    start from the run's own norm at lag 0, so the median of the bounds is above the median of the norms, too.

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
    """Compute upper bounds of grad_norm of h in layer 0 at lags 0, 1, ..., for a loss at the last timestep only.

    Let d(l, t) be dL/dh of layer l at timestep t, and D the diagonal matrix of slopes, none of them above 1. From
    h(l, t) = phi(W_ih(l) h(l-1, t) + W_hh(l) h(l, t-1) + b(l)) the chain rule gives, for t < T,

        d(l, t) = W_hh(l)^T D d(l, t+1) + W_ih(l+1)^T D d(l+1, t),

    where the last layer has no second term. By the triangle inequality, with sigma the largest singular values,

        ||d(l, t)|| <= sigma_hh(l) ||d(l, t+1)|| + sigma_ih(l+1) ||d(l+1, t)||.

    The root mean square over a batch obeys the same inequality (Minkowski). With each norm on the right replaced by its
    bound, this is a recursion: backwards in time from lag 0, and from the last layer down within a timestep. For one
    layer the bound is grad_norm at lag 0 times sigma_hh^lag (Pascanu, Mikolov, Bengio 2013, sec. 2).

    Args:
        starts: grad_norm at lag 0 of each layer.
        recurrent: sigma_hh of each layer.
        between: sigma_ih of each layer except the first.
        lags: Largest lag.

    Returns:
        The bound at each lag, of shape (lags + 1,).
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
