"""Runs made again are the same, byte for byte; what is not is found and named."""

import json
import re

import pytest

from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.sweeps.plan import plan
from experiments.sweeps.replay import changed_circumstances, compare, prepare_replay
from experiments.sweeps.sweep import sweep
from experiments.training.probe import config_of_checkpoint, probe
from experiments.training.run import NETWORK, run

SMALL = ["task.length=12", "model.hidden_size=6", "batch_size=3", "steps=20", "record.evaluate_samples=20"]


def replayed(folder, scratch):
    rerun = prepare_replay(folder, scratch)
    assert rerun.run().status in ("completed", "diverged")
    return rerun.folder


@pytest.fixture
def finished(tmp_path):
    return run(compose([*SMALL, f"results_dir={tmp_path / 'results'}"])).folder


def test_each_run_of_quickstart_is_identical(tmp_path):
    planned = plan(["study=quickstart", *SMALL[1:], "steps=6", f"results_dir={tmp_path / 'results'}"])
    results = sweep(planned)
    assert len(results) == 18
    for number, result in enumerate(results):
        assert compare(result.folder, replayed(result.folder, tmp_path / str(number))) is None


def test_a_diverged_run_is_identical(tmp_path):
    overrides = ["cell.nonlinearity=identity", "init=gaussian", "init.gain=9", "optimizer=sgd", "optimizer.lr=1000"]
    diverged = run(compose([*SMALL, *overrides, f"results_dir={tmp_path / 'results'}"]))
    assert diverged.status == "diverged"
    assert compare(diverged.folder, replayed(diverged.folder, tmp_path / "again")) is None


def test_probes_are_identical(tmp_path, finished):
    probes = [
        probe(compose([*SMALL, "cell=gru", f"results_dir={tmp_path / 'results'}"])).folder,
        probe(config_of_checkpoint(finished), checkpoint=finished).folder,
    ]
    for folder in probes:
        assert compare(folder, replayed(folder, tmp_path / "again")) is None
    (finished / NETWORK).unlink()
    with pytest.raises(UsageError, match=r"the network that it probes is missing: .*network\.pt"):
        prepare_replay(probes[1], tmp_path / "again")


def test_a_changed_digit_is_found_and_named(tmp_path, finished):
    again = replayed(finished, tmp_path / "again")
    path = finished / "gradients.csv"
    lines = path.read_text().splitlines(keepends=True)
    row, norm = lines[7], lines[7].split(",")[5]
    changed = norm[:5] + str((int(norm[5]) + 1) % 10) + norm[6:]
    path.write_text("".join([*lines[:7], row.replace(norm, changed), *lines[8:]]))
    step, layer, state, timestep, lag = row.split(",")[:5]
    index = f"step={step} layer={layer} state={state} timestep={timestep} lag={lag}"
    said = str(compare(finished, again))
    assert said == f"gradients.csv, row 7 ({index}), column grad_norm: {changed} before, {norm} now"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], r"row 20.*, column step: nothing before, 20 now"),
        (lambda text: text + "21,1.0,1.0,1.0,1.0,1.0\n", r"row 21 .*column step: 21 before, nothing now"),
        (lambda text: text.replace("loss", "less", 1), "row 0, column less: less before, loss now"),
        (lambda text: text.replace("\n", ",9\n"), "row 0, column 9: 9 before, nothing now"),
        (lambda text: text.replace("\n", "\r\n"), r"row 0, column \(the row as it is written\): '.*\\r' before"),
        (lambda text: "", "row 0, column step: nothing before, step now"),
    ],
    ids=["row missing", "row more", "other column", "column more", "line ends", "empty"],
)
def test_other_differences_are_named(tmp_path, finished, change, said):
    again = replayed(finished, tmp_path / "again")
    path = finished / "metrics.csv"
    path.write_bytes(change(path.read_text()).encode())
    assert re.match(rf"metrics\.csv, {said}", str(compare(finished, again)))


def test_a_file_that_is_missing_is_named(tmp_path, finished):
    again = replayed(finished, tmp_path / "again")
    (finished / "gradients.csv").unlink()
    assert str(compare(finished, again)) == "gradients.csv, row 0, column step: nothing before, step now"


def test_what_has_changed_since_is_named(tmp_path, finished):
    again = replayed(finished, tmp_path / "again")
    assert changed_circumstances(finished, again) == []
    info = json.loads((finished / "run.json").read_text())
    now = info["versions"]["torch"]
    info["versions"]["torch"] = "1.0"
    info["machine"]["processor"] = "abacus"
    del info["source"]
    (finished / "run.json").write_text(json.dumps(info))
    found = changed_circumstances(finished, again)
    assert found[0] == f"torch: 1.0 before, {now} now"
    assert found[1].startswith("processor: abacus before, ")
    assert found[2].startswith("source: nothing before, ")
    assert len(found) == 3


def test_what_cannot_be_replayed(tmp_path, finished):
    with pytest.raises(UsageError, match="is not the folder of a run"):
        prepare_replay(tmp_path, tmp_path / "again")
    config = finished / ".hydra" / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("device: cpu", "device: abacus"))
    with pytest.raises(UsageError, match=r"^device=abacus: must be a device of this machine"):
        prepare_replay(finished, tmp_path / "again")
    config.write_text(text)
    info = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps({**info, "status": "failed"}))
    with pytest.raises(UsageError, match="is failed; only completed and diverged runs can be replayed"):
        prepare_replay(finished, tmp_path / "again")
