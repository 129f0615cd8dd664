"""Studies as they lie on the disk."""

import json
import shutil
from pathlib import Path

import pytest

from experiments.errors import UsageError
from experiments.store.config_keys import select_runs
from experiments.store.studies import Run, find_study, read_runs


@pytest.fixture
def folder(tmp_path):
    """Of a run that is no more than read_runs asks for."""
    run = tmp_path / "runs" / "r"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "config.yaml").write_text("cell:\n  name: rnn\ntask:\n  name: adding\n")
    info = {"status": "completed", "started": "2026-01-01T00:00:00+00:00", "timesteps": 9, "readout_steps": 1}
    (run / "run.json").write_text(json.dumps(info | {"parameters": 3}))
    return run


def test_a_run_is_its_config_and_its_record(folder):
    (run,) = read_runs(folder.parents[1])
    assert (run.id, run.config["task"], run.info["timesteps"]) == ("r", "adding", 9)


@pytest.mark.parametrize(
    ("file", "of", "to", "said"),
    [
        (".hydra/config.yaml", "task:\n  name: adding\n", "", ".hydra/config.yaml has no task"),
        (".hydra/config.yaml", "rnn", "[", ".hydra/config.yaml cannot be read"),
        (".hydra/config.yaml", "cell:\n", "cell\n", ".hydra/config.yaml cannot be read"),
        ("run.json", '"timesteps"', '"timestep"', "run.json has no timesteps"),
        ("run.json", '"timesteps": 9', '"timesteps": null', "run.json has no timesteps"),
        ("run.json", "}", "", "run.json cannot be read"),
    ],
)
def test_a_run_that_lacks_something_is_left_out_and_named(folder, file, of, to, said):
    shutil.copytree(folder, folder.with_name("whole"))
    (folder / file).write_text((folder / file).read_text().replace(of, to))
    runs = read_runs(folder.parents[1])
    assert [run.id for run in runs] == ["whole"]
    ((damaged, what),) = runs.damaged
    assert (damaged, what.startswith(said)) == (folder, True)
    assert runs.damage_report() == ["1 of 2 runs is left out:", f"  {folder}: {what}"]


def test_what_is_no_run_is_not_damaged(folder):
    (folder / "run.json").unlink()  # it has only just begun
    (folder.parent / "notes.txt").write_text("not a run")
    runs = read_runs(folder.parents[1])
    assert (list(runs), runs.damaged) == ([], [])


def runs_with(key, *values):
    return [Run(Path(f"run{number}"), {key: value}, {}) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "condition", "met"),
    [
        ([0.001, 0.01], "key=1e-3", [0.001]),
        ([0.001, 0.01], "key=.001,1E-2", [0.001, 0.01]),
        ([1.0, 2.0], "key=1", [1.0]),
        ([1 / 3, 0.5], "key=0.333333", [1 / 3]),
        ([True, False], "key=false", [False]),
        ([True, False], "key=TRUE", [True]),
        ([None, 1.0], "key=null", [None]),
        ([None, 1.0], "key=none,1", [None, 1.0]),
        ([50, 100, 200], "key=50, 200", [50, 200]),
        (["lstm", "gru"], "key='lstm'", ["lstm"]),
        (["[1, 2]", "[3]"], "key=[1, 2]", ["[1, 2]"]),
    ],
)
def test_a_condition_takes_a_value_as_an_override_does(values, condition, met):
    chosen = select_runs(runs_with("key", *values), [condition])
    assert [run.config["key"] for run in chosen] == met


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("key=50,70", "--where key=50,70: no run has key=70; key is 9, 50, 100"),
        ("key=abc", "--where key=abc: no run has key=abc; key is 9, 50, 100"),
        ("key=true", "no run has key=true"),
        ("key=", "no run has key=;"),
        ("key", "--where key: is not of the form KEY=VALUE"),
        ("kee=1", "--where kee=1: no run has the key kee"),
    ],
)
def test_a_condition_that_no_run_meets_is_refused(condition, said):
    with pytest.raises(UsageError) as error:
        select_runs(runs_with("key", 50, 100, 9), [condition])
    assert said in str(error.value)


def test_folders_that_are_there_are_not_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "results" / "study" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "empty").mkdir()
    assert find_study("study", "~/results") == find_study("~/results/study", "r") == tmp_path / "results" / "study"
    for study, results, said in (
        ("empty", "~/results", "results/empty: is not the folder of a study: it has no folder runs"),
        ("~/results/empty", "r", "results/empty: is not the folder of a study: it has no folder runs"),
        ("other", "~/results", "other: no study of this name in ~/results, and no such folder; choose from study"),
        ("other", "~/r", "other: neither this folder nor the folder ~/r exists; run `bptt sweep` first"),
    ):
        with pytest.raises(UsageError) as error:
            find_study(study, results)
        assert str(error.value).endswith(said)
