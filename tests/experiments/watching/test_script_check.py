"""`bptt check -- SCRIPT` audits the first training step of a script, and ends it there."""

import os

import pytest

from tests.experiments.watching.test_script import SCALED

FAULTY = """
import os, sys, torch
from torch import nn
torch.manual_seed(0)
table, cell = nn.Embedding(5, 3), nn.LSTMCell(3, 4)
optimizer = torch.optim.SGD([*table.parameters(), *cell.parameters()], lr=0.1)
x = table(torch.randint(5, (7, 6)))
h = c = torch.zeros(6, 4)
outputs = torch.zeros(7, 6, 4)
print("begins")
for t in range(7):
    if t and t % 3 == 0:
        h, c = h.detach(), c.detach()
    h, c = cell(x[t], (h, c))
    outputs[t] = h
nn.functional.mse_loss(outputs[-1], torch.ones(6, 4).float()).backward()
optimizer.step()
open("checkpoint", "w").write("trained")
"""


@pytest.fixture
def check(bptt):
    return lambda *words, **options: bptt("check", "--", *words, **options)


def test_a_state_detached_in_a_loop_of_a_script_is_found_and_the_script_ends(tmp_path, check):
    (tmp_path / "train.py").write_text(FAULTY)
    done = check("train.py", env=os.environ)  # in new processes
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stdout.split())
    assert text.startswith(
        "begins fault: LSTMCell: the gradient is wrong at 6 of 7 compared timesteps (timesteps 1 to 6)"
    )
    assert "every 3 timesteps, before timesteps 4, 7" in text
    assert text.count("begins") == 1
    assert done.stderr == ""
    assert [one.name for one in tmp_path.iterdir()] == ["train.py"]


def test_exit_codes_of_scripts_that_cannot_be_checked(tmp_path, check):
    (tmp_path / "none.py").write_text("print('nothing')")
    none = check("none.py")
    assert (none.returncode, none.stdout) == (2, "nothing\n")
    assert "none.py: made no backward pass through a recurrent layer" in none.stderr
    (tmp_path / "ends.py").write_text("import sys; sys.exit(3)")
    assert check("ends.py").returncode == 3


@pytest.mark.parametrize(("unscale", "code"), [("pass", 1), ("scaler.unscale_(optimizer)", 0)])
def test_clipping_before_unscaling_is_named(tmp_path, check, unscale, code):
    (tmp_path / "train.py").write_text(SCALED.replace("UNSCALE", unscale) + "open('after', 'w')")
    done = check("train.py")
    text = " ".join(done.stdout.split())
    assert (done.returncode, done.stderr) == (code, "")  # the script itself goes on without an error
    assert "checked: RNN: the loss is a sum over time" in text
    assert text.count("fault: clipping: the script clips gradients that GradScaler has multiplied by 1024") == code
    assert not (tmp_path / "after").exists()
