"""The page itself; tests/e2e/test_report_in_browser.py opens it."""

import base64
import html
import io
import re
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

from experiments.analysis.configuration_findings import describe_configurations
from experiments.analysis.summary import summarize_runs
from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.plotting.rendering import Renderer
from experiments.plotting.view import View
from experiments.reports.pdf import find_browser
from experiments.reports.study_report import write_report
from experiments.store.studies import Runs, read_runs
from experiments.training.probe import probe
from experiments.training.run import run as make

SMALL = ["task.length=10", "model.hidden_size=5", "batch_size=3", "steps=12", "record.every=5", "record.windows=5"]
EVALUATED = ["record.evaluate_every=4", "record.evaluate_samples=20"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    for cell in ("rnn", "lstm"):
        for seed in range(2):
            make(compose([f"cell={cell}", f"seed={seed}", *SMALL, *EVALUATED, "study=s", f"results_dir={results}"]))
    return results / "s"


@pytest.fixture(scope="module")
def page(study):
    return write_report([study])


@pytest.fixture
def alone(monkeypatch):
    """Let this process render all figures: to start others takes longer where there are few."""
    monkeypatch.setattr("experiments.reports.study_report.Renderer", partial(Renderer, alone=True))


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("experiments.reports.study_report.figure_names", lambda folder: ())


@pytest.fixture
def one_figure(monkeypatch, alone):
    monkeypatch.setattr("experiments.reports.study_report.figure_names", lambda folder: ("training",))


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_the_page_says_what_was_run_and_found(study, page):
    assert page == study / "report.html"
    text, runs = text_of(page), read_runs(study)
    assert "4 runs: 4 completed" in text
    summary, states = summarize_runs(runs)
    for cell in ("rnn", "lstm"):
        rows = [i for i, run in enumerate(runs) if run.config["cell"] == cell]
        (sentence,) = describe_configurations([runs[i] for i in rows], summary.iloc[rows], states).values()
        assert f"cell = {cell}: {sentence}." in text
        assert f"{summary['gain_at_init'].iloc[rows].astype(float).median():.3f}" in sentence
    for run in runs:
        assert run.id in text
        assert (page.parent / f"runs/{run.id}").is_dir()
        assert f'href="runs/{run.id}/"' in page.read_text()
    for version in ("torch", runs[0].info["versions"]["torch"], "processor"):
        assert version in text
    assert "seed=1" in text
    assert "task.length: 10" in text


def test_the_same_files_give_the_same_bytes(study, page, alone):
    assert write_report([study], path=study / "again.html").read_bytes() == page.read_bytes()


def test_the_figures_numbers_are_in_the_page(study, page):
    link = r'download="(\w+)\.csv" href="data:text/csv;charset=utf-8;base64,([^"]*)"'
    links = dict(re.findall(link, page.read_text()))
    assert set(links) == {
        *("gradient_flow", "gradient_map", "contributions", "contribution_map", "training", "clipping", "gates"),
        *("gate_means", "marked_timesteps"),
    }
    flow = pd.read_csv(io.BytesIO(base64.b64decode(links["gradient_flow"])))
    norms = pd.concat([run.table("gradients").query("step == 1") for run in read_runs(study)[2:]])
    drawn = flow.query("panel == 'before training' and line == 'rnn'").set_index("x")["y"]
    pd.testing.assert_series_equal(drawn, norms.groupby("lag")["grad_norm"].median(), check_names=False)


def test_numbers_too_many_for_the_page_lie_beside_it(study, tmp_path, monkeypatch, one_figure):
    monkeypatch.setattr("experiments.reports.study_report.MAX_BYTES", 100)
    page = write_report([study], path=tmp_path / "page.html").read_text()
    assert 'download="training.csv" href="figures/training.csv"' in page
    assert len(pd.read_csv(tmp_path / "figures" / "training.csv")) > 10


def test_what_a_user_called_it_is_text_and_no_markup(make_run, tmp_path, one_figure):
    hostile = "<script>alert(1)<script>"
    make_run(*SMALL, f'study="{hostile}"')
    page = write_report([tmp_path / "results" / hostile]).read_text()
    assert "<svg" in page
    assert hostile not in page
    assert page.count("<script>") == 1
    assert "<h1>&lt;script&gt;alert(1)&lt;script&gt;</h1>" in page


def test_ids_are_unique_across_figures(page):
    text = page.read_text()
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:xlink:href="#|url\(#|href="#)([^")]+)', text):
        assert target in ids


def test_runs_that_did_not_end_well_are_named(make_run, tmp_path, without_figures):
    make_run("cell.nonlinearity=identity", "init=orthogonal", "init.gain=3", "task.length=100", "study=d")
    make_run("cell.nonlinearity=identity", "init=orthogonal", "init.gain=1", *SMALL, "study=d")
    page = write_report([tmp_path / "results" / "d"])
    assert "Runs that did not complete" in text_of(page)
    assert re.search(r"rnn-adding-none-seed0-\w+ diverged: diverged at step 1: loss", text_of(page))
    assert "2 runs: 1 completed, 1 diverged" in text_of(page) or "2 runs: 1 diverged, 1 completed" in text_of(page)


def test_several_studies_stand_beside_each_other(make_run, tmp_path, without_figures):
    for name, cell in (("first", "rnn"), ("second", "lstm")):
        make_run(f"cell={cell}", *SMALL, f"study={name}")
    results = tmp_path / "results"
    page = write_report([results / "first", results / "second"])
    assert page == results / "first+second" / "report.html"
    text = text_of(page)
    assert "first and second" in text
    assert re.search(r"study\s*first, second", text)
    assert "study = second: " in text
    for link in re.findall(r'<a href="(\.\./[^"]*)"', page.read_text()):
        assert (page.parent / link).is_dir()


def test_parameters_are_whole_numbers(study, tmp_path, monkeypatch, without_figures):
    runs = Runs(replace(run, info={**run.info, "parameters": 264193}) for run in read_runs(study))
    monkeypatch.setattr("experiments.reports.study_report.read_studies", lambda studies: runs)
    page = write_report([study], path=tmp_path / "page.html").read_text()
    assert page.count('data-key="264193.0">264193</td>') == len(runs)
    assert "2.642e+05" not in page


def test_a_column_without_any_value_is_left_out(page):
    assert "diverged_" not in page.read_text()


def test_a_condition_is_named(study, tmp_path, without_figures):
    text = text_of(write_report([study], View(where=["cell=lstm"]), tmp_path / "page.html"))
    assert "2 runs: 2 completed; only cell=lstm" in text


def test_no_browser_is_said_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="--pdf: needs Chromium"):
        find_browser()


def test_a_page_of_probes_has_neither_steps_nor_a_loss_and_one_of_trainings_names_the_state(tmp_path, without_figures):
    config = [*SMALL, "cell=scrn", "probe.samples=1", "probe.batches=1", f"results_dir={tmp_path}"]
    probe(compose([*config, "study=probes"]))
    make(compose([*config, "study=trainings"]))
    of_probes, of_trainings = (text_of(write_report([tmp_path / name])) for name in ("probes", "trainings"))
    assert "final_" not in of_probes
    assert "final_" in of_trainings
    assert ["\nsteps12\n" in text for text in (of_probes, of_trainings)] == [False, True]
    assert "Gain and horizon are those of the named state" in of_trainings
