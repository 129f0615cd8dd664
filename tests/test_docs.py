"""The Markdown files: links lead somewhere, commands are accepted, shown output is what bptt prints."""

import os
import pty
import re
import shlex
import struct
import subprocess
import termios
from collections import Counter
from fcntl import ioctl
from glob import glob
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import NamedTuple

import pandas as pd
import pytest
import typer

from cli.main import app
from experiments.claims.quantity import Quantity
from experiments.config.composing import compose
from experiments.config.grid import expand
from experiments.figures import NAMES as FIGURES
from experiments.store.csv_columns import COLUMNS
from experiments.sweeps.plan import plan
from experiments.sweeps.search import search

ROOT = Path(__file__).parents[1]
NOT_OURS = re.compile(r"\.|results/(?!README|reference)|.*/claims\.md")
"""What git ignores: hidden folders, studies, and the copy of the table of claims."""

PAGES = sorted(path for path in ROOT.rglob("*.md") if not NOT_OURS.match(str(path.relative_to(ROOT))))
COMMAND = re.compile(r"^(?: {4}|\$ )((?:bptt|make) .*)$", re.MULTILINE)
COMMANDS = dict.fromkeys(found.strip() for page in PAGES for found in COMMAND.findall(page.read_text()))
CLAIMS = pd.read_csv(ROOT / "results/reference/claims/claims.csv")

TERMINAL_COLUMNS = 110
"""The width of the terminal that the README shows."""


def name_of(page):
    return str(page.relative_to(ROOT))


def files_of(page):
    """The files that a page shows as indented blocks, each headed by a comment with its path: contents by path."""
    text = (ROOT / page).read_text()
    block = r"^    # ([\w/]+\.(?:py|yaml))\b.*\n((?:(?!    # [\w/]+\.(?:py|yaml)\b)    .*\n|\n)+)"
    return {
        path: "".join(line[4:] or "\n" for line in content.splitlines(keepends=True))
        for path, content in re.findall(block, text, flags=re.MULTILINE)
    }


# --- links ---


