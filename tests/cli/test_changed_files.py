"""A finished run that used another version of the user's own files is reported by every command."""

import json
import sys

import pytest

TINY = ["model.hidden_size=3", "batch_size=2", "steps=3", "record.evaluate_samples=4"]
ASKED = ["task=sensor", *TINY, "study=s", "-q", "--config-dir", "mine"]

TASK = """
from pathlib import Path
from experiments.tasks.adding import Adding
from scaling_of_sensor import FACTOR


class Sensor(Adding):
    def __init__(self, length: int, path: str) -> None:
        super().__init__(length, halved=False)
        self.readings = FACTOR * float(Path(path).read_text())
"""


@pytest.fixture
def own(bptt, tmp_path):
    """A folder with a task of the user's own, in a module that imports another, and its data file."""
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "sensor.yaml").write_text(
        "_target_: sensor_task.Sensor\nlength: 6\npath: sensor.csv\n"
    )
    (tmp_path / "sensor_task.py").write_text(TASK)
    (tmp_path / "scaling_of_sensor.py").write_text("FACTOR = 1\n")
    (tmp_path / "sensor.csv").write_text("1")
    yield tmp_path
    for module in ("sensor_task", "scaling_of_sensor"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(("file", "content"), [("sensor.csv", "2"), ("scaling_of_sensor.py", "FACTOR = 2\n")])
def test_every_command_says_that_a_file_has_changed(bptt, own, file, content):
    assert bptt("sweep", *ASKED, "seed=0,1", "-j1").exit_code == 0
    assert bptt("sweep", *ASKED, "seed=0,1", "-j1").exit_code == 0
    (own / file).write_text(content)
    said = f"used another version of {file}"

    swept = bptt("sweep", *ASKED, "seed=0,1", "-j1")
    assert swept.exit_code == 1
    assert f"2 runs {said}; --retry runs them again" in swept.stderr
    one = bptt("run", *ASKED)
    assert one.exit_code == 1
    assert f"1 run {said}; --fresh runs it again" in one.stderr
    states = bptt("status", "s").stdout
    assert f"2 runs {said}" in states
    assert "--retry" in states
    (folder, _) = sorted((own / "results" / "s" / "runs").iterdir())
    replayed = bptt("replay", folder, "-q", "--config-dir", "mine")
    assert f"  {said}\n  to rerun it: bptt sweep" in replayed.stdout

    asked = bptt("sweep", *ASKED, "seed=0,1", "-j1", "--retry")
    assert asked.exit_code == 2
    assert f"--retry deletes finished runs in results/s: 2 runs {said}" in asked.stderr
    assert bptt("sweep", *ASKED, "seed=0,1", "-j1", "--retry", "--yes").stderr == ""
    assert bptt("status", "s").stdout.strip().startswith("2/2 done")
    assert "another version" not in bptt("status", "s").stdout


def test_a_file_that_is_only_touched_or_moved_is_the_same(bptt, own):
    assert bptt("run", *ASKED).exit_code == 0
    (own / "sensor.csv").write_text("1")
    assert "another version" not in bptt("status", "s").stdout
    own.rename(own.with_name("moved"))  # and we are in it
    assert bptt("run", *ASKED).exit_code == 0
    assert "another version" not in bptt("status", "s").stdout
    own.with_name("moved").rename(own)


def test_a_change_of_ours_or_of_an_installed_package_is_none(bptt, tmp_path):
    done = bptt("run", *TINY, "optimizer=adam", "task.length=6", "-q")
    info = json.loads((tmp_path / done.stdout.strip() / "run.json").read_text())
    assert info["made_from"] == {}
