"""The real command, in a process of its own."""

import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios
import time

import numpy as np
import pandas as pd
import pytest

from tests.e2e.sweeps import BPTT

SMALL = ["task.length=12", "model.hidden_size=8", "batch_size=4", "steps=20", "record.evaluate_samples=20"]


def test_the_gradient_of_a_linear_recurrence_from_the_command_line(bptt, tmp_path):
    """The issue's own command: 60 rows of 0.9^lag, and a gain of 0.9."""
    done = bptt(
        "run", "cell=rnn", "cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.9", "task=adding",
        "task.length=60", "dtype=float64", "record.windows=all", "steps=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path / done.stdout.splitlines()[-1]
    gradients = pd.read_csv(folder / "gradients.csv")
    assert len(gradients) == 60
    norms = gradients.set_index("lag")["grad_norm"]
    np.testing.assert_allclose(norms, norms[0] * 0.9 ** norms.index.to_numpy(float), rtol=1e-9)
    summary = pd.read_csv(folder.parent.parent / "summary.csv")
    assert summary["gain_per_timestep"].item() == pytest.approx(0.9, abs=1e-9)
    assert summary["horizon"].item() == 59


@pytest.mark.parametrize("wrong", [["task.lenght=5"], ["results_dir=file/below"], ["--job", "2"]], ids=" ".join)
@pytest.mark.parametrize("command", ["run", "sweep"])
def test_bad_input_is_one_line_and_nothing_written(bptt, tmp_path, command, wrong):
    """In a real process; tests/cli/test_errors.py has more of it."""
    (tmp_path / "file").write_text("not a folder")
    before = sorted(tmp_path.rglob("*"))
    done = bptt(command, *wrong)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("bptt: ")
    assert (wrong[0] if wrong[0].startswith("--") else wrong[-1].partition("=")[0]) in line
    assert sorted(tmp_path.rglob("*")) == before


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path):
    """As `bptt list | head -1`, of what is printed in parts and by rich."""
    (tmp_path / "results" / "s" / "runs").mkdir(parents=True)
    for command in (["list"], ["status", "s"]):
        reading, writing = os.pipe()
        os.close(reading)
        (tmp_path / "results" / "s" / "sweeps.json").write_text(
            json.dumps({"sweeps": [{"command": "bptt sweep", "started": "", "runs": {"r": ["r", 9]}}]})
        )
        done = subprocess.run(
            [BPTT, *command], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["status", "plot", "report"])
def test_a_study_without_runs_is_said(bptt, tmp_path, command):
    (tmp_path / "results" / "empty" / "runs").mkdir(parents=True)
    done = bptt(command, "empty")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "bptt: results/empty: holds no run yet\n")


def test_cuda_where_there_is_none(bptt):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = bptt("run", "device=cuda")
    assert (done.returncode, done.stderr) == (2, "bptt: device=cuda: must be a device of this machine: cpu\n")


