"""A run on a table of the user's own: what it records of the file, and what commands say if the file changes."""

import json
import shlex
import time

import numpy as np
import pandas as pd
import pytest

from experiments.tasks.series import Series
from tests.experiments.tasks.idx_files import write_images

TINY = ["model.hidden_size=3", "batch_size=2", "steps=3", "record.evaluate_samples=4", "study=s", "-q"]
ASKED = ["task=csv", "task.path=pump.csv", "task.columns=[a,b]", "task.target=a", "task.length=5", *TINY]


def write(path, rows):
    path.write_text("a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(rows)))


def test_a_run_records_what_its_file_was_and_replay_says_if_it_has_changed(bptt, tmp_path):
    write(tmp_path / "pump.csv", 90)
    folder = tmp_path / bptt("run", *ASKED).stdout.strip()
    info = json.loads((folder / "run.json").read_text())
    assert (info["data"]["rows"], info["data"]["columns"], info["data"]["held_out_rows"]) == (90, ["a", "b"], 18)
    assert info["data"]["sha256"].startswith(info["made_from"]["task.path"]["digest"])
    assert bptt("replay", folder, "-q").exit_code == 0

    write(tmp_path / "pump.csv", 80)
    assert "used another version of pump.csv" in bptt("replay", folder, "-q").stdout
    (tmp_path / "pump.csv").unlink()
    gone = bptt("replay", folder, "-q")
    assert gone.exit_code == 2
    assert gone.stderr.startswith("bptt: task.path=pump.csv: there is no such file in ")


def test_a_column_of_text_is_answered_with_the_columns_that_do(bptt, tmp_path):
    rows = [f"{i},{i % 7},on,{i % 5}" for i in range(90)]
    (tmp_path / "pump.csv").write_text("\n".join(["flow,flow rate,state,null", *rows]))
    asked = ["task=csv", "task.path=pump.csv", "task.target=flow", "task.length=5", *TINY]
    said = bptt("run", *asked).stderr
    assert said.startswith("bptt: task.path=pump.csv: row 1, column state: 'on' is not a number; correct it, or leave")
    option = said.partition("leave the column out: ")[2]
    assert shlex.split(option) == ['task.columns=[flow,"flow rate","null"]']
    folder = tmp_path / bptt("run", *asked, *shlex.split(option)).stdout.strip()
    assert json.loads((folder / "run.json").read_text())["data"]["columns"] == ["flow", "flow rate", "null"]


def test_replay_says_if_a_text_or_an_image_file_has_changed(bptt, tmp_path):
    (tmp_path / "notes.txt").write_text("the cat sat on the mat. " * 40)
    (tmp_path / "mnist").mkdir()
    write_images(tmp_path / "mnist")
    text = bptt("run", "task=text", "task.path=notes.txt", "task.length=5", *TINY).stdout.strip()
    images = bptt("run", "task=fashion_mnist", "task.path=mnist", *TINY).stdout.strip()
    same = bptt("replay", tmp_path / text, tmp_path / images, "-q")
    assert (same.exit_code, "another version" in same.stdout) == (0, False)

    (tmp_path / "notes.txt").write_text("the dog sat on the log. " * 40)
    write_images(tmp_path / "mnist", seed=1)
    differ = bptt("replay", tmp_path / text, tmp_path / images, "-q")
    assert differ.exit_code == 1
    assert "used another version of notes.txt" in differ.stdout
    assert "used another version of train-images-idx3-ubyte.gz, " in differ.stdout


def table(*rows, header="time,a,b", first=1):
    return "\n".join([header, *(f"{i},{i}.5,{i * i % 7}" for i in range(first, 60)), *rows]) + "\n"


TWELVE = {
    "empty": ("", [], "is empty"),
    "one row": ("time,a,b\n1,2,3\n", [], "need 6; reduce task.length or give more rows"),
    "a label never seen in training": (
        table("60,1,new").replace(",6\n", ",5\n"),
        ["task.target=null", "task.label=b", "task.columns=[a]"],
        "row 60, column b: the label 'new' is not in the training part; change task.held_out or delete these rows",
    ),
    "a missing column": (
        table(),
        ["task.target=flow"],
        "task.target=flow: pump.csv has no such column, but time, a, b",
    ),
    "mixed separators": (table("60;1;1"), [], "'60;1;1' is not a number; does the file mix separators?"),
    "Korean header in cp949": (
        table(header="시간,압력,유량").encode("cp949"),
        [],
        "is not UTF-8; add task.encoding=cp949",
    ),
    "a German Excel export": (
        b"\xef\xbb\xbf" + table().replace(",", ";").replace(".", ",").encode(),
        [],
        "'1,5' is not a number; if it has a decimal comma, add task.decimal=comma",
    ),
    "dates out of order": (table("5,1,1"), ["task.time=time"], "5 is before 59 in row 59; sort the rows by time"),
    "NaN": (table("60,NaN,1"), [], "row 60, column a: the value is missing; fill it in or delete the row"),
    "no file": (None, [], "there is no such file in "),
    "zeros": (2 * 10**9, [], "holds null bytes, so it is not text in UTF-8; save it as UTF-8 text"),
    "zeros as bytes": (2 * 10**9, ["task=text", "task.unit=byte"], "at most 134,217,728 are read; give a part of it"),
    "a folder": ("folder", [], "is a folder; give a file"),
}


@pytest.mark.parametrize("broken", TWELVE)
def test_a_broken_file_is_one_line_that_says_what_to_do_and_nothing_is_written(bptt, tmp_path, broken):
    content, more, message = TWELVE[broken]
    path = tmp_path / "pump.csv"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, int):
        with open(path, "wb") as sparse:
            sparse.truncate(content)
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    asked = ["task=csv", "task.path=pump.csv", "task.target=a", "task.length=5", *TINY]
    if "task=text" in more:
        asked.remove("task.target=a")
    before = time.process_time()
    refused = bptt("run", *asked, *more)
    assert time.process_time() - before < 5
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("bptt: ")
    assert message in refused.stderr
    assert not (tmp_path / "results").exists()


