"""`bptt watch -- SCRIPT` runs a script as Python does, and leaves a watched run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[3]
PLAIN = ROOT / "experiments" / "examples" / "plain.py"


def runs(study):
    return sorted((study / "runs").iterdir())


def test_a_plain_script_is_watched_and_trains_as_without(tmp_path, bptt, python):
    watched = bptt("watch", "--every", 10, "--", PLAIN, "--steps", 50, "--length", 6)
    assert watched.returncode == 0, watched.stderr
    alone = python(PLAIN, "--steps", 50, "--length", 6)
    assert watched.stdout == alone.stdout  # the same loss at step 50, and nothing of ours
    assert watched.stderr.splitlines()[-1] == "results/plain"
    assert "finding:" in watched.stderr
    (run,) = runs(tmp_path / "results" / "plain")
    assert json.loads((run / "run.json").read_text())["watched"] == ["lstm"]
    gradients, metrics = (pd.read_csv(run / f"{name}.csv") for name in ("gradients", "metrics"))
    assert gradients["step"].unique().tolist() == [1, 11, 21, 31, 41]
    assert metrics["step"].tolist() == list(range(1, 51))


AS_PYTHON = """
import sys, os
import torch
from torch import nn
print(__name__, os.path.basename(__file__), sys.argv, os.path.basename(sys.path[0]), sys.modules["__main__"].__name__)
print("experiments" in sys.modules, "models" in sys.modules)
torch.manual_seed(0)
rnn = nn.RNN(2, 3)
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    rnn(torch.ones(4, 2, 2))[0].sum().backward()
    nn.utils.clip_grad_norm_(rnn.parameters(), 1e-3)
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("end", "code", "status"),
    [
        ("raise ValueError('no pump')", 1, "failed"),
        ("os.kill(os.getpid(), 2)", 130, "interrupted"),
    ],
)
def test_a_script_ends_as_it_does_alone(tmp_path, bptt, python, end, code, status):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.py").write_text(AS_PYTHON + end)
    words, script = ("watch", "--every", 1, "--"), ("own/train.py", "--lr", "1")
    if status == "failed":  # this one in new processes
        watched = bptt(*map(str, words), *script, env=os.environ)
        alone = subprocess.run([sys.executable, *script], cwd=tmp_path, capture_output=True, text=True, check=False)
    else:
        watched, alone = bptt(*words, *script), python(*script)
    assert watched.returncode == code
    assert alone.returncode in (code, -2)
    assert watched.stdout == alone.stdout
    assert alone.stderr.rstrip() in watched.stderr  # the same traceback, without a line of ours
    (run,) = runs(tmp_path / "results" / "train")
    assert json.loads((run / "run.json").read_text())["status"] == status
    assert len(pd.read_csv(run / "gradients.csv")["step"].unique()) == 3
    assert pd.read_csv(run / "metrics.csv")["grad_norm"].min() > 1e-2  # before clipping


def test_modules_run_and_what_trains_nothing_recurrent_is_said(tmp_path, bptt):
    (tmp_path / "pump").mkdir()
    (tmp_path / "pump" / "fit.py").write_text("import sys, torch\nprint(__name__, __package__, sys.argv[1:])")
    watched = bptt("watch", "--", "-m", "pump.fit", "-x")
    assert watched.stdout == "__main__ pump ['-x']\n"
    assert "pump.fit trained no recurrent layer" in watched.stderr
    assert not (tmp_path / "results").exists()


def test_a_script_that_is_not_there(tmp_path, bptt):
    watched = bptt("watch", "--", "trian.py")
    assert (watched.returncode, watched.stderr.count("\n")) == (2, 1)
    assert "trian.py: is not a file" in watched.stderr


