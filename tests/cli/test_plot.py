"""`bptt plot`: options that only the command line has, figures of the user's own, and studies with missing runs."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from experiments.store.plans import PlannedRun, record_plan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--aspect", "16:9", "--height", "3"], "--aspect 16:9 --height 3: choose one of them"),
        (["--aspect", "16:0"], "--aspect 16:0: write width to height"),
        (["--aspect", "wide"], "--aspect wide: write width to height"),
        (["--aspect", "nan"], "--aspect nan: write width to height"),
    ],
)
def test_an_aspect_is_a_ratio_and_stands_for_a_height(options, message):
    result = CliRunner().invoke(app, ["plot", "no_study", *options])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"bptt: {message}")
    assert len(result.stderr.splitlines()) == 1


TOY = '''
"""The largest gradient norm of each run, by its seed."""

from functools import partial

from matplotlib.ticker import FuncFormatter

from experiments.drawing.lines import draw_line, rows_by_line
from experiments.drawing.panel import Panel

TABLES = ("toy",)
CAPTION = "The numbers of toy.csv."


def written(number, _):
    return f"<{number:g}>"


def draw(data, panel: Panel, *, factor):
    for value, rows, colour, marker in rows_by_line(panel, data["toy"].assign(norm=factor * data["toy"]["norm"])):
        draw_line(panel, rows, "step", "norm", value=value, colour=colour, marker=marker)
    panel.ax.yaxis.set_major_formatter(FuncFormatter(written))
    panel.explain("Doubled.")


PANELS = (partial(draw, factor=2.0),)
'''


@pytest.fixture
def mine(make_run, tmp_path):
    """A folder with a figure of the user's own, and a study whose runs have the table that it shows."""
    small = ("task.length=6", "model.hidden_size=3", "batch_size=2", "steps=2", "record.evaluate_samples=4")
    for cell in ("rnn", "lstm"):
        run = make_run(*small, f"cell={cell}", "study=s")
        (run.folder / "toy.csv").write_text("step,norm\n1,1.5\n2,2.5\n")
    (tmp_path / "mine" / "figure").mkdir(parents=True)
    (tmp_path / "mine" / "figure" / "toy.py").write_text(TOY)
    return tmp_path / "mine"


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_figure_of_ones_own_is_listed_and_drawn(mine, tmp_path):
    listed = invoke("list", "figure", "--config-dir", mine)
    assert "The largest gradient norm of each run, by its seed." in listed.stdout
    study = tmp_path / "results" / "s"
    formats = ["--format", "csv,svg,png,pdf"]  # so many are rendered by other processes
    done = invoke("plot", study, "--figure", "toy", "--config-dir", mine, *formats)
    assert done.exit_code == 0, done.output
    numbers = (study / "figures" / "toy.csv").read_text().splitlines()
    assert numbers == ["panel,line,x,y", ",rnn,1,3.0", ",rnn,2,5.0", ",lstm,1,3.0", ",lstm,2,5.0"]
    drawn = (study / "figures" / "toy.svg").read_text()
    assert "<3>" in drawn.replace("&lt;", "<").replace("&gt;", ">")
    assert "Doubled." in drawn
    every = invoke("plot", study, "--config-dir", mine, "--format", "csv")
    assert {"toy.csv", "training.csv"} <= {Path(line).name for line in every.stdout.splitlines()}
    assert "toy.csv" not in invoke("plot", study, "--format", "csv").stdout


def test_a_report_shows_the_figures_of_ones_own(mine, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.figures.NAMES", ())
    study = tmp_path / "results" / "s"
    done = invoke("report", study, "--config-dir", mine)
    assert done.exit_code == 0, done.output
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "The largest gradient norm of each run, by its seed." in page
    assert "Doubled." in page
    assert invoke("report", study).exit_code == 0
    assert "Doubled." not in (study / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("toy", "TABLES = ()", "toy.py: has no PANELS and no CAPTION; a figure needs TABLES, PANELS and CAPTION"),
        ("toy", "import no_such_module", "toy.py: cannot be imported: ModuleNotFoundError: No module named"),
        ("toy", "def (", "toy.py: cannot be imported: SyntaxError: "),
        ("gates", TOY, "gates.py: gates is a figure of bptt's own, so yours needs another name"),
    ],
)
def test_what_is_wrong_with_a_figure_of_ones_own_is_said(mine, tmp_path, name, text, message):
    (mine / "figure" / f"{name}.py").write_text(text)
    done = invoke("plot", tmp_path / "results" / "s", "--figure", name, "--config-dir", mine)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_missing_runs_are_counted(mine, tmp_path):
    study = tmp_path / "results" / "s"
    plot = ("plot", study, "--figure", "training")
    assert not invoke(*plot).stderr
    runs = {name: PlannedRun(name, 2) for name in ("never", "started")}
    record_plan(study, runs, "bptt sweep study=s")
    assert invoke(*plot).stderr == "bptt: 2 of 4 runs are not finished\n"
    info = next((study / "runs").glob("*/run.json"))
    info.write_text(info.read_text().replace('"completed"', '"interrupted"'))
    assert "bptt: 3 of 4 runs are not finished\n" in invoke(*plot).stderr
