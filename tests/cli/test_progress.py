"""The progress that is shown while runs are running."""

import io
import math
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.progress_table import count_by_status, progress_table, sparkline
from cli.redrawn_text import ALTERNATE_SCREEN, ERASE_BELOW, HIDE_CURSOR, MAIN_SCREEN, SHOW_CURSOR, RedrawnText
from experiments.store.progress import FollowedRun, Progress


def run(status, step=0, label="cell=lstm", **more):
    return Progress(FollowedRun(Path("x"), label, 1000), status, step, **more)


RUNNING = {"loss": 0.123456, "grad_norm": 1234.5, "seconds": 10.0, "speed": 37.0, "flow": [1, 0.1, 0.01, 1e-9, 0.0]}


def rendered(progress, width, height=24):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(progress_table(progress, console))
    return console.file.getvalue().splitlines()


def test_a_level_of_the_sparkline_is_a_decade():
    assert sparkline([1, 0.5, 0.1, 0.01, 1e-20, 0, math.inf], 10) == "█" + "█▇▆▁ !"
    assert sparkline([], 10) == ""
    assert sparkline([0.0, math.nan], 10) == " !"
    assert len(sparkline([1.0] * 200, 10)) == 10


def test_runs_are_counted_by_how_they_are():
    progress = [run("completed"), run("diverged"), run("running"), run("failed"), run("waiting")]
    assert count_by_status(progress) == "2/5 done, 1 running, 1 diverged, 1 failed, 1 waiting"
    assert count_by_status([run("completed"), run("completed", 7, stopped="solved")]) == "2/2 done, 1 stopped early"


@pytest.mark.parametrize(("width", "fit"), [(40, 6), (60, 7), (80, 8), (100, 8), (140, 8)])
def test_the_display_fits_the_terminal(width, fit):
    label = "cell=lstm init=orthogonal init.gain=1.25 task.length=200 seed=11"
    progress = [run("running", 350, label, **RUNNING)] * 8 + [run("waiting")] * 100 + [run("completed", 1000)] * 9
    lines = rendered(progress, width)
    assert len(lines) <= 24
    assert max(map(cell_len, lines)) <= width
    assert "9/117 done, 8 running, 100 waiting" in lines[0]
    assert sum("350/1000" in line for line in lines) == fit
    assert sum("0:18 left" in line for line in lines) == fit
    assert sum("█▇▆▁" in line for line in lines) == fit
    assert (f"and {8 - fit} more" in lines) == (fit < 8)
    for word in label.split(" "):
        assert sum(word in line.split(" ") for line in lines) == fit, word


def test_more_runs_than_lines_are_counted():
    lines = rendered([run("running", 1, f"run {i}", **RUNNING) for i in range(50)], 80, height=12)
    assert len(lines) <= 12
    assert sum("1/1000" in line for line in lines) == 9
    assert "and 41 more" in lines


def test_a_run_without_a_row_yet_is_starting():
    (line,) = (line for line in rendered([run("running")], 120) if line.strip())
    assert "starting" in line
    assert "nan" not in line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_is_written_while_a_tall_text_is_there_is_seen_and_stays():
    stream = Terminal()
    with RedrawnText(stream, tall=True) as text:
        text.draw("running")
        begun = stream.tell()
        text.write("stopping after this step\n")
        assert "stopping after this step" in stream.getvalue()[begun:]
        begun = stream.tell()
        text.draw("running")
        assert "running" in stream.getvalue()[begun:]
        assert "stopping after this step" in stream.getvalue()[begun:]
        begun = stream.tell()
    assert stream.getvalue()[begun:].endswith("stopping after this step\n")
    assert stream.getvalue().startswith(HIDE_CURSOR + ALTERNATE_SCREEN)
    assert MAIN_SCREEN + SHOW_CURSOR in stream.getvalue()[begun:]


def test_what_is_written_while_a_low_text_is_there_stands_above_it():
    stream = Terminal()
    with RedrawnText(stream, tall=False) as text:
        text.draw("running")
        begun = stream.tell()
        text.write("stopping after this step\n")
        assert stream.getvalue()[begun:] == f"\r{ERASE_BELOW}stopping after this step\n"
    assert ALTERNATE_SCREEN not in stream.getvalue()


def test_a_text_is_never_higher_than_its_terminal(monkeypatch):
    monkeypatch.setenv("LINES", "5")
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    with RedrawnText(stream, tall=True) as text:
        text.draw("\n".join(f"line {i}" for i in range(50)))
        text.write("said\n")
        begun = stream.tell()
        text.draw("\n".join(f"line {i}" for i in range(50)))
        drawn = stream.getvalue()[begun:]
    assert drawn.count("\n") == 4
    assert "line 3" in drawn
    assert "line 4" not in drawn
    assert "said" in drawn


def test_a_text_that_is_never_drawn_writes_nothing():
    stream = Terminal()
    with RedrawnText(stream, tall=True):
        pass
    assert stream.getvalue() == ""
