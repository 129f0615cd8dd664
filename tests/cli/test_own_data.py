"""A run on a table of the user's own: what it records of the file, and what commands say if the file changes."""

import json

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


def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(bptt, tmp_path):
    (tmp_path / "pump.csv").write_text("a,b\n1,2\n,3\n")
    refused = bptt("run", *ASKED)
    assert refused.exit_code == 2
    assert refused.stderr == (
        "bptt: task.path=pump.csv: row 2, column a: the value is missing; fill it in or delete the row\n"
    )
    assert not (tmp_path / "results").exists()