@pytest.mark.parametrize(
    ("name", "layers"), [("packed", ["GRU"]), ("trainer", ["LSTM[0]", "LSTM[1]"]), ("policy", ["gru"])]
)
def test_the_examples_are_watched(tmp_path, bptt, name, layers):
    watched = bptt("watch", "--every", 20, "--", PLAIN.parent / f"{name}.py")
    assert watched.returncode == 0, watched.stderr
    (run,) = runs(tmp_path / "results" / name)
    info = json.loads((run / "run.json").read_text())
    assert (info["watched"], info["not_seen"]) == (layers, {})
    assert pd.read_csv(run / "gradients.csv")["step"].unique().tolist() == [1, 21, 41]


OUTLIER = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.ModuleDict({"rnn": nn.GRU(2, 3), "readout": nn.Linear(3, 1)})
optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
for step in range(1, 62):
    optimizer.zero_grad()
    target = torch.ones(6, 4, 1)
    target[:, 2] *= 1e6 if step == 60 else 1
    loss = (model["readout"](model["rnn"](torch.randn(6, 4, 2))[0]) - target).square().mean()
    (0.5 * loss).backward(retain_graph=True)
    (0.5 * loss).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
"""


def test_truncation_spikes_and_clipping_of_a_script(tmp_path, bptt):
    (tmp_path / "train.py").write_text(OUTLIER)
    options = ("--lags", "--truncation", "--spikes", "--spike-batches", "--every", 60)
    watched = bptt("watch", *options, "--", "train.py")
    assert watched.returncode == 0, watched.stderr
    (run,) = runs(tmp_path / "results" / "train")
    spikes, metrics, cuts = (pd.read_csv(run / f"{name}.csv") for name in ("spikes", "metrics", "truncation"))
    assert (spikes["step"].tolist(), spikes["sample"].tolist()) == ([60], [2])
    assert spikes["grad_norm"][0] == metrics["grad_norm"][59] > 1e4  # of both passes, before clipping
    assert (run / "spikes" / "60.pt").exists()
    assert metrics["clipped_grad_norm"].tolist() == pytest.approx([0.1] * 61, rel=1e-4)
    assert cuts["step"].unique().tolist() == [1, 61]
    said = " ".join(watched.stderr.split())
    assert "the loop clipped the gradient to a norm of 0.1 at 100% of the steps" in said
    assert "sequence 2 of the batch" in said
    assert "a single timestep's loss" in said
    assert set(pd.read_csv(run / "lags.csv")["loss_timestep"]) == set(range(1, 7))


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (("--spike-batches",), "--spike-batches: saves nothing unless --spikes is passed"),
        (("--spike-limit", 6), "--spike-limit 6: does nothing unless --spikes is passed"),
    ],
)
def test_options_of_spikes_without_spikes(tmp_path, bptt, option, error):
    watched = bptt("watch", *option, "--", PLAIN)
    assert (watched.returncode, watched.stderr.count("\n")) == (2, 1)
    assert error in watched.stderr


SCALED = """
import torch
from torch import nn
rnn = nn.RNN(2, 3)
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
for _ in range(2):
    optimizer.zero_grad()
    scaler.scale(rnn(torch.ones(4, 2, 2))[0].sum()).backward()
    UNSCALE
    nn.utils.clip_grad_norm_(rnn.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
"""


@pytest.mark.parametrize(("unscale", "named"), [("pass", 1), ("scaler.unscale_(optimizer)", 0)])
def test_clipping_before_unscaling_is_named_once(tmp_path, bptt, unscale, named):
    (tmp_path / "train.py").write_text(SCALED.replace("UNSCALE", unscale))
    watched = bptt("watch", "--every", 1, "--", "train.py")
    assert watched.returncode == 0, watched.stderr
    assert watched.stderr.count("the script clips gradients that GradScaler has multiplied by 1024") == named
    (run,) = runs(tmp_path / "results" / "train")
    metrics = pd.read_csv(run / "metrics.csv")
    clipped_to = 1 / 1024 if named else 1.0
    assert metrics["clipped_grad_norm"].tolist() == pytest.approx([clipped_to] * 2, rel=1e-4)
    assert metrics["grad_norm"].between(1, 100).all()  # without the scale
