"""`import bptt` in a project that has packages named as ours, and its place in the wheel."""

import subprocess
import sys

import pytest

import bptt
import bptt_start
from experiments.errors import OWN_PACKAGES

LOOP = """
import torch
watch = bptt.watch(torch.nn.GRU(2, 3), "study", every=1)
(layer,) = watch._calls.layers.values()
loss = layer(torch.randn(4, 2, 2))[0].sum()
loss.backward()
watch.step(loss)
watch.close()
assert len(list(watch.path.glob("*.csv"))) == 5
"""

AFTER = """
import sys, models.x, experiments.x, cli.x, conf.x
assert models.OWNER == experiments.x.OWNER == cli.x.OWNER == conf.OWNER == "you"
assert {"bptt.models", "bptt.experiments"} <= sys.modules.keys()
assert "bptt_start" not in sys.modules
"""


def make_project(folder, first="import bptt"):
    """A project with packages named as ours, and train.py, which watches its layer."""
    for package in ("models", "experiments", "cli", "conf"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text("OWNER = 'you'")
        (folder / package / "x.py").write_text("OWNER = 'you'")
    (folder / "train.py").write_text("\n".join([first, LOOP, AFTER]))


@pytest.mark.parametrize("first", ["import models, experiments.x\nimport bptt", "import bptt"])
def test_a_project_keeps_its_own_packages(tmp_path, first):
    make_project(tmp_path, first)
    done = subprocess.run([sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_import_bptt_loads_nothing_heavy():
    code = "import bptt, sys; print(*{'torch', 'pandas', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_our_packages_have_the_same_names_everywhere():
    assert bptt.PACKAGES == bptt_start.PACKAGES == OWN_PACKAGES
