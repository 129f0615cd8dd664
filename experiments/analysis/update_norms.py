"""The sizes of the recorded updates of all parameters together, and the finding on them."""

import numpy as np
import pandas as pd

from experiments.store.studies import Run
from experiments.wording import percent


def update_norms(run: Run) -> pd.DataFrame:
    """The norms of the recorded updates and of the weights before them, of all parameters together.

    Returns:
        A row for each recorded step, with the step as index: `update_norm` and `weight_norm`. It is empty if nothing
        was recorded, and for a probe. The step at which a run diverged made no update and has no row.
    """
    parameters = run.table("parameters")
    if parameters.empty or run.is_probe:
        return pd.DataFrame(columns=["update_norm", "weight_norm"])
    whole = parameters[~parameters["parameter"].str.contains("[", regex=False)]  # a gate's block is part of a parameter
    whole = whole[whole["step"] != run.info.get("diverged_at_step")]
    squares: pd.DataFrame = whole[["update_norm", "weight_norm"]].astype(float) ** 2
    norms: pd.DataFrame = squares.groupby(whole["step"]).sum() ** 0.5
    return norms


def describe_updates(run: Run) -> str:
    """Describe the sizes of the recorded updates relative to the norm of the weights; empty if none is known."""
    norms = update_norms(run)
    sizes = (norms["update_norm"] / norms["weight_norm"]).astype(float)
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]  # a skipped step makes no update
    if sizes.empty:
        return ""
    largest = f"{percent(sizes.max())} of the weights' norm at step {sizes.idxmax()}"
    if len(sizes) == 1:
        return f"update: {largest}"
    return f"updates: median {percent(sizes.median())}, largest {largest} ({len(sizes)} recorded)"
