"""The CSV files of many runs as one table. Imports no torch."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.store.columns import WORDS, checked
from experiments.store.studies import Run

FORMAT: dict[str, Any] = {
    "low_memory": False,
    "skip_blank_lines": False,  # a blank line is damage, which `checked` reports
    "dtype": dict.fromkeys(WORDS, "category"),
}

MOST_BYTES = 2**23
"""As many are parsed at once: the text and the numbers of a large study would not fit beside each other."""


def read_tables(
    runs: Sequence[Run], name: str, columns: Mapping[str, Sequence[Any]] | None = None, *, ends: bool = False
) -> pd.DataFrame:
    """One table of many runs, one below the other; empty where no run has it.

    Args:
        runs: in the order of the rows.
        name: of the table.
        columns: further ones, each with one value a run; `run_id` is always there. Those of words are categories, which
            takes a tenth of the memory and of the time.
        ends: only the rows of each run's first and last step, which takes the less time the more was recorded.

    Raises:
        UsageError: a file that is not as `COLUMNS` says.
    """
    frames, rows = [], []
    for header, bodies in _texts(runs, name, ends):
        try:
            text = io.BytesIO(b"\n".join([header, b"".join(body for _, body in bodies)]))
            frame = checked(pd.read_csv(text, **FORMAT), name)
        except ValueError:
            for i, _ in bodies:
                runs[i].table(name)  # says which of them is damaged
            raise
        frames.append(frame)
        rows.append(np.repeat([i for i, _ in bodies], [body.count(b"\n") for _, body in bodies]))
    if not frames:
        return pd.DataFrame()
    for word in WORDS:
        known = dict.fromkeys(
            value for frame in frames if word in frame for value in frame[word].astype("category").cat.categories
        )
        for frame in frames:
            if word in frame:
                frame[word] = frame[word].astype(pd.CategoricalDtype(list(known)))
    whole = pd.concat(frames, ignore_index=True)
    of_run = np.concatenate(rows)
    further = {"run_id": [run.id for run in runs], **(columns or {})}
    return whole.assign(**{column: repeated(values, of_run) for column, values in further.items()})


def _texts(runs: Sequence[Run], name: str, ends: bool) -> Iterator[tuple[bytes, list[tuple[int, bytes]]]]:
    """The files that have rows, without an unfinished last one: a header, and under it the bodies by number of run."""
    header, size = b"", 0
    bodies: list[tuple[int, bytes]] = []
    for number, run in enumerate(runs):
        try:
            with open(f"{run.folder}/{name}.csv", "rb") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        first, _, body = text[: text.rfind(b"\n") + 1].partition(b"\n")
        if not body:
            continue
        if ends and first.startswith(b"step,") and b"\n\n" not in body:  # a blank line is left for `checked` to report
            body = _ends(body)
        if bodies and (first != header or size > MOST_BYTES):
            yield header, bodies
            bodies, size = [], 0
        header, size = first, size + len(body)
        bodies.append((number, body))
    if bodies:
        yield header, bodies


def _ends(body: bytes) -> bytes:
    """The rows of the first and of the last step, where a step's rows follow each other."""
    first = re.match(rb"[^,\n]*,", body)
    last = re.match(rb"[^,\n]*,", body[body.rfind(b"\n", 0, -1) + 1 :])
    if first is None or last is None or first[0] == last[0]:
        return body
    end = re.search(rb"\n(?!%s)" % re.escape(first[0]), body)
    return body[: end.end()] + body[max(end.end(), body.index(b"\n" + last[0]) + 1) :] if end else body


def repeated(values: Sequence[Any], rows: np.ndarray) -> Any:
    """The value of each row's run, where `rows` says the number of that run: words as categories."""
    column = pd.Series(values, dtype=object).infer_objects()
    if column.dtype != object and pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()[rows]
    few = pd.Categorical(column)
    return pd.Categorical.from_codes(few.codes[rows], dtype=few.dtype)
