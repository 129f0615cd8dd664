"""A run whose files are not what it wrote is named, left out and counted by every command; none deletes it unasked."""

import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

import experiments.reports.study_report
from experiments.analysis.summary import write_summary
from experiments.claims.evaluation import evaluate_claims
from tests.cli.conftest import TINY, commands_in

GRID = ["sweep", "cell=rnn,lstm", "seed=0,1", *TINY, "study=s", "-q", "-j1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results with a study of four runs, of which each test gets a copy."""
    folder = tmp_path_factory.mktemp("made")
    with commands_in(folder) as bptt:
        done = bptt(*GRID)
    assert done.exit_code == 0, done.output
    return folder / "results"


@pytest.fixture
def study(made, tmp_path):
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results" / "s"


@pytest.fixture
def victim(study):
    """One of them."""
    return next((study / "runs").glob("rnn-*-seed0-*"))


def insert_blank_line(folder):
    lines = (folder / "gradients.csv").read_text().splitlines(keepends=True)
    (folder / "gradients.csv").write_text("".join([*lines[:3], "\n", *lines[3:]]))


def empty_table(folder):
    (folder / "metrics.csv").write_text("")


def truncate(folder):
    text = (folder / "gradients.csv").read_text()
    (folder / "gradients.csv").write_text(text[: text.rindex("\n", 0, -1) + 1])


def edit_digit(folder):
    text = (folder / "metrics.csv").read_text()
    place = text.rindex(".") + 1
    (folder / "metrics.csv").write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")


def delete_table(folder):
    (folder / "evaluation.csv").unlink()


def edit_config(folder):
    path = folder / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))


def break_record(folder):
    (folder / "run.json").write_text('{"status": "comp')


def delete_record(folder):
    (folder / "run.json").unlink()


