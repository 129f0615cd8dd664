"""What is shown while runs go on."""

import io
import math
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.progress import counts, display, sparkline
from experiments.status import State, Task


def state(status, step=0, label="cell=lstm", **more):
    return State(Task(Path("x"), label, 1000), status, step, **more)


RUNNING = {"loss": 0.123456, "grad_norm": 1234.5, "seconds": 10.0, "speed": 37.0, "flow": [1, 0.1, 0.01, 1e-9, 0.0]}


def rendered(states, width, height=24):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(display(states, console))
    return console.file.getvalue().splitlines()


def test_a_level_of_the_sparkline_is_a_decade():
    assert sparkline([1, 0.5, 0.1, 0.01, 1e-20, 0, math.inf], 10) == "█" + "█▇▆▁ !"
    assert sparkline([], 10) == ""
    assert sparkline([0.0, math.nan], 10) == " !"
    assert len(sparkline([1.0] * 200, 10)) == 10


def test_runs_are_counted_by_how_they_are():
    states = [state("completed"), state("diverged"), state("running"), state("failed"), state("waiting")]
    assert counts(states) == "2/5 done, 1 running, 1 diverged, 1 failed, 1 waiting"


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_display_fits_the_terminal(width):
    label = "cell=lstm init=orthogonal init.gain=1.25 task.length=200 seed=11"
    states = [state("running", 350, label, **RUNNING)] * 8 + [state("waiting")] * 100 + [state("completed", 1000)] * 9
    lines = rendered(states, width)
    assert len(lines) <= 24
    assert max(map(cell_len, lines)) <= width
    assert "9/117 done, 8 running, 100 waiting" in lines[0]
    assert sum("350/1000" in line for line in lines) == 8
    assert sum("0:18 left" in line for line in lines) == 8
    assert sum("█▇▆▁" in line for line in lines) == 8


def test_more_runs_than_lines_are_counted():
    lines = rendered([state("running", 1, f"run {i}", **RUNNING) for i in range(50)], 80, height=12)
    assert len(lines) <= 12
    assert "and 42 more" in lines


def test_a_run_without_a_row_yet_is_starting():
    (line,) = (line for line in rendered([state("running")], 120) if line.strip())
    assert "starting" in line
    assert "nan" not in line
