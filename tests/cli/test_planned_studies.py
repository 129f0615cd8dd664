"""A study of the user's own, which no YAML file describes, and studies of a single run."""

import json
import shutil

import pytest

from tests.cli.conftest import TINY


def runs_in(folder):
    return sorted(path.name for path in (folder / "runs").iterdir())


def test_a_sweep_of_no_more_than_a_name_resumes_what_was_planned(bptt, tmp_path):
    assert bptt("sweep", "cell=rnn,lstm", *TINY, "study=mine", "-q", "-j1").exit_code == 0
    study = tmp_path / "results" / "mine"
    before = runs_in(study)
    plan = (study / "sweeps.json").read_text()
    shutil.rmtree(study / "runs" / before[0])
    again = bptt("sweep", "study=mine", "-q", "-j1")
    assert again.exit_code == 0, again.output
    assert "resuming: bptt sweep cell=rnn,lstm" in again.stderr
    assert runs_in(study) == before
    command = json.loads((study / "sweeps.json").read_text())["sweeps"][0]["command"]
    assert command == json.loads(plan)["sweeps"][0]["command"]  # which the next one is to resume


def test_all_sweeps_of_a_study_are_resumed_where_they_began(bptt, tmp_path):
    for cell in ("rnn", "lstm"):
        assert (
            bptt("sweep", f"cell={cell}", "seed=0,1", *TINY, "study=mine", "results_dir=out", "-q", "-j1").exit_code
            == 0
        )
    before = runs_in(tmp_path / "out" / "mine")
    for name in (before[0], before[-1]):
        shutil.rmtree(tmp_path / "out" / "mine" / "runs" / name)
    assert bptt("sweep", "study.name=mine", "results_dir=out", "-q").stdout == "out/mine\n"
    assert runs_in(tmp_path / "out" / "mine") == before
    assert len(json.loads((tmp_path / "out" / "mine" / "sweeps.json").read_text())["sweeps"]) == 2


def test_a_default_run_is_not_added_to_other_runs_unasked(bptt, tmp_path):
    assert bptt("run", *TINY, "study=mine", "-q").exit_code == 0
    before = runs_in(tmp_path / "results" / "mine")
    asked = bptt("sweep", "study=mine", "-q")
    assert asked.exit_code == 2
    assert "study=mine: adds 1 run with the default values to results/mine, which has 1 other run" in asked.stderr
    assert runs_in(tmp_path / "results" / "mine") == before


def test_a_command_that_can_no_longer_be_resumed_is_named(bptt, tmp_path):
    (tmp_path / "choices").mkdir()
    words = ["sweep", "cell=rnn", *TINY, "study=mine", "-q", "-j1", "--config-dir", "choices"]
    assert bptt(*words).exit_code == 0
    (tmp_path / "choices").rmdir()
    done = bptt("sweep", "study=mine", "-q")
    assert done.exit_code == 2
    assert "--config-dir choices: cannot be resumed:" in done.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "1/1 done\n"),
        ({"status": "interrupted"}, "0/1 done, 1 interrupted\nto resume: bptt run model.hidden_size=3"),
        ({"status": "running"}, "0/1 done, 1 interrupted\nto resume: bptt run model.hidden_size=3"),
        ({"status": "failed", "error": "no memory"}, "0/1 done, 1 failed\n"),
        ({"run_id": "another"}, "0/1 done, 1 damaged\n"),
    ],
)
def test_the_status_of_a_single_run_says_how_it_is(bptt, tmp_path, changes, said):
    folder = tmp_path / bptt("run", *TINY, "study=one", "-q").stdout.strip()
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, **changes}))
    assert bptt("status", "one").stdout.startswith(said)


def test_a_fresh_probe_asks_before_it_deletes(bptt, tmp_path):
    words = ["probe", *TINY, "probe.samples=1", "probe.batches=1", "study=p", "-q"]
    folder = tmp_path / bptt(*words).stdout.strip()
    began = (folder / "run.json").stat().st_mtime_ns
    asked = bptt(*words, "--fresh")
    assert asked.exit_code == 2
    assert "--fresh deletes 1 finished run in results/p" in asked.stderr
    assert (folder / "run.json").stat().st_mtime_ns == began
    assert bptt(*words, "--fresh", "--yes").exit_code == 0
    assert (folder / "run.json").stat().st_mtime_ns > began


@pytest.mark.parametrize("command", [("run",), ("sweep", "seed=0,1", "-j1")])
def test_the_status_of_a_copied_study_names_no_command_of_the_first(bptt, tmp_path, command):
    """It would resume the runs of the first study."""
    assert bptt(command[0], *TINY, *command[1:], "study=one", "-q").exit_code == 0
    for file in (tmp_path / "results" / "one" / "runs").glob("*/run.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "status": "interrupted"}))
    shutil.copytree(tmp_path / "results" / "one", tmp_path / "results" / "two")
    assert f"to resume: bptt {command[0]}" in bptt("status", "one").stdout
    copied = bptt("status", "two").stdout
    assert "interrupted" in copied
    assert "bptt" not in copied
