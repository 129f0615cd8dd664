"""The CSV and JSON files: written so that whatever is on the disk is whole and true, read without torch."""

import io
import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pandas as pd

from experiments.errors import DamagedRun
from experiments.store.columns import COLUMNS

Value = int | float | str | None


class Table:
    """A CSV file that grows while a run goes on.

    The file is made with its first rows. They are kept back for up to `flush_seconds`, then appended in one write.
    Where the disk takes only a part of it, the file is cut back to its last whole row before the error is raised.
    None is written as an empty field, floats as their shortest exact decimal, non-finite ones as inf, -inf and nan.

    Args:
        path: of the file.
        columns: of each row.
        mirror: gets the same rows.
        flush_seconds: how long rows may be kept back.
        kept: how many bytes of the file that is there to go on behind; what follows them is cut off.
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
        if kept:
            self._file = io.FileIO(self.path, "rb+")
            self._file.truncate(kept)
            self._file.seek(kept)

    def append(self, rows: Iterable[tuple[Value, ...]]) -> None:
        """Add rows, in the order of the columns."""
        new = list(rows)
        self._rows.extend(new)
        if self._mirror is not None:
            self._mirror.add(self.path.stem, self.columns, new)
        if time.monotonic() - self._flushed > self._flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what was kept back."""
        if self._rows:
            rows, self._rows = self._rows, []
            text = to_csv(pd.DataFrame(rows, columns=self.columns, dtype=object), header=self._file is None)
            self._file = self._file or io.FileIO(self.path, "wb")
            self._write(self._file, text)
        self._flushed = time.monotonic()

    def sync(self) -> int:
        """Write what was kept back through to the disk; the file's size in bytes, 0 before its first row."""
        self.flush()
        if self._file is None:
            return 0
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Write what was kept back, and let go of the file."""
        try:
            self.flush()
        finally:
            if self._file is not None:
                self._file.close()

    def _write(self, file: io.FileIO, text: str) -> None:
        data, whole = text.encode(), file.tell()
        try:
            while data:  # what a full disk does not take of it, it refuses the next time, and says why
                data = data[file.write(data) :]
        except OSError:
            file.truncate(whole)
            if not whole:  # an empty file is no table
                self.path.unlink()
            raise


class Mirror(Protocol):
    """Gets what is written to the tables of a run, to show it elsewhere."""

    def add(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """New rows of a table."""
        ...

    def close(self) -> None:
        """There will be no more."""
        ...


class RunFolder:
    """The folder of one run, and the tables in it. Leaving it as a context writes and closes them all.

    Args:
        path: of the folder.
        mirror: gets the rows of all tables.
        kept: sizes, as of `sync`, of tables that go on behind what they hold.
    """

    def __init__(self, path: Path, mirror: Mirror | None = None, kept: Mapping[str, int] | None = None) -> None:
        self.path = path
        self._mirror = mirror
        self._kept = kept or {}
        self._tables: list[Table] = []

    def table(self, name: str, columns: Sequence[str] = ()) -> Table:
        """Open NAME.csv to write to it, from its start or behind the rows that are kept.

        Args:
            name: Name of the table.
            columns: Its columns; by default those of `COLUMNS`.
        """
        columns = columns or COLUMNS[name]
        table = Table(self.path / f"{name}.csv", columns, self._mirror, kept=self._kept.get(name, 0))
        self._tables.append(table)
        return table

    def sync(self) -> dict[str, int]:
        """Write all tables through to the disk; the size of each that has rows, by its name."""
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


def to_csv(frame: pd.DataFrame, header: bool = True) -> str:
    """A table in the format of the results folder: None is an empty field, nan is nan, a whole number has no point."""
    columns = {
        name: ["nan" if isinstance(value, float) and math.isnan(value) else value for value in frame[name]]
        for name in frame
    }
    return pd.DataFrame(columns, dtype=object).to_csv(index=False, header=header, lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table, also while it is written: a last line without its end is left out."""
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1].decode()
    return pd.read_csv(io.StringIO(whole), skip_blank_lines=False)


def write_whole(path: Path, content: str | bytes) -> None:
    """Put a file in place in one go: a reader, also one after a power cut, sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Put a JSON file in place in one go."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run's folder; empty where there is none.

    Raises:
        DamagedRun: It cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise DamagedRun(path.parent, f"{path.name} cannot be read ({error})") from None
    return content
