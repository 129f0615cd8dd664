"""Replay: a run repeated from its saved configuration, and its files compared with the old ones byte for byte."""

import csv
from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from experiments.config.composing import from_saved
from experiments.config.schema import Config
from experiments.errors import DamagedRun, UsageError
from experiments.store.integrity import CONFIG, changed_inputs, damage_of
from experiments.store.locks import read_info
from experiments.store.status import FINISHED
from experiments.sweeps.rerecording import recorded_as
from experiments.training.execution import Result
from experiments.training.probe import probe, probe_folder
from experiments.training.run import NETWORK, run

INDEX = ("step", "layer", "state", "timestep", "lag", "parameter", "first_timestep", "last_timestep", "gate", "index")
"""The columns that say what a row is about."""


class Rerun(NamedTuple):
    """A run that is ready to be repeated.

    Attributes:
        folder: Folder that the new files go to.
        steps: Number of steps of the run.
        run: Function that repeats the run.
    """

    folder: Path
    steps: int
    run: Callable[[], Result]


class Difference(NamedTuple):
    """The first place where two tables differ.

    Attributes:
        file: Name of the CSV file.
        row: Number of the row; the header is row 0.
        where: Step, timestep, lag and the like of the row.
        column: Name of the column.
        before: Value in the old file; None if the file ends before.
        again: Value in the new file; None if the file ends before.
    """

    file: str
    row: int
    where: str
    column: str
    before: str | None
    again: str | None

    def __str__(self) -> str:
        place = f"row {self.row}" + (f" ({self.where})" if self.where else "")
        return f"{self.file}, {place}, column {self.column}: {_shown(self.before)} before, {_shown(self.again)} now"


def prepare_replay(folder: Path, scratch: Path, record: Sequence[str] = (), config_dir: Path | None = None) -> Rerun:
    """Prepare to repeat a run.

    Args:
        folder: Folder of a finished run or probe.
        scratch: Results folder for the new files.
        record: What to record this time, such as "record.every=1"; everything else is as it was.
        config_dir: Folder with the user's own choices.

    Raises:
        DamagedRun: The run's run.json or config.yaml cannot be read.
        UsageError: The folder holds no finished run, this version or machine cannot repeat it, or `record` is wrong.
    """
    info = read_info(folder)
    name = folder.resolve().name
    if (of_run := info.get("run_id", name)) != name:
        raise DamagedRun(folder, f"is a copy of the run {of_run}")
    try:
        saved = (folder / CONFIG).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if info:
            raise DamagedRun(folder, f"{CONFIG} is missing") from None
        raise UsageError(f"{folder}: is not the folder of a run; give one that `bptt run` printed") from None
    if info.get("status") not in FINISHED:
        raise UsageError(
            f"{folder}: is {info.get('status', 'not started')}; only completed and diverged runs can be replayed"
        )
    try:
        values = {**yaml.safe_load(saved), "results_dir": str(scratch)}
    except (TypeError, yaml.YAMLError) as error:
        raise DamagedRun(folder, f"{CONFIG} cannot be read ({str(error).splitlines()[0]})") from None
    config = from_saved({**values, "record": recorded_as(values["record"], record, config_dir)})
    # TensorBoard may not be installed here, and changes no CSV file.
    if not record:
        config = config.model_copy(update={"record": config.record.model_copy(update={"tensorboard": False})})
    if info.get("kind") != "probe":
        return Rerun(config.run_folder, config.steps, lambda: run(config))
    return _prepare_probe(config, info.get("checkpoint"), folder)


def _prepare_probe(config: Config, checkpoint: str | None, folder: Path) -> Rerun:
    trained = None if checkpoint is None else folder.with_name(checkpoint)
    if trained is not None and not (trained / NETWORK).is_file():
        raise UsageError(f"{folder}: the network that it probes is missing: {trained / NETWORK}")
    again = probe_folder(config, trained=trained is not None)
    return Rerun(again, config.probe.batches, lambda: probe(config, checkpoint=trained))


def compare(before: Path, again: Path, names: Collection[str] | None = None) -> Difference | None:
    """Find the first difference between the CSV files of two run folders; None if all are the same byte for byte.

    Args:
        before: Folder of a run.
        again: Folder of its repetition.
        names: Files to compare; None compares all CSV files that the two have written.
    """
    for name in sorted(names or {*tables_of(before), *tables_of(again)}):
        contents = [path.read_bytes() if path.exists() else b"" for path in (before / name, again / name)]
        if contents[0] != contents[1]:
            if name == NETWORK:
                sizes = [f"{len(content)} bytes" if content else None for content in contents]
                return Difference(name, 0, "", "(the parameters)", *sizes)
            return _first_difference(name, *contents)
    return None


def tables_of(folder: Path) -> list[str]:
    """The CSV files that a run wrote; those in its folder if it did not say so, as runs of version 0.1 did not."""
    written = read_info(folder).get("files")
    return [name for name in written if name.endswith(".csv")] if written else [p.name for p in folder.glob("*.csv")]


def _first_difference(file: str, before: bytes, again: bytes) -> Difference:
    lines = [content.decode(errors="replace").split("\n") for content in (before, again)]
    header: list[str] = []
    for row, (line, new_line) in enumerate(zip_longest(*lines)):
        fields, new_fields = ([] if text is None else next(csv.reader([text]), []) for text in (line, new_line))
        header = header or fields or new_fields
        index = [f"{key}={value}" for key, value in zip(header, fields or new_fields, strict=False) if key in INDEX]
        for column, value, new in zip_longest(header, fields, new_fields):
            if value != new:
                return Difference(file, row, " ".join(index) if row else "", column or "after the last", value, new)
        if line != new_line:  # in spaces, quotes or line ends, which no field shows
            return Difference(file, row, "", "(the row as it is written)", repr(line), repr(new_line))
    raise AssertionError("the contents are the same")


def damage(folder: Path) -> str:
    """Say what is wrong with the files of a run, even if its folder was moved; empty if nothing is."""
    return damage_of(folder, {**read_info(folder), "run_id": folder.name})


def changed_files(before: Path, again: Path) -> str:
    """The user's files that the run used and that had changed when it was repeated, such as 'sensor.csv'."""
    files = {name: Path(used["file"]) for name, used in read_info(again).get("made_from", {}).items()}
    return changed_inputs(read_info(before), files)


def changed_circumstances(before: Path, again: Path) -> list[str]:
    """Differences in what the numbers may depend on, such as 'torch: 2.6.0 before, 2.13.0 now'."""
    old, new = (_circumstances(read_info(folder)) for folder in (before, again))
    return [
        f"{name}: {_shown(old.get(name))} before, {_shown(new.get(name))} now"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _circumstances(info: dict[str, Any]) -> dict[str, str]:
    git = info.get("git") or {}
    commit = git.get("commit", "")[:10] + (", modified" if git.get("modified") else "")
    found = {
        **info.get("versions", {}),
        "processor": info.get("machine", {}).get("processor"),
        "threads": info.get("threads"),
        "commit": commit,
        "source": info.get("source"),
    }
    return {name: str(value) for name, value in found.items() if value}


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value or "an empty field"
