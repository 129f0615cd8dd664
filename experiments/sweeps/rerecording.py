"""Another record for a finished run: it is repeated, and what it recorded is replaced; the training stays as it is."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from experiments.catalogue.measures import measures
from experiments.config.composing import compose
from experiments.config.hydra_composer import open_composer
from experiments.config.schema import RecordConfig
from experiments.errors import UsageError
from experiments.measures.spikes import BATCHES
from experiments.store.files import write_json, write_whole
from experiments.store.integrity import CONFIG, describe_files
from experiments.store.locks import lock_run, read_info
from experiments.training.run import NETWORK

TRAINED = ("metrics.csv", "evaluation.csv", NETWORK)
"""The files that do not depend on what is recorded."""


def recorded_as(recorded: Mapping[str, Any], changes: Sequence[str], config_dir: Path | None) -> dict[str, Any]:
    """The settings of `record` with some of them changed.

    Args:
        recorded: Settings that the run was recorded with.
        changes: Settings to change, as in "record.every=1"; "record=full" takes those of a choice.
        config_dir: Folder with the user's own choices.

    Raises:
        UsageError: A setting is wrong, or belongs to the evaluation, which is part of the run.
    """
    if not changes:
        return dict(recorded)
    with open_composer(config_dir) as composer:
        parsed = composer.parse(changes)
    if several := [one for one in parsed if one.is_sweep_override()]:
        line = several[0].input_line
        raise UsageError(f"{line}: a run has one record, so give one value: {several[0].key_or_group}=VALUE")
    known = {*measures(config_dir), *RecordConfig.model_fields}
    keep = [f"record.{key}={str(value).lower()}" for key, value in recorded.items() if key in known or value]
    if any(change.startswith("record=") for change in changes):
        keep = [one for one in keep if one.startswith("record.evaluate_")]
    asked = compose([*keep, *changes], config_dir).record.model_dump()
    for key in ("evaluate_every", "evaluate_samples"):
        if asked[key] != recorded[key]:
            raise UsageError(f"record.{key}={asked[key]}: the evaluation is part of the run, so it cannot be changed")
    return asked


def replace_record(folder: Path, again: Path) -> None:
    """Replace what a run has recorded by what its repetition recorded; the training of both must be the same.

    Other files in the folder stay. If the process is killed on the way, the run counts as damaged.

    Args:
        folder: Folder of the run.
        again: Folder of its repetition.

    Raises:
        UsageError: Another process is running the run.
    """
    with lock_run(folder) as free:
        if not free:
            raise UsageError(f"{folder}: another process is running it")
        info, by = read_info(folder), read_info(again)
        tables = [name for name in by["files"] if name.endswith(".csv") and name not in TRAINED]
        events = [path.name for path in again.glob("events.out.*")]
        written = [name for name in info.get("files", {}) if name.endswith(".csv")]
        for name in {*written, *(path.name for path in folder.glob("events.out.*"))} - {*TRAINED, *tables, *events}:
            (folder / name).unlink(missing_ok=True)
        for name in (*tables, *events):
            write_whole(folder / name, (again / name).read_bytes())
        shutil.rmtree(folder / BATCHES, ignore_errors=True)
        if (again / BATCHES).is_dir():
            shutil.copytree(again / BATCHES, folder / BATCHES)
        saved = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        saved["record"] = yaml.safe_load((again / CONFIG).read_text(encoding="utf-8"))["record"]
        write_whole(folder / CONFIG, yaml.safe_dump(saved, sort_keys=False))
        provenance = {key: by[key] for key in ("command", "started", "source", "git")}
        files = describe_files(folder, [*(name for name in written if name in TRAINED), *tables])
        write_json(folder / "run.json", {**info, "record": saved["record"], "recorded_by": provenance, "files": files})
