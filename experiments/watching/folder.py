"""The folder of a watched training, which every command reads as that of a run."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from experiments.store.csv_writer import CsvWriter, RunWriter
from experiments.store.files import write_json, write_whole
from experiments.store.integrity import CONFIG, describe_files
from experiments.store.locks import lock_run
from experiments.store.status import Status
from experiments.training.provenance import provenance

FLUSH_SECONDS = 5.0
"""Longest time for which rows are held back: writing them takes about as long as recording a step of a small model."""


class RunFolder:
    """The folder of one watched training, locked until it is closed.

    Args:
        study: Folder of the study.
        name: Name of the run; None takes run1, run2, ... in turn.

    Raises:
        ValueError: A run of this name exists, or the folder cannot be written.
    """

    def __init__(self, study: Path, name: str | None) -> None:
        self._stack = ExitStack()
        self.path = _claim(study / "runs", name)
        self._stack.enter_context(lock_run(self.path))
        self._files = self._stack.enter_context(RunWriter(self.path))
        self._tables: dict[str, CsvWriter] = {}
        self._record: dict[str, Any] = {}
        self._config: dict[str, Any] = {}
        self._began = time.monotonic()

    def start(self, config: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Write the configuration and run.json."""
        self._config = dict(config)
        (self.path / ".hydra").mkdir(exist_ok=True)
        self._write_config()
        beginning = {"run_id": self.path.name, "status": "running", "pid": os.getpid(), "started": _now()}
        self._record = {**beginning, **record, **provenance()}
        self.update()

    @property
    def has_begun(self) -> bool:
        """Whether there is a run.json."""
        return bool(self._record)

    def update(self, **entries: Any) -> None:
        """Write entries of run.json that have changed."""
        self._record |= entries
        write_json(self.path / "run.json", self._record)

    def configure(self, **entries: Any) -> None:
        """Write entries of the configuration that have changed."""
        if not entries.items() <= self._config.items():
            self._config |= entries
            self._write_config()

    def table(self, name: str, columns: Sequence[str] | None = None) -> CsvWriter:
        """The table NAME.csv, which is opened at its first use."""
        if name not in self._tables:
            self._tables[name] = self._files.table(name, columns, FLUSH_SECONDS)
        return self._tables[name]

    def close(self, status: Status, steps: int, error: str | None = None) -> None:
        """Write all rows, and how the run ended."""
        with self._stack:
            for table in self._tables.values():
                table.flush()
            self._config["steps"] = steps
            self._write_config()
            ended = {"files": describe_files(self.path)} if status == "completed" or error else {}
            seconds = round(time.monotonic() - self._began, 3)
            self.update(status=status, finished=_now(), seconds=seconds, **ended, **({"error": error} if error else {}))

    def _write_config(self) -> None:
        write_whole(self.path / CONFIG, yaml.safe_dump(self._config, sort_keys=False))


def _claim(runs: Path, name: str | None) -> Path:
    """Create the folder of a new run."""
    if name is not None and not re.fullmatch(r"[^/\\\0-\x1f.\s][^/\\\0-\x1f]{0,79}(?<!\s)", name):
        raise ValueError(f"name={name!r}: must be the name of a folder, without a slash or a leading dot")
    try:
        for number in range(1, 100_000):
            path = runs / (name or f"run{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if name is not None:
                    raise ValueError(f"name={name!r}: {path} exists; delete it or choose another name") from None
                continue
            return path
    except OSError as error:
        raise ValueError(f"folder: cannot write to {runs} ({error.strerror})") from None
    raise ValueError(f"folder: {runs} has too many runs")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
