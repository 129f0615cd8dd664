"""Checks of the columns of a CSV file: numbers, missing values, and times that do not go back."""

import re
import shlex
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.errors import UsageError
from experiments.tasks.data_files import KEY

LARGEST = 1e15
"""A size that no number of a column reaches: squares of larger ones would leave the range of float32."""

PLAIN_NAME = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z_]\w*", re.ASCII)
"""Matches the names that need no quotes in a list on the command line."""

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


def read_numbers(
    path: str, name: str, frame: Any, *, inputs: Sequence[str], decimal: str, is_target: bool
) -> NDArray[np.float64]:
    """The values of a column, all of them finite numbers.

    Args:
        path: Path of the file.
        name: Name of the column.
        frame: The file as pandas read it.
        inputs: Names of the input columns.
        decimal: Sign before the decimals, point or comma.
        is_target: Whether the column is the one to forecast.

    Raises:
        UsageError: A value is missing, too large or no number.
    """
    import pandas as pd

    column = frame[name]
    values: NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    refuse_missing(path, name, column.isna().to_numpy())
    for row in np.flatnonzero(~(np.abs(values) < LARGEST)):
        found = str(column.iloc[row])
        if not np.isnan(values[row]):
            raise UsageError(
                f"{KEY}={path}: row {row + 1}, column {name}: {found} is too large; it must be below {LARGEST:g}"
            )
        if re.fullmatch(r"\s*[-+]?\d*,\d+\s*", found) and decimal == "point":
            advice = "if it has a decimal comma, add task.decimal=comma"
        elif any(separator in found for separator in SEPARATORS.values()):
            advice = "does the file mix separators? Add task.separator or correct the row"
        elif is_target and np.isnan(values).mean() > 0.5:
            advice = f"to tell classes apart, give task.label={name} in place of task.target={name}"
        else:
            others = [] if is_target else [one for one in inputs if one != name and _has_numbers(frame[one])]
            advice = f"correct it, or leave the column out: {columns_option(others)}" if others else "correct it"
        raise UsageError(f"{KEY}={path}: row {row + 1}, column {name}: {found!r} is not a number; {advice}")
    return values


def _has_numbers(column: Any) -> bool:
    """Whether all values of a column are numbers that a task reads."""
    import pandas as pd

    values: NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    return bool((np.abs(values) < LARGEST).all())


def columns_option(names: Sequence[str]) -> str:
    """The option that names the input columns, quoted for a shell: 'task.columns=[flow,"flow rate"]'."""
    words = [name if PLAIN_NAME.fullmatch(name) else f'"{name}"' for name in names]
    return shlex.quote(f"task.columns=[{','.join(words)}]")


def refuse_missing(path: str, name: str, missing: NDArray[np.bool_]) -> None:
    """Refuse a column with missing values."""
    if missing.any():
        more = f" (one of {missing.sum():,} missing values in this column)" if missing.sum() > 1 else ""
        raise UsageError(
            f"{KEY}={path}: row {missing.argmax() + 1}, column {name}: the value is missing{more}; fill it in or "
            "delete the row"
        )


def check_order(path: str, name: str, column: Any, rows: NDArray[np.int64], bounds: Sequence[tuple[int, int]]) -> None:
    """Refuse times that are none, and rows of a group that go back in time."""
    times = _times(path, name, column)
    for start, end in bounds:
        inside = times[rows[start:end]]
        back = np.flatnonzero(inside[1:] < inside[:-1])
        if len(back):
            earlier, later = rows[start + back[0]], rows[start + back[0] + 1]
            raise UsageError(
                f"{KEY}={path}: row {later + 1}, column {name}: {column.iloc[later]} is before {column.iloc[earlier]} "
                f"in row {earlier + 1}; sort the rows by time"
            )


def _times(path: str, name: str, column: Any) -> NDArray[Any]:
    """A column as times. Days come before months, as in 31.01.2024, only if no other reading is possible."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column)
    for day_first in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pandas warns where it has to guess the format
                return np.asarray(pd.to_datetime(column, dayfirst=day_first))
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split()).partition(". ")[0]
    raise UsageError(f"{KEY}={path}: task.time={name}: pandas cannot read it as time ({reason})")
