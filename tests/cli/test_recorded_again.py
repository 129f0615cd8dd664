"""What is recorded is no part of a run: a finished run is given another record, and its training stays as it was."""

import json

import pandas as pd
import pytest

SMALL = ("steps=8", "task.length=10", "model.hidden_size=6", "batch_size=4", "record.evaluate_samples=20")
FINER = ("record.every=3", "record.windows=all", "record.lags=true")


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def folder_of(root, pattern="*"):
    (folder,) = (root / "results" / "default" / "runs").glob(pattern)
    return folder


def test_a_finished_run_is_recorded_more_finely(bptt, tmp_path):
    assert bptt("run", *SMALL, "-q").exit_code == 0
    folder = folder_of(tmp_path)
    before = tables(folder)
    asked = bptt("run", *SMALL, *FINER, "-q")
    again = f"bptt replay {folder.relative_to(tmp_path)} record.lags=true record.every=3 record.windows=all"
    assert asked.exit_code == 1
    lacks = "record.lags=true, record.every=3, record.windows=all"
    assert asked.stderr == f"1 finished run was recorded without {lacks}; to record it again: {again}\n"
    assert tables(folder) == before

    done = bptt(*again.split()[1:], "-q")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "the training is identical; recorded with record.lags=true record.every=3 record.windows=all" in done.stdout
    assert bptt("run", *SMALL, *FINER, "-q").stderr == ""
    assert bptt("replay", folder, "-q").stdout.endswith("identical\n")

    assert bptt("run", *SMALL, *FINER, "results_dir=other", "-q").exit_code == 0
    assert tables(folder) == tables(tmp_path / "other" / "default" / "runs" / folder.name)
    info = json.loads((folder / "run.json").read_text())
    assert info["record"]["windows"] == "all"
    assert info["recorded_by"]["command"][1:3] == ["replay", str(folder.relative_to(tmp_path))]


def test_a_run_whose_training_differs_keeps_its_record(bptt, tmp_path):
    bptt("run", *SMALL, "-q")
    folder = folder_of(tmp_path)
    rows = (folder / "metrics.csv").read_text().splitlines()
    rows[3] = rows[3].replace(rows[3].split(",")[1], "7.5")
    (folder / "metrics.csv").write_text("\n".join([*rows, ""]))
    before = tables(folder)
    done = bptt("replay", folder, *FINER, "-q")
    assert done.exit_code == 1
    assert "metrics.csv, row 3 (step=3), column loss: 7.5 before" in done.stdout
    assert tables(folder) == before


def test_a_run_is_given_a_smaller_record(bptt, tmp_path):
    bptt("run", *SMALL, "-q")
    folder = folder_of(tmp_path)
    assert bptt("replay", folder, "record=none", "-q").exit_code == 0
    assert set(tables(folder)) == {"metrics.csv", "evaluation.csv"}
    assert bptt("status", "default").exit_code == 0


def test_a_probe_is_recorded_again(bptt, tmp_path):
    probe = ("probe", *SMALL, "probe.samples=2", "probe.batches=2")
    bptt(*probe, "-q")
    folder = folder_of(tmp_path)
    assert (
        "was recorded without record.windows=all;" in bptt(*probe, "record.windows=all", "record.every=1", "-q").stderr
    )
    assert bptt("replay", folder, "record.windows=all", "-q").exit_code == 0
    assert len((folder / "jacobian.csv").read_text().splitlines()) == 11
    assert bptt(*probe, "record.windows=all", "-q").stderr == ""