DAMAGES = {
    insert_blank_line: "gradients.csv has 13 rows, but the run wrote 12",
    truncate: "gradients.csv has 11 rows, but the run wrote 12",
    empty_table: "metrics.csv is empty",
    edit_digit: "metrics.csv was changed after the run ended",
    delete_table: "evaluation.csv is missing",
    edit_config: ".hydra/config.yaml was changed after the run ended",
    break_record: "run.json cannot be read",
    delete_record: "run.json is missing",
}


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.__name__)
def test_every_output_names_leaves_out_and_counts_a_damaged_run(bptt, study, victim, harm):
    harm(victim)
    before = {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    named = f"results/s/runs/{victim.name}: {DAMAGES[harm]}"

    plotted = bptt("plot", "s", "--figure", "gradient_flow", "--format", "csv")
    assert plotted.exit_code == 0
    assert "1 of 4 runs is left out:" in plotted.stderr
    assert named in plotted.stderr
    drawn = pd.read_csv(study / "figures" / "gradient_flow.csv")
    assert drawn["y"].notna().all()

    states = bptt("status", "s").stdout
    assert "3/4 done, 1 damaged" in states
    assert f"cell=rnn seed=0 ({victim.name}): damaged: {DAMAGES[harm]}" in states
    assert "--retry" in states

    cleaned = bptt("clean", "s", "--failed")
    assert named in cleaned.stderr
    assert "0 runs deleted" in cleaned.stdout
    summary, _ = write_summary(study)
    assert len(summary) == 3
    assert victim.name not in set(summary["run_id"])
    assert {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()} == before


def test_a_report_names_leaves_out_and_counts_a_damaged_run(bptt, study, victim, monkeypatch):
    monkeypatch.setattr(experiments.reports.study_report, "figure_names", lambda _: ())
    insert_blank_line(victim)
    assert f"results/s/runs/{victim.name}: {DAMAGES[insert_blank_line]}" in bptt("report", "s").stderr
    page = (study / "report.html").read_text()
    assert "1 of 4 runs is left out:" in page
    assert DAMAGES[insert_blank_line] in page
    assert f'href="runs/{victim.name}' not in page
    assert page.count('href="runs/rnn-') == 1


@pytest.mark.parametrize("harm", [insert_blank_line, edit_digit, break_record])
def test_a_sweep_keeps_a_damaged_run_until_it_is_told_to_make_it_again(bptt, study, victim, harm):
    whole = {path.name: path.read_bytes() for path in victim.glob("*.csv")}
    harm(victim)
    again = bptt(*GRID)
    assert again.exit_code == 1
    assert "1 run is damaged; --retry runs it again" in again.stderr
    asked = bptt(*GRID, "--retry")
    assert asked.exit_code == 2
    assert "--retry deletes finished runs in results/s: 1 run is damaged" in asked.stderr
    made = bptt(*GRID, "--retry", "--yes")
    assert (made.exit_code, made.stderr) == (0, "")
    assert {path.name: path.read_bytes() for path in victim.glob("*.csv")} == whole
    assert len(pd.read_csv(study / "summary.csv")) == 4


def test_a_single_run_keeps_what_is_damaged_until_it_is_told_to_make_it_again(bptt, study, victim):
    break_record(victim)
    again = bptt("run", "cell=rnn", *TINY, "study=s")
    assert again.exit_code == 1
    assert "1 run is damaged; --fresh runs it again" in again.stderr
    assert bptt("run", "cell=rnn", *TINY, "study=s", "--fresh").exit_code == 0
    assert json.loads((victim / "run.json").read_text())["status"] == "completed"


def test_a_copied_folder_is_no_further_seed(bptt, study, victim):
    shutil.copytree(victim, victim.with_name("another"))
    said = f"results/s/runs/another: is a copy of the run {victim.name}"
    assert said in bptt("plot", "s", "--figure", "gradient_flow", "--format", "csv").stderr
    again = bptt(*GRID)
    assert again.exit_code == 0  # nothing that was asked for is missing
    assert said in again.stderr
    assert len(pd.read_csv(study / "summary.csv")) == 4
    cleaned = bptt("clean", "s", "--damaged", "--yes")
    assert "1 run deleted" in cleaned.stdout
    assert sorted(path.name for path in (study / "runs").iterdir()) == sorted(pd.read_csv(study / "summary.csv").run_id)


def test_a_study_that_is_moved_or_copied_is_whole(bptt, study, tmp_path):
    shutil.copytree(study, tmp_path / "results" / "t", copy_function=shutil.copyfile)  # with new times
    assert "4/4 done" in bptt("status", "t").stdout
    assert "left out" not in bptt("plot", "t", "--figure", "gradient_flow", "--format", "csv").stderr


def test_a_study_of_damaged_runs_says_so(bptt, study):
    for folder in (study / "runs").iterdir():
        empty_table(folder)
    done = bptt("report", "s")
    assert done.exit_code == 2
    assert "all 4 runs are damaged; the first is" in done.stderr
    assert "0/4 done, 4 damaged" in bptt("status", "s").stdout


def test_runs_without_digests_are_read_as_before(bptt, study, victim):
    for folder in (study / "runs").iterdir():
        info = json.loads((folder / "run.json").read_text())
        del info["files"], info["run_id"], info["made_from"]
        (folder / "run.json").write_text(json.dumps(info))
    edit_digit(victim)
    assert "4/4 done" in bptt("status", "s").stdout
    assert bptt(*GRID).exit_code == 0
    insert_blank_line(victim)
    done = bptt("plot", "s", "--figure", "gradient_flow")
    assert done.exit_code == 2
    assert f"{victim.name}/gradients.csv: is not a CSV file of a run: row 3 is blank" in done.stderr


def test_replay_says_what_was_changed_and_how_to_make_it_again(bptt, study, victim):
    others = sorted(folder for folder in (study / "runs").iterdir() if folder != victim)
    edit_digit(victim)
    break_record(others[0])
    done = bptt("replay", victim, *others, "-q")
    assert done.exit_code == 1
    assert f"{victim}: metrics.csv, row 2" in done.stdout
    assert "  metrics.csv was changed after the run ended\n  to rerun it: bptt sweep cell=rnn,lstm" in done.stdout
    assert done.stdout.count("identical") == 2
    assert f"left out: {others[0]}: run.json cannot be read" in done.stderr
    assert "2 of 4 damaged" in done.stderr


def test_claims_are_held_against_whole_runs_only(study, victim):
    empty_table(victim)
    measured = []
    claim = SimpleNamespace(measure=lambda tables: measured.extend(run.id for run in tables.runs) or [], nulls=())
    ids = [folder.name for folder in (study / "runs").iterdir()]
    (judged,) = evaluate_claims(study, ids, [claim])
    assert judged.damage_report == ["1 of 4 runs is left out:", f"  {victim}: metrics.csv is empty"]
    assert sorted(measured) == sorted(set(ids) - {victim.name})
