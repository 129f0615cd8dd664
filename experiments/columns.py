"""The CSV files of a run, and their columns in order; results/README.md says what they mean. Imports no torch."""

import pandas as pd

COLUMNS = {
    "metrics": ("step", "loss", "grad_norm", "clipped_grad_norm", "clip_scale", "lr"),
    "evaluation": ("step", "loss", "error", "solved", "chance_loss", "chance_error", "samples"),
    "gradients": ("step", "layer", "state", "timestep", "lag", "grad_norm"),
    "contributions": ("step", "parameter", "first_timestep", "last_timestep", "grad_norm", "share"),
    "parameters": ("step", "parameter", "grad_norm", "weight_norm", "update_norm", "spectral_radius", "sigma_max"),
    "gates": ("step", "layer", "gate", "timestep", "mean", "std", "saturated_low", "saturated_high"),
    "jacobian": (
        *("layer", "timestep", "lag", "log10_sv_max", "log10_sv_mean", "log10_sv_min"),
        *("mean_squared_sv", "log10_mean_squared_sv"),
    ),
    "lyapunov": ("layer", "index", "exponent"),
}

WORDS = ("state", "parameter", "gate")
"""The columns of words; all others are of numbers."""


def check(table: pd.DataFrame, name: str) -> None:
    """Hold a table that was read against what its file has to be.

    Raises:
        ValueError: a column is missing, or has a word for a number.
    """
    for column in COLUMNS[name]:
        if column not in table:
            raise ValueError(f"it has no column {column}")
        if column not in WORDS and not pd.api.types.is_numeric_dtype(table[column]):
            known = pd.to_numeric(table[column], errors="coerce").notna() | table[column].isna()
            raise ValueError(f"{column} is {table[column][~known].iloc[0]} in row {int((~known).argmax()) + 1}")
