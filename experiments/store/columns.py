"""The CSV files of a run, and their columns in order; results/README.md says what they mean. Imports no torch."""

import math

import pandas as pd

COLUMNS = {
    "metrics": ("step", "loss", "grad_norm", "clipped_grad_norm", "clip_scale", "lr"),
    "evaluation": ("step", "loss", "error", "solved", "chance_loss", "chance_error", "samples"),
    "gradients": ("step", "layer", "state", "timestep", "lag", "grad_norm", "underflow"),
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

LATER = ("samples", "underflow")
"""The columns that were added: files of before have them not."""


def checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table that was read, held against what its file has to be; columns that were added later are empty in it.

    Raises:
        ValueError: A row is blank, a column is missing, or a number is a word.
    """
    if len(table) and (blank := table.iloc[:, 0].isna()).any():
        raise ValueError(f"row {int(blank.argmax()) + 1} is blank")
    for column in COLUMNS.get(name, ()):
        if column not in table:
            if column not in LATER:
                raise ValueError(f"it has no column {column}")
            table = table.assign(**{column: math.nan})
    for column in map(str, table):
        if column not in WORDS and not pd.api.types.is_numeric_dtype(table[column]):
            wrong = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
            if wrong.any():
                raise ValueError(f"{column} is {table[column][wrong].iloc[0]} in row {int(wrong.argmax()) + 1}")
    return table
