"""A study that the first version of the format wrote is read, replayed, resumed and probed by this version."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from experiments.analysis.summary import write_summary
from experiments.config.composing import from_saved
from experiments.store.integrity import CONFIG
from experiments.store.studies import read_runs
from experiments.sweeps.replay import prepare_replay
from experiments.training.checkpoint import CHECKPOINT
from experiments.training.execution import settled_result
from experiments.training.probe import probe, probe_folder
from experiments.training.provenance import code_version
from experiments.training.run import run

COMMITTED = Path(__file__).parents[1] / "data" / "version_1"
RUNS = sorted(folder.name for folder in (COMMITTED / "runs").iterdir())
INTERRUPTED = "lstm-adding-none-seed1-064e1560a1"
CORRECTED = ("chance_loss", "chance_error")
"""Of the adding problem: version 1 wrote the score of the best constant answer."""
FINISHED = [name for name in RUNS if name != INTERRUPTED]


@pytest.fixture
def study(tmp_path):
    return shutil.copytree(COMMITTED, tmp_path / "version_1")


def config_of(folder):
    values = yaml.safe_load((folder / CONFIG).read_text())
    return from_saved({**values, "results_dir": str(folder.parents[2])})


def assert_same_numbers(before, again):
    """The columns that version 1 wrote have the same values, up to what another processor rounds differently."""
    assert list(again)[: len(before.columns)] == list(before) or set(before) <= set(again)
    for column in before.columns.difference(CORRECTED, sort=False):
        if pd.api.types.is_numeric_dtype(before[column]):
            np.testing.assert_allclose(again[column], before[column], rtol=2e-3, atol=1e-4, err_msg=column)
        else:
            assert again[column].tolist() == before[column].tolist()


def test_it_holds_all_kinds_of_runs():
    infos = [json.loads((COMMITTED / "runs" / name / "run.json").read_text()) for name in RUNS]
    assert sorted(info["status"] for info in infos) == ["completed"] * 4 + ["diverged", "interrupted"]
    assert [info.get("kind") for info in infos].count("probe") == 1


def test_it_is_read(study):
    committed = pd.read_csv(COMMITTED / "summary.csv").set_index("run_id")
    runs = read_runs(study)
    assert ([run.id for run in runs], runs.damaged) == (RUNS, [])
    write_summary(study)
    summary = pd.read_csv(study / "summary.csv").set_index("run_id")
    assert set(committed) <= set(summary)
    pd.testing.assert_frame_equal(summary[committed.columns], committed, check_dtype=False, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in RUNS if not name.startswith("probe-")])
def test_its_runs_are_found_by_their_ids(name, study):
    """Their ids depended on what they recorded; where they are, they are not run again under today's ids."""
    config = config_of(study / "runs" / name)
    assert config.run_folder == study / "runs" / name
    shutil.rmtree(study / "runs" / name)
    assert config.run_folder == study / "runs" / config.run_id


def test_its_probe_is_found_by_its_id(study):
    (name,) = [name for name in RUNS if name.startswith("probe-")]
    assert probe_folder(config_of(study / "runs" / name)) == study / "runs" / name


def test_it_is_not_run_again():
    for name in FINISHED:
        config = config_of(COMMITTED / "runs" / name)
        if not name.startswith("probe-"):
            assert settled_result(config, config.run_folder).skipped


def test_its_finished_runs_lack_what_they_did_not_record():
    config = config_of(COMMITTED / "runs" / FINISHED[0])
    finer = config.model_copy(update={"record": config.record.model_copy(update={"every": 1})})
    assert settled_result(config, COMMITTED / "runs" / FINISHED[0]).unrecorded == {}
    assert settled_result(finer, COMMITTED / "runs" / FINISHED[0]).unrecorded == {"every": 1}


@pytest.mark.parametrize("name", FINISHED)
def test_its_runs_are_replayed(name, study, tmp_path):
    replay = prepare_replay(study / "runs" / name, tmp_path / "again")
    assert replay.run().status in ("completed", "diverged")
    for path in (study / "runs" / name).glob("*.csv"):
        assert_same_numbers(pd.read_csv(path), pd.read_csv(replay.folder / path.name))


def test_its_interrupted_run_resumes(study, tmp_path):
    """As this version trains differently, it would start over; with its code in the checkpoint, it must continue."""
    folder = study / "runs" / INTERRUPTED
    config = config_of(folder)
    saved = torch.load(folder / CHECKPOINT, weights_only=True)
    torch.save({**saved, "code": code_version(config)}, folder / CHECKPOINT)
    assert run(config).status == "completed"
    info = json.loads((folder / "run.json").read_text())
    assert [stage["after_step"] for stage in info["continued"]] == [24]
    whole = config.model_copy(update={"results_dir": str(tmp_path / "whole")})
    run(whole)
    for path in whole.run_folder.glob("*.csv"):
        assert_same_numbers(pd.read_csv(folder / path.name), pd.read_csv(path))


def test_its_interrupted_run_starts_over_where_the_code_is_another(study):
    folder = study / "runs" / INTERRUPTED
    saved = torch.load(folder / CHECKPOINT, weights_only=True)
    torch.save({**saved, "code": {**saved["code"], "source": "another"}}, folder / CHECKPOINT)
    assert run(config_of(folder)).status == "completed"
    assert "continued" not in json.loads((folder / "run.json").read_text())
    assert len(pd.read_csv(folder / "metrics.csv")) == 40


def test_its_trained_networks_are_probed(study):
    folder = study / "runs" / next(name for name in FINISHED if name.startswith("gru"))
    assert probe(config_of(folder), checkpoint=folder).status == "completed"