def test_the_excel_export_is_read_as_the_message_says(bptt, tmp_path):
    (tmp_path / "pump.csv").write_bytes(TWELVE["a German Excel export"][0])
    folder = tmp_path / bptt("run", *ASKED, "task.decimal=comma").stdout.strip()
    assert json.loads((folder / "run.json").read_text())["data"]["means"][0] == 25.0


def test_a_run_goes_on_if_its_file_is_deleted_and_says_so_when_it_is_repeated(bptt, tmp_path, monkeypatch):
    write(tmp_path / "pump.csv", 90)
    draw = Series.draw

    def delete_and_draw(*arguments):
        (tmp_path / "pump.csv").unlink(missing_ok=True)
        return draw(*arguments)

    monkeypatch.setattr(Series, "draw", delete_and_draw)
    ended = bptt("run", *ASKED)
    assert ended.exit_code == 0
    again = bptt("run", *ASKED, "--fresh")
    assert again.exit_code == 2
    assert again.stderr.count("\n") == 1
    assert again.stderr.startswith("bptt: task.path=pump.csv: there is no such file in ")
    assert (tmp_path / ended.stdout.strip() / "metrics.csv").exists()


def test_run_and_probe_say_how_far_the_data_reach_and_how_far_the_gradient_does(bptt, tmp_path):
    noise = np.random.default_rng(0).normal(size=3000)
    flow = noise.copy()
    for row in range(30, 3000):
        flow[row] += 0.5 * flow[row - 1] + 0.4 * flow[row - 30]
    pd.DataFrame({"flow": flow}).to_csv(tmp_path / "echo.csv", index=False)
    pd.DataFrame({"flow": noise}).to_csv(tmp_path / "noise.csv", index=False)
    asked = ["task=csv", "cell=rnn", "task.target=flow", "model.hidden_size=4", "batch_size=4", "record.windows=all"]
    asked += ["record.evaluate_samples=4", "steps=2", "probe.batches=1", "probe.samples=1"]

    echo = [*asked, "task.path=echo.csv", "task.length=50"]
    said = bptt("run", *echo, "study=echo").stdout
    assert "flow depends on inputs up to lag 29 (30 rows before it, dependence 0." in said
    assert " there), but the gradient reaches only lag " in said
    probed = bptt("probe", *echo, "study=echo").stdout
    assert "reach of the data" in probed
    assert "lag 29 " in probed
    short = bptt("run", *asked, "task.path=echo.csv", "task.length=10", "study=echo").stdout
    assert "lag 29 is beyond the 10 timesteps of a sequence: set task.length=30 or more" in short
    said = bptt("run", *asked, "task.path=noise.csv", "task.length=50", "study=noise").stdout
    assert "no linear dependence of flow on its inputs was found up to lag 99 (2,399 rows)" in said
    said = bptt("run", "task=noise", "task.length=10", *TINY[:-2], "study=tasks").stdout
    assert "depend" not in said
    assert not list((tmp_path / "results" / "tasks").rglob("data_lags.csv"))

    assert bptt("plot", "echo", "--figure", "reach_vs_data", "--format", "csv").exit_code == 0
    (drawn,) = (tmp_path / "results" / "echo" / "figures").glob("reach_vs_data*.csv")
    lines = pd.read_csv(drawn).groupby(["panel", "line"])["x"].max()
    assert lines["the data: reach lag 29"].to_dict() == {"the data": 99, "the data, bound": 99}
    assert 49 in lines["the gradient at the last step"].tolist()