def without_code(text):
    return re.sub(r"^```.*?^```$|^ {4}[^\n]*$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    slugs = [
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    ]
    return {f"{slug}-{before}" if (before := slugs[:i].count(slug)) else slug for i, slug in enumerate(slugs)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        leads_to = page.parent / path if path else page
        assert leads_to.exists(), target
        if anchor:
            assert anchor in anchors_of(leads_to), target


@pytest.mark.parametrize(
    "folder", ["cli", "conf", "experiments", "experiments/claims", "models", "results/reference", "tests"]
)
def test_the_map_of_a_folder_names_all_of_it(folder):
    text = (ROOT / folder / "README.md").read_text()
    for child in (ROOT / folder).iterdir():
        if not child.name.startswith(("_", ".")) and child.name not in ("README.md", "conftest.py"):
            assert child.name in text, child.name


def test_the_checks_of_links_see_a_wrong_one(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One, two: `three`\n\n## What it costs\n\n## What it costs\n")
    assert anchors_of(page) == {"one-two-three", "what-it-costs", "what-it-costs-1"}
    assert without_code("`[a](gone)`\n\n    [b](gone)\n```console\n[c](gone)\n```\n[d](here)").strip() == "[d](here)"


# --- commands ---


class Planned(Exception):
    """A search came as far as its first runs."""


def stop(*_):
    raise Planned


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_accepted(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a search makes its storage
    (tmp_path / "pump.csv").write_text("flow,pressure\n" + "1,2\n2,1\n" * 300)  # a probe reads it when it is planned
    program, name, *arguments = shlex.split(command, comments=True)
    overrides = [argument for argument in arguments if "=" in argument]
    if program == "make":
        assert f"\n{name}:" in (ROOT / "Makefile").read_text()
    elif name == "sweep" and (grid := expand(overrides)).search:
        with pytest.raises(Planned):
            search(grid, None, objective="best_error", jobs=1, sweep=stop)
    elif name in ("sweep", "probe"):
        plan(overrides)
    elif name in ("run", "show"):
        compose(overrides)
    elif name in ("watch", "check"):
        context = typer.main.get_command(app).get_command(None, name).make_context("watch", arguments)
        assert context.params["script"]
    else:
        assert name in ("plot", "report", "status", "reproduce", "replay", "clean", "list", "--install-completion")


# --- shown output ---


class Example(NamedTuple):
    """A command of the README and the output that the README shows below it."""

    command: str
    shown: str

    @property
    def is_reproduction(self):
        return self.command.startswith("bptt reproduce")


def examples(text):
    blocks = re.findall(r"^```console\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [
        Example(*example.partition("\n")[::2])
        for block in blocks
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]


EXAMPLES = examples((ROOT / "README.md").read_text())


def words_of(text):
    """The text with each number as '#', since other processors round differently, and its spaces and lines evened out.

    A number within a name, such as that of a run's folder, is kept.
    """
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    text = re.sub(r"(?<![\w.-])-?(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|inf|nan)(?![\w-])", "#", text)
    return " ".join(re.sub("─+", "─", text).split())


def parts_shown(shown):
    """What stands between lines that consist of dots, where the README leaves something out."""
    return [words for part in re.split(r"^\s*\.\.\.$", shown, flags=re.MULTILINE) if (words := words_of(part))]


def printed_by(command, folder, warm):
    """What a command prints in a terminal, and after it what a pipe gets as stderr."""
    program, *words = shlex.split(command)
    arguments = [path for word in words for path in sorted(glob(word, root_dir=folder)) or [word]]
    if program != "bptt":
        return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    terminal, end = pty.openpty()
    ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, TERMINAL_COLUMNS, 0, 0))
    unset = {"COLUMNS", "LINES", "FORCE_COLOR", "CI"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"TERM": "xterm"}
    output = []

    def read():
        try:
            while some := os.read(terminal, 65536):
                output.append(some)
        except OSError:  # Linux says so at the end
            pass

    reader = Thread(target=read)
    reader.start()
    with TemporaryDirectory() as streams:
        Path(streams, "stdout").symlink_to(os.ttyname(end))
        process = warm.start(arguments, folder, Path(streams), environment=environment)
        code, said = process.wait(240), process.stderr.read_text()
    os.close(end)
    reader.join()
    os.close(terminal)
    assert code == 0, said
    return b"".join(output).decode() + said


def test_the_readme_shows_what_the_commands_print(tmp_path, warm):
    for example in EXAMPLES:
        if not example.is_reproduction:
            printed = printed_by(example.command, tmp_path, warm)
            for part in parts_shown(example.shown):
                assert part in words_of(printed), f"{example.command} printed\n{printed}"


def test_the_examples_on_own_data_run_from_an_empty_folder(tmp_path, warm):
    text = (ROOT / "cli" / "README.md").read_text()
    section = text.partition("## Your own data\n")[2].partition("\n## ")[0]
    for command in re.findall(r"^    (python3 .*)$", section, flags=re.MULTILINE):
        printed_by(command, tmp_path, warm)
    assert len((tmp_path / "pump.csv").read_text().splitlines()) == 3001
    commands = [command for command in COMMAND.findall(section) if "fashion_mnist" not in command]
    assert len(commands) >= 4
    for command in commands:
        short = "probe.batches=1 probe.samples=1" if command.startswith("bptt probe") else "steps=1"
        words = shlex.join(shlex.split(command, comments=True))
        assert "depends on" in " ".join(printed_by(f"{words} {short} model.hidden_size=4", tmp_path, warm).split())


def quantity_of(row):
    return Quantity(
        row["quantity"],
        *row[["low", "measured", "high"]],
        "" if pd.isna(row["over"]) else row["over"],
        *row[["at_least", "at_most"]],
    )


def test_the_readme_shows_verdicts_of_the_reference():
    shown = [example for example in EXAMPLES if example.is_reproduction]
    assert shown
    for example in shown:
        lines = []
        for claim, rows in CLAIMS[CLAIMS["study"] == example.command.split()[2]].groupby("claim", sort=False):
            lines.append(f"{claim}: {rows['verdict'].iloc[0]}")
            lines.append(f"null: {rows['null'].iloc[0]}: holds in {rows['null_holds'].iloc[0]} draws")
            for quantity in map(quantity_of, (row for _, row in rows.iterrows())):
                lines.append(f"{quantity.what}: {quantity.measured}; predicted {quantity.predicted}")
        for line in " ".join(example.shown.split("...")).splitlines():
            assert not line.strip() or line.strip() in lines, "\n".join(lines)


def test_the_readme_counts_the_verdicts_of_the_reference():
    table = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    verdicts = CLAIMS.groupby("claim", sort=False)[["study", "verdict"]].first()
    expected = {
        study: ", ".join(
            f"{number} {verdict if number == 1 else verdict.replace('holds', 'hold').replace('does', 'do')}"
            for verdict, number in Counter(rows["verdict"]).most_common()
        )
        for study, rows in verdicts.groupby("study", sort=False)
    }
    assert dict(table) == expected


# --- columns and figures ---


def test_every_column_is_explained():
    text = (ROOT / "results" / "README.md").read_text()
    for column in chain.from_iterable(COLUMNS.values()):
        assert f"`{column}`" in text, column


def test_every_figure_is_in_the_reference():
    for name in FIGURES:
        drawn = (ROOT / "results" / "reference").glob(f"*/{name}*.png")
        assert any(re.fullmatch(rf"{name}(-.*)?\.png", one.name) for one in drawn), name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
