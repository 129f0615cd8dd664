"""Reading one CSV file of many runs into a single table."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from experiments.store.csv_columns import COLUMNS, TEXT_COLUMNS, check_table
from experiments.store.files import complete_lines
from experiments.store.studies import Run

FORMAT: dict[str, Any] = {
    "low_memory": False,
    "skip_blank_lines": False,  # a blank line is damage, which `check_table` reports
    "dtype": dict.fromkeys(TEXT_COLUMNS, "category"),
}

MAX_BYTES = 2**23
"""Bytes of text that are parsed at once: the text and the numbers of a large study together do not fit in memory."""


def read_combined_table(
    runs: Sequence[Run], name: str, columns: Mapping[str, Sequence[Any]] | None = None, *, ends: bool = False
) -> pd.DataFrame:
    """Read NAME.csv of many runs into one table, run after run; it is empty if no run has the file.

    The table may be one of `COLUMNS`, or come from a measure of the user's own: then its header says what its columns
    are. Columns of words become categories, which take a tenth of the memory and time. The column `run_id` is added.

    Args:
        runs: Runs to read, in the order of the rows.
        name: Name of the table, such as "gradients".
        columns: Further columns to add, each with one value per run.
        ends: Whether to read only the rows of each run's first and last step; this is faster the more was recorded.

    Raises:
        UsageError: A file is not a valid table of this name.
    """
    frames, rows = [], []
    for header, bodies in _read_in_parts(runs, name, ends):
        try:
            text = io.BytesIO(b"\n".join([header, b"".join(body for _, body in bodies)]))
            frame = check_table(pd.read_csv(text, **FORMAT), name)
        except ValueError:
            for i, _ in bodies:
                runs[i].table(name)  # raises an error that names the damaged file
            raise
        frames.append(frame)
        rows.append(np.repeat([i for i, _ in bodies], [body.count(b"\n") for _, body in bodies]))
    if not frames:
        return pd.DataFrame()
    for column in _text_columns(frames, name):
        with_column = [frame for frame in frames if column in frame]
        values = chain.from_iterable(frame[column].astype("category").cat.categories for frame in with_column)
        known = pd.CategoricalDtype(list(dict.fromkeys(values)))
        for frame in with_column:
            frame[column] = frame[column].astype(known)
    whole = pd.concat(frames, ignore_index=True)
    run_of_row = np.concatenate(rows)
    further = {"run_id": [run.id for run in runs], **(columns or {})}
    return whole.assign(**{column: repeat_per_row(values, run_of_row) for column, values in further.items()})


def _text_columns(frames: Sequence[pd.DataFrame], name: str) -> list[str]:
    """The columns that hold words in at least one of the frames."""
    if name in COLUMNS:
        return [column for column in TEXT_COLUMNS if column in COLUMNS[name]]
    return [
        column
        for column in dict.fromkeys(map(str, chain.from_iterable(frames)))
        if any(column in frame and _is_text(frame[column]) for frame in frames)
    ]


def _is_text(column: "pd.Series[Any]") -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) or bool(pd.api.types.is_string_dtype(column))


def _read_in_parts(runs: Sequence[Run], name: str, ends: bool) -> Iterator[tuple[bytes, list[tuple[int, bytes]]]]:
    """Read the files that have rows, in parts of about `MAX_BYTES` that share a header.

    Yields:
        The header, and for each run in this part its index and its rows.
    """
    header, size = b"", 0
    bodies: list[tuple[int, bytes]] = []
    for number, run in enumerate(runs):
        try:
            with open(f"{run.folder}/{name}.csv", "rb") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        first, _, body = complete_lines(text).partition(b"\n")
        if not body:
            continue
        if ends and first.startswith(b"step,") and b"\n\n" not in body:  # `check_table` reports a blank line
            body = _first_and_last_step(body)
        if bodies and (first != header or size > MAX_BYTES):
            yield header, bodies
            bodies, size = [], 0
        header, size = first, size + len(body)
        bodies.append((number, body))
    if bodies:
        yield header, bodies


def _first_and_last_step(body: bytes) -> bytes:
    """Keep the rows of the first and of the last step; the rows of one step have to follow each other."""
    first = re.match(rb"[^,\n]*,", body)
    last = re.match(rb"[^,\n]*,", body[body.rfind(b"\n", 0, -1) + 1 :])
    if first is None or last is None or first[0] == last[0]:
        return body
    end = re.search(rb"\n(?!%s)" % re.escape(first[0]), body)
    return body[: end.end()] + body[max(end.end(), body.index(b"\n" + last[0]) + 1) :] if end else body


def repeat_per_row(values: Sequence[Any], run_of_row: np.ndarray) -> Any:
    """Give each row the value of its run; words become categories.

    Args:
        values: One value per run.
        run_of_row: Index of the run that each row belongs to.
    """
    column = pd.Series(values, dtype=object).infer_objects()
    if column.dtype != object and pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()[run_of_row]
    categories = pd.Categorical(column)
    return pd.Categorical.from_codes(categories.codes[run_of_row], dtype=categories.dtype)
