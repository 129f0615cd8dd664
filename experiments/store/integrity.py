"""Detecting damaged runs: a run's files are compared with what the run wrote, and its own inputs with what it read."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments.store.files import read_json

CONFIG = ".hydra/config.yaml"
BLOCK = 2**20


class Content(NamedTuple):
    """Size and digest of a file.

    Attributes:
        rows: Number of lines below the header of a CSV file.
        bytes: Size in bytes.
        digest: First 16 hexadecimal digits of the SHA-256 hash.
    """

    rows: int
    bytes: int
    digest: str


def content_of(path: Path | str, *, sync: bool = False) -> Content:
    """Read a file once, and return its size and digest.

    Args:
        path: Path of the file.
        sync: Whether to write it through to the disk first.
    """
    lines, size, digest = 0, 0, hashlib.sha256()
    with open(path, "rb") as file:
        if sync:
            os.fsync(file.fileno())
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            size += len(block)
            digest.update(block)
    return Content(max(0, lines - 1), size, digest.hexdigest()[:16])


def describe_files(folder: Path, tables: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Describe the files of a run that has ended, for run.json: its configuration and its CSV files.

    Args:
        folder: Folder of the run.
        tables: Names of the CSV files; None takes all in the folder.
    """
    sealed = {}
    for name in (CONFIG, *sorted(tables or (path.name for path in folder.glob("*.csv")))):
        content = content_of(folder / name, sync=True)._asdict()
        if name == CONFIG:
            del content["rows"]
        sealed[name] = content
    return sealed


def damage_of(folder: Path, info: Mapping[str, Any]) -> str:
    """Say what is wrong with the files of a run that has ended; empty if nothing is.

    Runs that did not record the digests of their files are not checked.

    Only the size of a file is compared, which takes microseconds, unless the size has changed or the file was written
    after run.json; then the file is read.

    Args:
        folder: Folder of the run.
        info: Content of its run.json.
    """
    of_run = info.get("run_id", folder.name)
    if of_run != folder.name:
        return f"is a copy of the run {of_run}"
    if sealed := info.get("files"):
        base = str(folder)
        ended = os.stat(f"{base}/run.json").st_mtime_ns
        for name, written in sealed.items():
            if (what := _difference(f"{base}/{name}", name, written, ended)) and _is_still(folder, info):
                return what
    return ""


def _difference(path: str, name: str, written: Mapping[str, Any], ended: int) -> str:
    try:
        there = os.stat(path)
        if there.st_size == written["bytes"] and there.st_mtime_ns <= ended:
            return ""
        found = content_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return f"{name} is missing"
    if found.digest == written["digest"]:
        return ""
    if not found.bytes:
        return f"{name} is empty"
    if found.rows != written.get("rows", found.rows):
        return f"{name} has {_rows(found.rows)}, but the run wrote {written['rows']}"
    return f"{name} was changed after the run ended"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _is_still(folder: Path, info: Mapping[str, Any]) -> bool:
    """Whether run.json is unchanged since it was read: another process may have deleted or restarted the run."""
    return bool(read_json(folder / "run.json").get("files") == info["files"])


def describe_inputs(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Describe the files that a run is made from, for run.json.

    Args:
        files: The user's own data files, by configuration key, and modules, by name.
    """
    found = {}
    for name, path in files.items():
        there = path.stat()
        digest = _digest(str(path), there.st_size, there.st_mtime_ns)
        found[name] = {
            "file": str(path.absolute()),
            "bytes": there.st_size,
            "modified": there.st_mtime_ns,
            "digest": digest,
        }
    return found


def changed_inputs(info: Mapping[str, Any], files: Mapping[str, Path] | None = None) -> str:
    """Name the files that a run was made from and that have changed since, such as "sensor.csv, leaky.py".

    Files that no longer exist and files that the run did not record are not compared.

    Args:
        info: Content of its run.json.
        files: Files that the run would be made from now, as for `describe_inputs`; None for those in run.json.
    """
    changed = []
    for name, used in info.get("made_from", {}).items():
        path = Path(used["file"]) if files is None else files.get(name)
        if path is not None and _has_changed(path, used):
            changed.append(path.name)
    return ", ".join(dict.fromkeys(changed))


def _has_changed(path: Path, used: Mapping[str, Any]) -> bool:
    try:
        there = path.stat()
        if (there.st_size, there.st_mtime_ns) == (used["bytes"], used["modified"]):
            return False
        return _digest(str(path), there.st_size, there.st_mtime_ns) != str(used["digest"])
    except OSError:
        return False


@lru_cache(maxsize=1000)
def _digest(path: str, size: int, modified: int) -> str:
    """Digest of a file; computed again only if its size or modification time changes."""
    return content_of(path).digest
