"""bptt reproduce, with the examples of a cell, a study and a claim in experiments/README.md."""

import re

import pandas as pd
import pytest

from tests.test_docs import ROOT, files_of, quantity_of

EXAMPLES = files_of("experiments/README.md")

PAGE = "# Mine\n\n<!-- claims: made by `bptt reproduce --markdown` -->\nstale\n<!-- /claims -->\n\nmore\n"


@pytest.fixture
def mine(tmp_path):
    """The examples of experiments/README.md."""
    for name, content in EXAMPLES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path


def test_the_readmes_own_study_is_reproduced(mine, bptt):
    command = ("reproduce", "leak", "--config-dir", "mine", "task.length=20", "--markdown", "page.md")
    done = bptt(*command)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["holds: The leak sets the gain", "", "leak_claims: holds"]
    assert lines[3].startswith("    leak 0.5: 1 (")
    assert lines[5] == "    null: noise in gradients.grad_norm: holds in 0 of 10 draws"
    assert lines[-1] == "results/leak/claims.html"
    claims = pd.read_csv(mine / "results/leak/claims.csv")
    assert list(claims["verdict"]) == ["holds", "holds"]
    assert list(claims["over"]) == ["5 seeds"] * 2
    assert list(claims["null_holds"]) == ["0 of 10"] * 2
    assert list(claims["seeds"]) == ["0 to 4"] * 2
    assert claims["registered"].isna().all()  # it is not one of ours
    assert len(pd.read_csv(mine / "results/leak/summary.csv")) == 10
    page = (mine / "page.md").read_text()
    assert "| [holds](#leak_claims) | The leak sets the gain | 0 of 10 |\n" in page
    assert "* Command: `bptt reproduce leak task.length=20 --config-dir mine`\n" in page
    assert page.startswith("# Mine\n")
    assert page.endswith("<!-- /claims -->\n\nmore\n")
    assert "stale" not in page

    before = (mine / "results/leak/claims.csv").read_bytes()
    again = bptt(*command)
    assert "10 of 10 already finished" in again.stderr
    assert (mine / "results/leak/claims.csv").read_bytes() == before
    assert (mine / "page.md").read_text() == page

    (mine / "results/leak/claims.csv").rename(mine / "first.csv")
    other = bptt(*command, "seed=range(10,12)", "--against", "first.csv")
    assert "undecided: The leak sets the gain (fragile: holds on 5 other seeds)" in other.stdout
    claims = pd.read_csv(mine / "results/leak/claims.csv")
    assert list(claims["other_seeds"]) == ["fragile: holds on 5 other seeds"] * 2
    assert (
        "| [undecided](#leak_claims) | The leak sets the gain | 0 of 10 | fragile: " in (mine / "page.md").read_text()
    )
    assert "fragile: holds on 5 other seeds" in (mine / "results/leak/claims.html").read_text()
    same = bptt(*command, "--against", "first.csv")
    assert (same.returncode, len(same.stderr.splitlines())) == (2, 1)
    assert "--against first.csv: seeds 0 to 4 are among these runs, too; give a claims.csv of others" in same.stderr


def test_a_scale_that_the_study_has_not_is_told_in_one_line(mine, bptt):
    """In a real process; tests/cli/test_errors.py has more of it."""
    done = bptt("reproduce", "leak", "--config-dir", "mine", "scale=paper")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "scale=paper: the study has no such scale" in done.stderr
    assert not (mine / "results").exists()


def test_a_run_that_fails_is_told_and_leaves_its_claim_undecided(mine, bptt):
    cell = EXAMPLES["leaky.py"].replace("return (self", "assert self.leak < 0.8\n        return (self")
    (mine / "leaky.py").write_text(cell)
    done = bptt("reproduce", "leak", "--config-dir", "mine", "task.length=20", "--jobs", "1")
    assert done.returncode == 1
    assert "failed: AssertionError" in done.stderr
    assert "leak 0.5: 1 (" in done.stdout


def test_the_committed_table_is_that_of_the_csv_file():
    folder = ROOT / "results/reference/claims"
    table = re.search(r"<!-- claims:.*?-->\n(.*?)<!-- /claims -->", (folder / "README.md").read_text(), re.DOTALL)[1]
    claims = pd.read_csv(folder / "claims.csv").groupby("claim", sort=False)
    rows = re.findall(r"^\| \[([^\]]+)\]\(#(\w+)\) \|", table, re.MULTILINE)
    assert rows == [(quantities["verdict"].iloc[0], name) for name, quantities in claims]
    for name, quantities in claims:
        section = re.search(rf"^#### {name}\n(.*?)^</details>", table, re.DOTALL | re.MULTILINE)[1]
        assert section.startswith(f"\n**{quantities['verdict'].iloc[0]}**: ")
        for _, row in quantities.iterrows():
            quantity = quantity_of(row)
            cells = (quantity.what, quantity.predicted, quantity.measured, row["as_predicted"])
            assert f"| {' | '.join(cells)} |\n" in section
        assert f"](figures/{name}.png)" in section
        assert (folder / f"figures/{name}.png").exists()