def test_a_sweep_says_which_runs_lack_what_is_asked_for(bptt, tmp_path):
    bptt("sweep", *SMALL, "cell=rnn,gru", "-q")
    asked = bptt("sweep", *SMALL, "cell=rnn,gru,lstm", "record.every=3", "-q")
    assert asked.exit_code == 1
    assert "2 finished runs were recorded without record.every=3; to record them again: " in asked.stderr
    assert "bptt replay results/default/runs/* record.every=3" in asked.stderr


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "record.evaluate_every=3",
            "record.evaluate_every=3: the evaluation is part of the run, so it cannot be changed",
        ),
        ("record.every=1,2", "record.every=1,2: a run has one record, so give one value: record.every=VALUE"),
        ("record=full,none", "record=full,none: a run has one record, so give one value: record=VALUE"),
        ("record.every=0", "record.every=0: must be greater than 0"),
        ("record.evry=1", "record.evry=1: there is no such key; did you mean record.every?"),
        ("record=fine", "record=fine: there is no such record; choose from default, full, none"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(bptt, tmp_path, asked, said):
    bptt("run", *SMALL, "-q")
    folder = folder_of(tmp_path)
    before = tables(folder)
    done = bptt("replay", folder, asked)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert tables(folder) == before


def test_settings_alone_are_of_no_run(bptt):
    done = bptt("replay", "record.every=1")
    assert (done.exit_code, done.stderr) == (2, "bptt: record.every=1: for which run? Give the folder of a run, too\n")


def test_a_grid_over_what_is_recorded_is_one_run(bptt, tmp_path):
    done = bptt("sweep", *SMALL, "record.every=1,2")
    assert done.exit_code == 2
    assert "What is recorded does not make a run another one" in done.stderr
    assert not (tmp_path / "results").exists()


def test_other_files_in_the_folder_stay(bptt, tmp_path):
    bptt("run", *SMALL, "-q")
    folder = folder_of(tmp_path)
    (folder / "mine.csv").write_text("a,b\n1,2\n")
    assert bptt("replay", folder, "-q").stdout.endswith("identical\n")
    assert bptt("replay", folder, "record=none", "-q").exit_code == 0
    assert set(tables(folder)) == {"metrics.csv", "evaluation.csv", "mine.csv"}
    assert bptt("replay", folder, "-q").stdout.endswith("identical\n")


def test_runs_that_cannot_be_replayed_are_left_out(bptt, tmp_path):
    bptt("sweep", *SMALL, "cell=rnn,gru", "-q")
    good, bad = folder_of(tmp_path, "rnn-*"), folder_of(tmp_path, "gru-*")
    info = json.loads((bad / "run.json").read_text())
    (bad / "run.json").write_text(json.dumps({**info, "status": "interrupted"}))
    done = bptt("replay", good, bad, "record.every=2", "-q")
    assert done.exit_code == 1
    assert f"{good}: the training is identical" in done.stdout
    assert f"left out: {bad}: is interrupted; only completed and diverged runs can be replayed" in done.stderr
    alone = bptt("replay", bad, "record.every=2")
    assert (alone.exit_code, alone.stdout) == (2, "")


def test_a_measure_of_ones_own_that_was_off_is_not_needed(bptt, tmp_path):
    (tmp_path / "mine" / "measure").mkdir(parents=True)
    (tmp_path / "mine" / "measure" / "nothing.py").write_text(
        "from experiments.measures.measure import Measure\n\n\nclass Nothing(Measure):\n    columns = ('step',)\n"
    )
    bptt("run", *SMALL, "-q", "--config-dir", "mine")
    folder = folder_of(tmp_path)
    assert json.loads((folder / "run.json").read_text())["record"]["nothing"] is False
    assert bptt("replay", folder, "record.every=2", "-q").exit_code == 0


def test_runs_are_not_told_apart_by_what_they_recorded(bptt, tmp_path):
    """Not in the summary either, which is written again, and so has what lags.csv says."""
    bptt("sweep", *SMALL, "task=copy", "seed=range(2)", "-q")
    summary = tmp_path / "results" / "default" / "summary.csv"
    first, _ = sorted((tmp_path / "results" / "default" / "runs").iterdir())
    assert pd.read_csv(summary)["gain_at_init"].isna().all()
    assert bptt("replay", first, "record.lags=true", "record.every=2", "-q").exit_code == 0
    after = pd.read_csv(summary)
    assert after["gain_at_init"].notna().tolist() == [True, False]
    assert not [column for column in after if column.startswith("record.")]


def test_only_what_is_recorded_can_be_set(bptt, tmp_path):
    bptt("run", *SMALL, "-q")
    done = bptt("replay", folder_of(tmp_path), "steps=10")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "bptt: steps=10: only what is recorded can be set, such as record.every=1\n"


def test_a_network_that_is_missing_is_named(bptt, tmp_path):
    bptt("run", *SMALL, "-q")
    folder = folder_of(tmp_path)
    (folder / "network.pt").unlink()
    done = bptt("replay", folder, "record.every=2", "-q")
    assert done.exit_code == 1
    assert "network.pt, row 0, column (the parameters): nothing before, " in done.stdout
