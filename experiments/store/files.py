"""Reading and writing whole CSV and JSON files, so that no reader ever sees half of one."""

import io
import json
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import DamagedRun

Value = int | float | str | None


def to_csv(frame: pd.DataFrame, header: bool = True) -> str:
    """Format a table as CSV: None is an empty field, nan is nan, and a whole number has no decimal point."""
    missing = frame.isna().any()
    words = {
        name: pd.Series(
            ["nan" if isinstance(value, float) and math.isnan(value) else value for value in frame[name]],
            index=frame.index,
            dtype=object,
        )
        for name in missing.index[missing]
    }
    return frame.assign(**words).to_csv(index=False, header=header, lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file, also while a run is writing to it: an incomplete last line is ignored."""
    return pd.read_csv(io.StringIO(complete_lines(path.read_bytes()).decode()), skip_blank_lines=False)


def complete_lines(text: bytes) -> bytes:
    """Drop the last line if it has no line end: another process is still writing it."""
    return text[: text.rfind(b"\n") + 1]


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new one, even after a power cut."""
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
    """Replace a JSON file in one step."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file from a run's folder; returns {} if there is no such file.

    Raises:
        DamagedRun: The file cannot be read.
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
