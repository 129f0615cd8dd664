"""The columns of a run's CSV files, and the check that a table that was read has them.

results/README.md explains what each column means.
"""

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
        "clip_share",
    ),
    "evaluation": ("step", "loss", "error", "solved", "chance_loss", "chance_error", "samples"),
    "jacobian": (
        *("layer", "timestep", "lag", "log10_sv_max", "log10_sv_mean", "log10_sv_min"),
        *("mean_squared_sv", "log10_mean_squared_sv"),
    ),
    "lyapunov": ("layer", "index", "exponent"),
    "data_lags": ("lag", "column", "dependence", "bound", "rows"),
    **{name: columns_of(path).names for name, path in measures().items()},
}
"""The columns of each table, in order. A run may have further tables, from a measure of the user's own."""

TEXT_COLUMNS = tuple(
    dict.fromkeys(["column", *(word for path in measures().values() for word in columns_of(path).words)])
)
"""The columns of `COLUMNS` that hold words; all others hold numbers."""

ADDED_LATER = (
    *("samples", "underflow", "clip_threshold", "clip_cosine", "penalty", "clip_share", "grad_norm_direct"),
    *("marked", "mean_marked", "mean_unmarked"),
)
"""Columns added later; older files lack them."""


def check_table(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Check a table that was read from NAME.csv, and add the columns that an older file lacks, filled with nan.

    A table that is not in `COLUMNS` may hold anything; it is returned as it is.

    Args:
        table: Content of the file.
        name: Name of the table, such as "gradients".

    Raises:
        ValueError: A row is blank, a column is missing, or a column of numbers has a word in it.
    """
    if name not in COLUMNS:
        return table
    if len(table) and (blank := table.iloc[:, 0].isna()).any():
        raise ValueError(f"row {int(blank.argmax()) + 1} is blank")
    for column in COLUMNS[name]:
        if column not in table:
            if column not in ADDED_LATER:
                raise ValueError(f"it has no column {column}")
            table = table.assign(**{column: math.nan})
    for column in map(str, table):
        if column not in TEXT_COLUMNS and not pd.api.types.is_numeric_dtype(table[column]):
            wrong = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
            if wrong.any():
                raise ValueError(f"{column} is {table[column][wrong].iloc[0]} in row {int(wrong.argmax()) + 1}")
    return table
