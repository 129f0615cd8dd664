"""A run on a table of the user's own: what it records of the file, and what commands say if the file changes."""

import json

import numpy as np
import pandas as pd

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


def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(bptt, tmp_path):
    (tmp_path / "pump.csv").write_text("a,b\n1,2\n,3\n")
    refused = bptt("run", *ASKED)
    assert refused.exit_code == 2
    assert refused.stderr == (
        "bptt: task.path=pump.csv: row 2, column a: the value is missing; fill it in or delete the row\n"
    )
    assert not (tmp_path / "results").exists()


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
