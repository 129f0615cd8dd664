"""The CSV files of a run, and their columns in order; results/README.md says what they mean. Imports no torch."""

import math

import pandas as pd

from experiments.catalogue.measures import columns_of, measures

COLUMNS = {
    "metrics": (
        "step",
        "loss",
        "grad_norm",
        "clipped_grad_norm",
        "clip_scale",
        "lr",
        "clip_threshold",
        "clip_cosine",
        "penalty",
    ),
    "evaluation": ("step", "loss", "error", "solved", "chance_loss", "chance_error", "samples"),
    "jacobian": (
        *("layer", "timestep", "lag", "log10_sv_max", "log10_sv_mean", "log10_sv_min"),
        *("mean_squared_sv", "log10_mean_squared_sv"),
    ),
    "lyapunov": ("layer", "index", "exponent"),
    **{name: columns_of(path).names for name, path in measures().items()},
}

WORDS = tuple(dict.fromkeys(word for path in measures().values() for word in columns_of(path).words))
"""The columns of words; all others are of numbers."""

LATER = ("samples", "underflow", "clip_threshold", "clip_cosine", "penalty")
"""Columns added later; older files lack them."""


def checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table that was read, held against what its file has to be; columns that were added later are empty in it.

    Raises:
        ValueError: A row is blank, a column is missing, or a number is a word.
    """
    if len(table) and (blank := table.iloc[:, 0].isna()).any():
        raise ValueError(f"row {int(blank.argmax()) + 1} is blank")
    for column in COLUMNS[name]:
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