def test_a_folder_that_may_not_be_written(bptt, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere: no folder on this machine is closed to this user")
    (tmp_path / "closed").mkdir(mode=0o500)
    done = bptt("run", "results_dir=closed")
    assert (done.returncode, done.stderr) == (2, "bptt: results_dir: cannot write to closed (Permission denied)\n")


def test_a_sweep_with_a_run_that_fails(bptt, tmp_path):
    (tmp_path / "mine" / "cell").mkdir(parents=True)
    (tmp_path / "fragile.py").write_text(
        "from models.rnn import RNN\n"
        "class Fragile(RNN):\n"
        "    def __init__(self, input_size, hidden_size, breaks: bool):\n"
        "        super().__init__(input_size, hidden_size)\n"
        "        self.breaks = breaks\n"
        "    def forward(self, x, state):\n"
        "        if self.breaks:\n"
        "            raise RuntimeError('it broke')\n"
        "        return super().forward(x, state)\n"
    )
    (tmp_path / "mine" / "cell" / "fragile.yaml").write_text(
        "# Breaks\n_target_: fragile.Fragile\n_partial_: true\nbreaks: false\n"
    )
    done = bptt(
        "sweep", "cell=fragile", "cell.breaks=false,true", "seed=0,1", *SMALL, "--config-dir", "mine", "--jobs", "2"
    )
    assert done.returncode == 1, done.stderr
    assert "failed: RuntimeError: it broke" in done.stderr
    assert "Traceback" not in done.stderr
    summary = pd.read_csv(tmp_path / "results" / "default" / "summary.csv")
    assert sorted(summary["status"]) == ["completed"] * 2 + ["failed"] * 2
    assert set(summary["cell.breaks"]) == {True, False}
    assert len(re.findall("fragile +Breaks", bptt("list", "cell", "--config-dir", "mine").stdout)) == 1


def test_a_sweep_in_which_a_run_diverges(bptt, tmp_path):
    done = bptt(
        "sweep", "cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.9,1.6", "steps=3", "study=grow",
        "record.evaluate_samples=20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "results" / "grow" / "summary.csv").set_index("init.gain")
    assert summary["status"].to_dict() == {0.9: "completed", 1.6: "diverged"}
    assert summary.loc[1.6, "max_grad_norm"] == np.inf
    assert "diverged" in done.stdout
    plots = bptt("plot", "grow", "--format", "svg,png")
    assert plots.returncode == 0, plots.stderr
    assert len(plots.stdout.splitlines()) == 2 * 6
    assert all((tmp_path / line).stat().st_size > 1000 for line in plots.stdout.splitlines())


def test_stdout_carries_results_and_stderr_progress(bptt, tmp_path):
    done = bptt("run", *SMALL, "study=한국어")
    assert done.stdout.splitlines()[-1].startswith("results/한국어/runs/rnn-adding-none-seed0-")
    assert (tmp_path / done.stdout.splitlines()[-1] / "run.json").exists()
    assert "completed in" in done.stderr
    again = bptt("run", *SMALL, "study=한국어")
    assert again.stderr == "already completed; --fresh runs it again\n"
    assert again.stdout == done.stdout
    sweep = bptt("sweep", *SMALL, "cell=rnn,lstm", "study=한국어")
    assert sorted(line.partition(": completed in ")[0][6:] for line in sweep.stderr.splitlines()[:1]) == ["cell=lstm"]
    assert sweep.stderr.endswith("1 of 2 already finished; --fresh runs it again\n")
    quiet = bptt("sweep", *SMALL, "cell=rnn,lstm", "study=quiet", "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("results/quiet\n", "")
    assert (tmp_path / "results" / "quiet" / "summary.csv").exists()


def test_korean_letters_in_a_posix_locale(bptt, tmp_path):
    """Where Python itself takes all text for ASCII: names come and go as they were typed."""
    posix = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = bptt("sweep", *SMALL, "seed=0,1", "study=한국어", "--jobs", "2", "--quiet", env=posix, encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "results/한국어\n", "")
    assert len(list(tmp_path.glob("results/한국어/runs/*/metrics.csv"))) == 2


def test_the_live_display_stays_within_the_terminal(tmp_path):
    """In a pseudo-terminal of 80 columns: no line is wider, nothing is left of it, stdout is clean."""
    import pty

    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [BPTT, "sweep", "cell=lstm", "seed=0,1", "task.length=50", "steps=300", "study=live"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=side, env=environment, text=True,
    )  # fmt: skip
    os.close(side)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the other side is closed
        while part := os.read(main, 65536):
            shown += part
    os.close(main)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    lines = re.split(r"[\r\n]+", text)
    assert any("2 running" in line for line in lines)
    assert any("/300" in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert shown.decode().rstrip().endswith("\x1b[?1049l\x1b[?25h")  # back on the first screen, with a cursor
    assert "\x1b" not in stdout
    assert stdout.splitlines()[-1] == "results/live"


def test_a_probe_and_a_grid_of_probes(bptt, tmp_path):
    few = ["model.hidden_size=8", "probe.samples=4", "probe.batches=4"]
    one = bptt("probe", "cell=lstm", "task.length=60", *few, "study=look")
    assert one.returncode == 0, one.stderr
    for words in ("gain per timestep", "vanishes: ", "largest Lyapunov exponent", "clipping threshold", "not known"):
        assert words in one.stdout
    folder = tmp_path / one.stdout.splitlines()[-1]
    assert (folder / "jacobian.csv").exists()
    grid = bptt("probe", "init=gaussian", "init.gain=0.5,1.5", "task.length=20", *few, "study=grid")
    assert grid.returncode == 0, grid.stderr
    summary = pd.read_csv(tmp_path / "results" / "grid" / "summary.csv").sort_values("init.gain")
    assert summary["kind"].tolist() == ["probe", "probe"]
    assert summary["gain_per_timestep"].is_monotonic_increasing
    wrong = bptt("probe", "--checkpoint", str(folder))
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    trained = bptt("run", *SMALL).stdout.splitlines()[-1]
    assert "gain per timestep" in bptt("probe", "--checkpoint", trained).stdout


def test_show_prints_what_run_would_run(bptt):
    import yaml

    shown = yaml.safe_load(bptt("show", "cell=gru", "task.length=7").stdout)
    assert (shown["cell"]["name"], shown["task"]["length"]) == ("gru", 7)
    assert bptt("show", "cell=foo").returncode == 2


def test_list_names_every_choice(bptt):
    listed = bptt("list").stdout
    for name in ("lstm", "orthogonal", "temporal_order", "value", "rmsprop", "quickstart", "gradient_flow"):
        assert f"  {name} " in listed
    assert bptt("list", "nothing").returncode == 2


def wait_for_rows(folder, process, rows):
    """Until a run has written so many metrics."""
    for _ in range(600):
        assert process.poll() is None, process.stderr.read_text()
        for path in folder.glob("**/metrics.csv"):
            if path.read_bytes().count(b"\n") > rows:
                return path.parent
        time.sleep(0.05)
    raise AssertionError("the run did not get so far")


def test_a_killed_run_leaves_what_it_had_written_readable(start, bptt, tmp_path):
    process = start("run", "steps=1000000", "task.length=10")
    run = wait_for_rows(tmp_path, process, 200)
    process.send(signal.SIGKILL)
    process.wait(20)
    for table in run.glob("*.csv"):
        assert table.read_bytes().endswith(b"\n")
        pd.read_csv(table)
    steps = pd.read_csv(run / "metrics.csv")["step"]
    assert steps.tolist() == list(range(1, len(steps) + 1))
    assert bptt("plot", "default").returncode == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_recorded_and_exits_with_130(start, tmp_path, how):
    process = start("run", "steps=1000000", "task.length=10")
    run = wait_for_rows(tmp_path, process, 100)
    process.send(how)
    assert process.wait(20) == 130
    assert "Traceback" not in process.stderr.read_text()
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"


def test_a_shortened_quickstart_against_closed_facts(bptt, tmp_path):
    """Two steps of every run of the study: before anything is learned, theory says what the files must hold."""
    done = bptt("sweep", "study=quickstart", "steps=2", "seed=0", "record.evaluate_every=1")
    assert done.returncode == 0, done.stderr
    study = tmp_path / "results" / "quickstart"
    assert done.stdout.splitlines()[-1] == "results/quickstart"
    summary = pd.read_csv(study / "summary.csv").set_index(["cell", "clip"])
    assert len(summary) == 6
    assert (summary["status"] == "completed").all()
    for cell, gates in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        assert (summary.loc[cell, "parameters"] == gates * (64 * 1 + 64 * 64 + 2 * 64) + 64 * 10 + 10).all()
    for run_id in summary["run_id"]:
        folder = study / "runs" / run_id
        metrics = pd.read_csv(folder / "metrics.csv")
        assert metrics["loss"][0] == pytest.approx(np.log(10), abs=0.15)  # it knows nothing yet
        evaluation = pd.read_csv(folder / "evaluation.csv")
        assert evaluation["chance_loss"].unique() == pytest.approx([np.log(10)])
        assert evaluation["error"].between(0.8, 0.97).all()
        shares = pd.read_csv(folder / "contributions.csv").groupby(["step", "parameter"])["share"].sum()
        np.testing.assert_allclose(shares, 1, atol=1e-6)
        gradients = pd.read_csv(folder / "gradients.csv")
        assert sorted(gradients["lag"].unique()) == list(range(0, 80, 4))
        if run_id.startswith("rnn"):
            # Uniform entries have the standard deviation 1 / sqrt(3 hidden): a circle of radius 0.577 (Ginibre), which
            # is the gain at the most (rows 2 and 4 of the theory); tanh only takes from it.
            parameters = pd.read_csv(folder / "parameters.csv").query("step == 1").set_index("parameter")
            assert parameters.loc["layers.0.weight_hh", "spectral_radius"] == pytest.approx(3**-0.5, rel=0.15)
            assert summary.loc["rnn", "gain_at_init"].to_list() == pytest.approx([3**-0.5] * 2, rel=0.15)
    # A forget bias of 1 keeps at least sigmoid(1) of the cell state, which the gain of h cannot stay below for long.
    assert (summary.loc["lstm", "gain_at_init"] > 1 / (1 + np.exp(-1))).all()
    norm, none = (
        pd.read_csv(study / "runs" / summary.loc[("gru", clip), "run_id"] / "gradients.csv")
        for clip in ("norm", "none")
    )
    pd.testing.assert_frame_equal(
        norm[norm["step"] == 1], none[none["step"] == 1]
    )  # clipping comes after the measuring


def test_replay(bptt, tmp_path):
    made = bptt("sweep", "cell=rnn,gru", *SMALL)
    folders = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("results/default/runs/*"))
    same = bptt("replay", *folders)
    assert (made.returncode, same.returncode) == (0, 0), same.stderr
    assert same.stdout.splitlines() == [f"{folder}: identical" for folder in folders]
    metrics = tmp_path / folders[1] / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("\n3,", "\n3,9", 1))
    other = bptt("replay", *folders, "--quiet")
    assert (other.returncode, other.stderr) == (1, "1 of 2 damaged\n")
    first, second, third, fourth = other.stdout.splitlines()
    assert first == f"{folders[0]}: identical"
    assert second.startswith(f"{folders[1]}: metrics.csv, row 3 (step=3), column loss: 9")
    assert third == "  metrics.csv was changed after the run ended"
    assert fourth.startswith("  to rerun it: bptt sweep ")
    assert bptt("replay", "results").returncode == 2


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_any_folder_will_do_and_own_modules_are_found(bptt, tmp_path, launcher):
    """The folder, on PYTHONPATH, has models/, conf/, experiments/ and cli/ of its own, which are not taken for ours."""
    for package in ("models", "conf", "experiments", "cli"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('this is not the one that was meant')")
    (tmp_path / "mine" / "cell").mkdir(parents=True)
    (tmp_path / "mine" / "cell" / "own.yaml").write_text("_target_: own.Own\n_partial_: true\n")
    (tmp_path / "own.py").write_text("from models.rnn import RNN\n\nclass Own(RNN):\n    pass\n")
    jobs = () if launcher == "basic" else ("--jobs", "2")
    grid = ["cell=own,gru", "seed=0,1,2", *SMALL, "steps=5", "--config-dir", "mine"]
    named = ["--launcher", launcher] if launcher == "joblib" else [f"hydra/launcher={launcher}"]
    done = bptt("sweep", *grid, *named, *jobs, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    infos = [json.loads(path.read_text()) for path in tmp_path.glob("results/default/runs/*/run.json")]
    assert [info["status"] for info in infos] == ["completed"] * 6
    assert len({info["pid"] for info in infos}) <= 2  # a worker imports torch once, not once a run
