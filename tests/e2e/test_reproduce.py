"""bptt reproduce, with the README's own example of a study and a claim."""

import re
from pathlib import Path

import pandas as pd
import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()

PAGE = "# Mine\n\n<!-- claims: made by `bptt reproduce --markdown` -->\nstale\n<!-- /claims -->\n\nmore\n"


def from_readme(name):
    """The indented block that begins with the file's name."""
    block = re.search(rf"^    # {re.escape(name)}\b.*\n((?:    .*\n|\n)+)", README, flags=re.MULTILINE)[1]
    block = re.split(r"^    # \S+\.(?:py|yaml)\b.*\n", block, flags=re.MULTILINE)[0]
    return "".join(line[4:] or "\n" for line in block.splitlines(keepends=True))


@pytest.fixture
def mine(tmp_path):
    """The README's folder of a user's own."""
    for name in ("mine/cell/leaky.yaml", "leaky.py", "mine/study/leak.yaml", "leak_claims.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(from_readme(name))
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path


def test_the_readmes_own_study_is_reproduced(mine, bptt):
    command = ("reproduce", "leak", "--config-dir", "mine", "task.length=20", "--markdown", "page.md")
    done = bptt(*command)
    assert done.returncode == 0, done.stderr
    assert "holds: The leak sets the gain" in done.stdout
    assert "leak 0.5: 1 (" in done.stdout
    assert done.stdout.splitlines()[-1] == "results/leak/claims.html"
    claims = pd.read_csv(mine / "results/leak/claims.csv")
    assert list(claims["verdict"]) == ["holds", "holds"]
    assert list(claims["over"]) == ["5 seeds"] * 2
    assert len(pd.read_csv(mine / "results/leak/summary.csv")) == 10
    page = (mine / "page.md").read_text()
    assert "| **leak**: The leak sets the gain (my notes) | the gain before training" in page
    assert page.startswith("# Mine\n")
    assert page.endswith("<!-- /claims -->\n\nmore\n")
    assert "stale" not in page

    before = (mine / "results/leak/claims.csv").read_bytes()
    again = bptt(*command)
    assert "10 of 10 already finished" in again.stderr
    assert (mine / "results/leak/claims.csv").read_bytes() == before
    assert (mine / "page.md").read_text() == page


def test_a_scale_that_the_study_has_not_is_told_in_one_line(mine, bptt):
    """In a real process; tests/cli/test_errors.py has more of it."""
    done = bptt("reproduce", "leak", "--config-dir", "mine", "scale=paper")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "scale=paper: the study has no such scale" in done.stderr
    assert not (mine / "results").exists()


def test_a_run_that_fails_is_told_and_leaves_its_claim_undecided(mine, bptt):
    cell = from_readme("leaky.py").replace("return (self", "assert self.leak < 0.8\n        return (self")
    (mine / "leaky.py").write_text(cell)
    done = bptt("reproduce", "leak", "--config-dir", "mine", "task.length=20")
    assert done.returncode == 1
    assert "failed: AssertionError" in done.stderr
    assert "leak 0.5: 1 (" in done.stdout


def test_the_table_in_the_readme_is_that_of_the_reference():
    table = re.search(r"<!-- claims:.*?-->\n(.*?)<!-- /claims -->", README, flags=re.DOTALL)[1].strip()
    committed = (Path(__file__).parents[2] / "results/reference/claims/claims.md").read_text().strip()
    assert table == committed.replace("](figures/", "](results/reference/claims/figures/")
    assert committed.count("\n") == 1 + len({*pd.read_csv(README_CLAIMS)["claim"]})


README_CLAIMS = Path(__file__).parents[2] / "results/reference/claims/claims.csv"
