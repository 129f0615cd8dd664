"""A CSV file as numbers: read with pandas, checked cell by cell, sorted by group, and split by time."""

import hashlib
import os
import re
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.errors import UsageError
from experiments.tasks.csv_checks import SEPARATORS, check_order, read_numbers, refuse_missing
from experiments.tasks.data_files import KEY


class Layout(NamedTuple):
    """How a CSV file is read, and which of its columns are what; the arguments of `Series` under the same names."""

    columns: tuple[str, ...] | None
    target: str | None
    label: str | None
    time: str | None
    group: str | None
    separator: str
    decimal: str
    encoding: str


class Table(NamedTuple):
    """The rows of a CSV file, sorted by group and in each group as in the file.

    Attributes:
        columns: Names of the input columns.
        inputs: Values of the input columns, (rows, columns).
        target: Values of the target column; None for a task with labels.
        labels: Labels as text; None for a task with a target.
        bounds: First row and end of each group; a single one for a file without groups.
        row_numbers: Number of each row in the file, from 1 below the header.
        sha256: Digest of the file.
    """

    columns: tuple[str, ...]
    inputs: NDArray[np.float64]
    target: NDArray[np.float64] | None
    labels: NDArray[np.object_] | None
    bounds: tuple[tuple[int, int], ...]
    row_numbers: NDArray[np.int64]
    sha256: str


@lru_cache(maxsize=2)
def read_table(path: str, layout: Layout, size: int, modified: int) -> Table:
    """Read and check a CSV file; again only if its size or modification time changes.

    Raises:
        UsageError: The file is no such table; the message names the row and the column.
    """
    frame = _read(path, layout)
    apart = [layout.label, layout.time, layout.group]
    columns = layout.columns or tuple(name for name in frame.columns if name not in apart)
    named = {"columns": columns, "target": [layout.target], "label": [layout.label], "time": [layout.time]}
    for key, names in {**named, "group": [layout.group]}.items():
        for name in names:
            if name is not None and name not in frame.columns:
                there = ", ".join(frame.columns)
                raise UsageError(
                    f"task.{key}={name}: {path} has no such column, but {there}{_hint(list(frame.columns))}"
                )
    if not len(frame):
        raise UsageError(f"{KEY}={path}: has a header, but no rows")
    wanted = dict.fromkeys(name for name in (*columns, layout.target) if name is not None)
    numbers = {
        name: read_numbers(path, name, frame, inputs=columns, decimal=layout.decimal, is_target=name == layout.target)
        for name in wanted
    }
    for name in apart:
        if name is not None:
            refuse_missing(path, name, frame[name].isna().to_numpy())
    rows, bounds = _sort_by_group(None if layout.group is None else frame[layout.group], len(frame))
    if layout.time is not None:
        check_order(path, layout.time, frame[layout.time], rows, bounds)
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Table(
        columns,
        np.stack([numbers[name] for name in columns], axis=1)[rows],
        None if layout.target is None else numbers[layout.target][rows],
        None if layout.label is None else frame[layout.label].astype(str).to_numpy(dtype=object)[rows],
        bounds,
        rows + 1,
        sha256,
    )


def _read(path: str, layout: Layout) -> Any:
    """The file as a DataFrame; what pandas cannot read is one line that says what to do."""
    import pandas as pd

    encoding = "utf-8-sig" if layout.encoding == "utf-8" else layout.encoding
    decimal = "," if layout.decimal == "comma" else "."
    try:
        with open(path, encoding=encoding) as file:
            header = file.readline()
        separator = SEPARATORS.get(layout.separator) or max(SEPARATORS.values(), key=header.count)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                decimal=decimal,
                encoding=encoding,
                index_col=False,
                low_memory=False,
                skipinitialspace=True,
                skip_blank_lines=False,
            )
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{error.object[error.start]:02x} is not {layout.encoding.upper()}"
        advice = "add task.encoding=cp949 or whichever the file has, or save it as UTF-8"
        raise UsageError(f"{KEY}={path}: {wrong}; {advice}") from None
    except LookupError:
        raise UsageError(f"task.encoding={layout.encoding}: there is no such encoding; try cp1252 or cp949") from None
    except pd.errors.EmptyDataError:
        raise UsageError(f"{KEY}={path}: has no header; the first line must name the columns") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        wrong = f"line {found[2]} has {found[3]} fields instead of {found[1]}" if found else str(error).splitlines()[0]
        raise UsageError(f"{KEY}={path}: {wrong}; separate all fields with {separator!r}") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    names = [name.strip().strip('"') for name in header.split(separator)]
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        hint = _hint(names) or "; rename one of them in the first line"
        raise UsageError(f"{KEY}={path}: two columns are called {twice}{hint}")
    return frame.iloc[: len(frame) - _blank_lines_at_the_end(path)]


def _blank_lines_at_the_end(path: str) -> int:
    """Number of empty lines after the last row; an empty line between rows is a row whose values are missing."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().splitlines()
    return next((number for number, line in enumerate(reversed(lines)) if line.strip()), len(lines))


def _hint(names: Sequence[str]) -> str:
    """What may be wrong with a file whose columns have these names; empty if nothing shows."""
    if len(names) == 1:
        known = ", ".join(SEPARATORS)
        return f"; if its fields are separated otherwise, give task.separator ({known}) or save it with commas"
    if any(re.fullmatch(r"[-+]?\d+[.,]?\d*([eE][-+]?\d+)?", name) for name in names):
        return "; if the first line is a row already, put a line with the names of the columns above it"
    return ""


def _sort_by_group(groups: Any, number: int) -> tuple[NDArray[np.int64], tuple[tuple[int, int], ...]]:
    """The order of the rows that keeps groups together, and the first row and end of each group in this order."""
    if groups is None:
        return np.arange(number), ((0, number),)
    codes = groups.factorize()[0]
    ends = np.bincount(codes).cumsum().tolist()
    return np.argsort(codes, kind="stable"), tuple(zip([0, *ends[:-1]], ends, strict=True))
