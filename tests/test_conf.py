"""Every YAML file composes, builds, runs two steps, and is described in conf/README.md."""

import pytest

from experiments.catalogue.choices import CONF
from experiments.catalogue.key_comments import options
from experiments.catalogue.readme import readme
from experiments.config.composing import compose
from experiments.training.run import run

CHOICES = [f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml"))]
README = (CONF / "README.md").read_text()
NEEDS = {
    "init=chrono": ["cell=lstm"],
    "init=sparse": ["init.connections=4"],
    "stop=hopeless": ["stop.by=1"],
    "stop=solved_or_hopeless": ["stop.by=1"],
    "remedy=h_detach": ["cell=lstm"],
    "remedy=flossing": ["remedy.exponents=4", "remedy.before=2"],
}
"""What a choice needs beside the defaults and the small network of this test."""

FAST = ["steps=2", "model.hidden_size=8", "batch_size=3", "record.evaluate_samples=10"]


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if not choice.startswith(("cell=", "task="))])
def test_every_choice_runs_two_steps(choice, tmp_path):
    """Every cell and every task is run by `experiments/training/test_every_cell.py`."""
    result = run(compose([choice, *FAST, *NEEDS.get(choice, []), f"results_dir={tmp_path}"]))
    assert (result.status, result.error) == ("completed", None)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_has_a_line_that_says_what_it_is(choice):
    from experiments.catalogue.choices import catalogue

    group, name = choice.split("=")
    assert len(catalogue()[group][name]) > 10


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if not choice.startswith("study=")])
def test_every_option_has_a_comment(choice):
    for option in options(*choice.split("=")):
        assert len(option.comment) > 10, option


def test_the_readme_is_current():
    assert readme() == README, "run `make docs`"


@pytest.mark.parametrize("choice", CHOICES)
def test_the_readme_has_every_choice_and_option(choice):
    group, name = choice.split("=")
    assert f"| `{choice}` | " in README
    if group != "study":
        for option in options(group, name):
            assert f"| `{name}` | `{option.key}` | `{option.default}` | {option.comment} |" in README
