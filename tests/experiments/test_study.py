"""Studies as they lie on the disk."""

import json

import pytest

from experiments.errors import UsageError
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
        (".hydra/config.yaml", "task:\n  name: adding\n", "", "its config.yaml has no task"),
        (".hydra/config.yaml", "rnn", "[", "its config.yaml cannot be read"),
        (".hydra/config.yaml", "cell:\n", "cell\n", "its config.yaml cannot be read"),
        ("run.json", '"timesteps"', '"timestep"', "its run.json has no timesteps"),
        ("run.json", '"timesteps": 9', '"timesteps": null', "its run.json has no timesteps"),
        ("run.json", "}", "", "its run.json cannot be read"),
    ],
)
def test_what_a_run_lacks_is_said(folder, file, of, to, said):
    (folder / file).write_text((folder / file).read_text().replace(of, to))
    with pytest.raises(UsageError, match=f"/r: {said}.*; delete the folder"):
        read_runs(folder.parents[1])
