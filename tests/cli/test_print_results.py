"""Tables and sentences at the width of a terminal."""

import io
import shlex
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.print_results import print_columns, print_readings, print_runs
from cli.printing import print_wrapped, wrap_command
from experiments.analysis.findings import Reading

WIDTHS = [40, 60, 80, 120]


def columns(rows, **more):
    """Cells as they are in a sweep: keys, then numbers that differ in each row."""
    table = {
        "cell": ["rnn", "lstm", "gru"] * rows,
        "task.length": ["100", "200", "1000"] * rows,
        "clip": ["none", "norm", "value"] * rows,
        **more,
        "status": ["completed"] * 3 * rows,
        "loss": ["0.04321", "1.234e-05", "nan"] * rows,
        "error": ["75.8%", "100.0%", "3.1%"] * rows,
        "chance": ["64%"] * 3 * rows,
        "gain before": ["0.534", "0.727", "12345.678"] * rows,
        "gain after": ["0.400", "0.750", ""] * rows,
        "horizon": ["7", "19", "1023"] * rows,
        "max norm": ["3.98", "1.23e+19", "inf"] * rows,
        "clipped": ["0%", "100%", "98%"] * rows,
        "seconds": ["0.2", "1234.5", "10.0"] * rows,
    }
    return table


LONG = {
    "optimizer.learning_rate_of_the_first_layer": ["0.00012345"] * 3,
    "record.evaluate_samples": ["1000", "20", "3"],
    "init.gain": ["0.98765", "1.2345", "1"],
    "model.num_layers": ["1", "2", "3"],
    "optimizer.beta1": ["0.9", "0.99", "0.999"],
}


def printed(width, table, keys):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_columns(console, table, keys)
    return console.file.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("more", [{}, LONG], ids=["few keys", "many long keys"])
def test_no_cell_is_cut_and_what_is_left_out_is_said(width, more):
    table, keys = columns(1, **more), ["cell", "task.length", "clip", *more]
    text = printed(width, table, keys)
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= max(width, *(len(key) + 11 for key in keys))
    words = set(text.replace(",", " ").replace("=", " ").split())
    left_out = " ".join(text.split()).partition("columns that do not fit: ")[2].partition("; see")[0]
    for heading, cells in table.items():
        if heading in left_out.split(", "):
            assert heading not in keys
        else:
            assert words >= {*heading.split(), *filter(None, cells)} - {"status"}, heading


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (120, ""),
        (80, "columns that do not fit: seconds, max norm; see summary.csv"),
        (60, "max norm, loss, clipped; see summary.csv"),
    ],
)
def test_a_narrow_table_says_once_what_all_rows_share_and_names_what_it_leaves_out(width, left_out):
    text = printed(width, columns(1), ["cell", "task.length", "clip"])
    assert ("same in all rows: completed, chance 64%" in text) == (width < 120)
    assert left_out in " ".join(text.split())
    assert len({line.rstrip().endswith(" 1023") for line in text.splitlines()}) == 1 + (width == 60)


@pytest.mark.parametrize("width", [40, 60])
def test_where_the_keys_alone_are_too_wide_each_row_is_a_paragraph_with_all_its_numbers(width):
    text = printed(width, columns(1, **LONG), ["cell", "task.length", "clip", *LONG])
    assert "do not fit" not in text
    assert text.count("init.gain=") == 3
    assert "  completed, loss 0.04321," in text
    assert "gain before 12345.678," in text


def test_a_key_that_all_rows_share_is_said_with_its_value():
    text = printed(60, columns(1) | {"cell": ["gated_recurrent_unit"] * 3}, ["cell", "task.length", "clip"])
    assert "same in all rows: cell gated_recurrent_unit, completed" in " ".join(text.split())


def test_a_column_without_any_cell_has_no_heading():
    table = {"cell": ["rnn", "lstm"], "error": ["", ""], "loss": ["1", "2"]}
    assert "error" not in printed(80, table, ["cell"])


@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_number_of_a_probe_means_is_whole(width):
    readings = [
        Reading("largest Lyapunov exponent", "-0.213", "nats a timestep; below 0 nearby states come together"),
        Reading("clipping threshold", "1.63 to 32.6", "to start from"),
    ]
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_readings(console, readings)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for reading in readings:
        assert any(reading.value in line for line in lines)
        assert set(reading.meaning.split()) <= set(" ".join(lines).split())


def test_a_pipe_gets_all_columns(make_run, capsys):
    for gain in (0.5, 1.5):
        run = make_run("cell=lstm", "task.length=5", "steps=2", "init=orthogonal", f"init.gain={gain}", "study=wide")
    study = run.folder.parent.parent
    print_runs(study, [folder.name for folder in run.folder.parent.iterdir()])
    heading = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("cell"))
    assert heading.split()[-2:] == ["clipped", "seconds"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [40, 60])
def test_a_sentence_breaks_between_words_and_a_path_stays_whole(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    path = "/a/path/" + "that/is/longer/than/the/terminal/" * 3
    sentence = f"rnn-adding: RuntimeError: it broke at {path} because 기울기 is no number"
    monkeypatch.setattr(sys, "stdout", Terminal())
    print_wrapped(sentence, indent="  ")
    lines = sys.stdout.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines) == sentence
    assert all(cell_len(line) <= width or path in line for line in lines)


def test_a_sentence_in_a_pipe_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    print_wrapped("word " * 30)
    assert capsys.readouterr().out == "word " * 30 + "\n"


def test_a_command_over_several_lines_can_be_pasted():
    words = ["bptt", "sweep", "seed=range(5)", "study=two words", "task.length=10,20", 'a="b c"', "it's=1"]
    command = shlex.join(words)
    lines = wrap_command(command, 30)
    assert len(lines) > 3
    assert all(len(line) <= 30 for line in lines)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
