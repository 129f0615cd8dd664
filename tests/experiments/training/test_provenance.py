"""What makes two runs the same program: the code that computes, and not the code that draws."""

import shutil
from pathlib import Path

import pytest

from experiments.training.provenance import own_source

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path):
    for package in ("models", "experiments"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "computes"),
    [
        ("models/lstm.py", True),
        ("experiments/clipping/rule.py", True),
        ("experiments/measures/gradients.py", True),
        ("experiments/schedules.py", True),
        ("experiments/tasks/adding.py", True),
        ("experiments/training/loop.py", True),
        ("experiments/figures/gradient_flow.py", False),
        ("experiments/analysis/summary.py", False),
        ("experiments/claims/published/gradient_shrinks.py", False),
        ("experiments/reports/study_report.py", False),
        ("experiments/sweeps/sweep.py", False),
    ],
)
def test_only_what_computes_makes_a_checkpoint_unusable(checkout, file, computes):
    with (checkout / file).open("a") as source:
        source.write("\n# another comment\n")
    assert (own_source(checkout) != own_source()) == computes


def test_the_copy_has_the_source_of_the_original(checkout):
    assert own_source(checkout) == own_source()
    assert len(own_source()) > 50_000
