"""What the documents name is there: links, commands, keys."""

import re
import shlex
from itertools import chain
from pathlib import Path

import pytest

from experiments.config.composing import compose
from experiments.config.grid import expand
from experiments.figures import NAMES as FIGURES
from experiments.store.columns import COLUMNS
from experiments.sweeps.plan import plan
from experiments.sweeps.search import search

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "results/README.md")]
COMMANDS = [
    line.strip()
    for page in PAGES
    for line in re.findall(r"^ {4}((?:bptt|make) .*)$", page.read_text(), flags=re.MULTILINE)
]


class Planned(Exception):
    """A search came as far as its first runs."""


def stop(*_):
    raise Planned


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_accepted(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a search makes its storage
    program, name, *arguments = shlex.split(command, comments=True)
    overrides = [argument for argument in arguments if "=" in argument]
    if program == "make":
        assert f"\n{name}:" in (ROOT / "Makefile").read_text()
    elif name == "sweep" and (grid := expand(overrides)).search:
        with pytest.raises(Planned):
            search(grid, None, objective="best_error", jobs=1, sweep=stop)
    elif name == "sweep":
        plan(overrides)
    elif name in ("run", "show"):
        compose(overrides)
    elif name == "probe":
        plan(overrides)
    else:
        assert name in ("plot", "report", "status", "reproduce", "replay", "clean", "list", "--install-completion")


def test_every_column_is_explained():
    text = (ROOT / "results" / "README.md").read_text()
    for column in chain.from_iterable(COLUMNS.values()):
        assert f"`{column}`" in text, column


def test_every_figure_is_in_the_reference():
    for name in FIGURES:
        assert list((ROOT / "results" / "reference").glob(f"*/{name}.png")), name
