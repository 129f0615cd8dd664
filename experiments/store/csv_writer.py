"""Writing a run's CSV files row by row while the run is trained."""

import io
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pandas as pd

from experiments.store.csv_columns import COLUMNS
from experiments.store.files import Value, to_csv


class CsvWriter:
    """A CSV file that grows while a run is trained.

    The file is created with its first rows. Rows are held back for up to `flush_seconds` and then appended in one
    write. If the disk takes only part of a write, the file is cut back to its last complete row before the error is
    raised. None is written as an empty field, a float as its shortest exact decimal, and non-finite numbers as inf,
    -inf and nan.

    Args:
        path: Path of the file.
        columns: Names of the columns, in the order of a row's values.
        mirror: Receiver of the same rows, such as TensorBoard.
        flush_seconds: Longest time for which rows are held back.
        kept: Bytes of the existing file that are kept; everything after them is cut off. 0 starts a new file. The file
            keeps its columns; values of columns that it lacks are dropped.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        mirror: "Mirror | None" = None,
        flush_seconds: float = 1.0,
        kept: int = 0,
    ) -> None:
        self.path = path
        self._mirror = mirror
        self.columns = list(columns)
        self._flush_seconds = flush_seconds
        self._rows: list[tuple[Value, ...]] = []
        self._flushed = time.monotonic()
        self._file: io.FileIO | None = None
        self._written = self.columns
        if kept:
            self._written = self.path.read_text(encoding="utf-8").partition("\n")[0].split(",")
            self._file = io.FileIO(self.path, "rb+")
            self._file.truncate(kept)
            self._file.seek(kept)

    def append(self, rows: Iterable[tuple[Value, ...]]) -> None:
        """Add rows, each with its values in the order of the columns."""
        new = list(rows)
        self._rows.extend(new)
        if self._mirror is not None:
            self._mirror.add(self.path.stem, self.columns, new)
        if time.monotonic() - self._flushed > self._flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are held back."""
        if self._rows:
            rows, self._rows = self._rows, []
            frame = pd.DataFrame(rows, columns=self.columns, dtype=object)[self._written]
            text = to_csv(frame, header=self._file is None)
            self._file = self._file or io.FileIO(self.path, "wb")
            self._write(self._file, text)
        self._flushed = time.monotonic()

    def sync(self) -> int:
        """Write the rows that are held back through to the disk.

        Returns:
            Size of the file in bytes; 0 if it has no row yet.
        """
        self.flush()
        if self._file is None:
            return 0
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Write the rows that are held back, and close the file."""
        try:
            self.flush()
        finally:
            if self._file is not None:
                self._file.close()

    def _write(self, file: io.FileIO, text: str) -> None:
        data, whole = text.encode(), file.tell()
        try:
            while data:  # a full disk takes part of a write without an error, and raises one at the next
                data = data[file.write(data) :]
        except OSError:
            file.truncate(whole)
            if not whole:  # an empty file is not a valid table
                self.path.unlink()
            raise


class Mirror(Protocol):
    """Receives every row that a run writes to its CSV files, to show it elsewhere."""

    def add(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Receive new rows of a table."""
        ...

    def close(self) -> None:
        """Finish: no more rows follow."""
        ...


class RunWriter:
    """Writes the CSV files of one run. On leaving it as a context manager, all files are written and closed.

    Args:
        path: Folder of the run.
        mirror: Receiver of the rows of all tables.
        kept: Bytes to keep of each existing table, by its name, as `sync` returned them; the run resumes from there.
    """

    def __init__(self, path: Path, mirror: Mirror | None = None, kept: Mapping[str, int] | None = None) -> None:
        self.path = path
        self._mirror = mirror
        self._kept = kept or {}
        self._tables: list[CsvWriter] = []

    def table(self, name: str, columns: Sequence[str] | None = None, flush_seconds: float = 1.0) -> CsvWriter:
        """Open NAME.csv for writing, or resume it.

        Args:
            name: Name of the table.
            columns: Names of its columns; None takes them from `COLUMNS`.
            flush_seconds: Longest time for which rows are held back.
        """
        columns = COLUMNS[name] if columns is None else columns
        path, kept = self.path / f"{name}.csv", self._kept.get(name, 0)
        table = CsvWriter(path, columns, self._mirror, flush_seconds, kept)
        self._tables.append(table)
        return table

    def sync(self) -> dict[str, int]:
        """Write all tables through to the disk.

        Returns:
            Size in bytes of each table that has rows, by its name.
        """
        sizes = {table.path.stem: table.sync() for table in self._tables}
        return {name: size for name, size in sizes.items() if size}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        errors = []
        for close in [table.close for table in self._tables] + ([self._mirror.close] if self._mirror else []):
            try:
                close()
            except OSError as failed:
                errors.append(failed)
        if errors and error is None:
            raise errors[0]
