"""Studies as they lie on the disk."""

import json
import shutil

import pytest

from experiments.study import read_runs


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
    assert runs.left_out() == ["1 of 2 runs is left out:", f"  {folder}: {what}"]


def test_what_is_no_run_is_not_damaged(folder):
    (folder / "run.json").unlink()  # it has only just begun
    (folder.parent / "notes.txt").write_text("not a run")
    runs = read_runs(folder.parents[1])
    assert (list(runs), runs.damaged) == ([], [])
