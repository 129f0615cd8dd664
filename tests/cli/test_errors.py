"""Wrong usage: one line on stderr, exit code 2, nothing written. And what `--help` prints."""

import re
import sys

import pytest
from typer.testing import CliRunner

from cli.main import app
from experiments.wording import counted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--config-dir", "nowhere"], "'--config-dir': dir 'nowhere' does not exist; see `bptt run --help`"),
        (["reproduce", "--config-dir", "nowhere"], "'--config-dir': dir 'nowhere' does not exist"),
        (["list", "--config-dir", "nowhere"], "'--config-dir': dir 'nowhere' does not exist"),
        (["show", "--config-dir", "nowhere"], "'--config-dir': dir 'nowhere' does not exist"),
        (["replay", "--config-dir", "nowhere", "x"], "'--config-dir': dir 'nowhere' does not exist"),
        (["run", "--nothing"], "no such option: --nothing"),
        (["sweep", "--jobs", "0"], "invalid value for '--jobs' / '-j'"),
        (["plot"], "missing argument 'STUDY...'; see `bptt plot --help`"),
        (["nothing"], "no such command 'nothing'; see `bptt --help`"),
    ],
)
def test_what_typer_complains_of_is_one_line(arguments, said):
    result = CliRunner().invoke(app, arguments, prog_name="bptt")
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 2
    assert line.startswith("bptt: ")
    assert said in line


def one_line_of(done):
    """The line on stderr of a command that refused its arguments."""
    (line,) = done.stderr.splitlines()
    assert (done.exit_code, done.stdout) == (2, "")
    assert line.startswith("bptt: ")
    return line


@pytest.mark.parametrize(
    "wrong",
    [
        ["cell=foo"], ["task.length=0"], ["task.length=abc"], ["task.lenght=5"], ["clip.threshold=-1"],
        ["clip=norm", "clip.threshold=-1"], ["steps=0"], ["seed=x"], ["device=nowhere"], ["dtype=int8"],
        ["results_dir=/proc/nowhere"], ["results_dir=file/below"], ["study=../../x"], ["nonsense"], ["--job", "2"],
        ["--config-dir", "nowhere"],
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("command", [["run"], ["sweep", "-j1"]], ids=["run", "sweep"])
def test_bad_input_is_one_line_and_nothing_written(bptt, tmp_path, command, wrong):
    (tmp_path / "file").write_text("not a folder")
    before = sorted(tmp_path.rglob("*"))
    line = one_line_of(bptt(*command, *wrong))
    assert (wrong[0] if wrong[0].startswith("--") else wrong[-1].partition("=")[0]) in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", [["run"], ["sweep", "-j1"], ["probe"]], ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("cell", "init", "advice"),
    [("lru", "orthogonal", "use init=default"), ("rnn", "chrono", "choose a cell such as lstm or gru")],
)
def test_an_init_that_is_not_defined_for_a_cell_is_one_line(bptt, tmp_path, command, cell, init, advice):
    line = one_line_of(bptt(*command, f"cell={cell}", f"init={init}"))
    assert line.startswith(f"bptt: init={init} cell={cell}: ")
    assert advice in line
    assert "Error" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "list cell=lstm",
            "cell=lstm: give the group alone: `bptt list cell` prints its choices, `bptt show cell=lstm`",
        ),
        ("list cells=foo", "cells=foo: give the group alone: `bptt list cell` prints its choices"),
        ("list lstm", "lstm: is no group, but a choice of cell: `bptt list cell` prints it"),
        ("list foo", "foo: there is no such group; choose from cell, clip, "),
        ("show omega", "omega: is not of the form KEY=VALUE; did you mean remedy=omega?"),
        ("show orthogonal", "did you mean cell=orthogonal or init=orthogonal?"),
        (
            "show cell",
            "cell: is not of the form KEY=VALUE; `bptt list cell` prints the choices, and cell=NAME takes one",
        ),
    ],
)
def test_a_word_in_the_wrong_place_is_answered_with_what_would_do(bptt, arguments, said):
    assert said in one_line_of(bptt(*arguments.split()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which studies? give --all, or one or more of bptt_terms, any_length, vanishing"),
        (["--all", "vanishing"], "--all vanishing: give either --all or the names of studies"),
        (["vanishin"], "vanishin: there is no study with claims of this name; choose from bptt_terms"),
        (["quickstart"], "quickstart: there is no study with claims of this name"),
        (["vanishing", "scale=huge"], "scale=huge: the study has no such scale; choose from small, paper"),
        (["vanishing", "steps=many"], "steps=many: must be"),
        (["vanishing", "--markdown", "page.md"], "has no lines '<!-- claims"),
        (["vanishing", "--markdown", "nowhere.md"], "nowhere.md: No such file"),
        (["lost", "--config-dir", "mine"], "claims: not_there: there is no such claim"),
        (["empty", "--config-dir", "mine"], "claims: empty_claim: missing"),
        (["odd", "--config-dir", "mine"], "claims: odd_claim: KIND='theorem': must be one of finding, check"),
        (["wordy", "--config-dir", "mine"], "claims: wordy_claim: NULL='cell': must be noise(...) or shuffled(...)"),
    ],
)
def test_what_cannot_be_reproduced_is_one_line(bptt, tmp_path, arguments, said):
    (tmp_path / "mine/study").mkdir(parents=True)
    claims = {"lost": "not_there", "empty": "empty_claim", "odd": "odd_claim", "wordy": "wordy_claim"}
    for name, claim in claims.items():
        (tmp_path / f"mine/study/{name}.yaml").write_text(
            f"# @package _global_\nstudy: {{name: {name}}}\nclaims: [{claim}]\n"
        )
    whole = "STATEMENT = SOURCE = PREDICTION = 'nothing'\nmeasure = list\n"
    modules = {"empty_claim": "STATEMENT = 'nothing'\n"}
    modules |= {"odd_claim": f"{whole}KIND = 'theorem'\n", "wordy_claim": f"{whole}NULL = 'cell'\n"}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "page.md").write_text("# Mine\n")
    assert said in one_line_of(bptt("reproduce", *arguments, "-j1"))
    assert not (tmp_path / "results").exists()
    for name in modules:
        sys.modules.pop(name, None)


def test_a_misspelt_command_is_answered_with_the_nearest():
    result = CliRunner().invoke(app, ["sweeep"], prog_name="bptt")
    assert result.stderr == "bptt: no such command 'sweeep'. Did you mean 'sweep'? see `bptt --help`\n"


COMMANDS = ["run", "sweep", "probe", "status", "plot", "report", "reproduce", "replay", "clean", "show", "list"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_the_command_is_for(command):
    overview, own = (CliRunner().invoke(app, [*words, "--help"], prog_name="bptt") for words in ([], [command]))
    assert overview.exit_code == own.exit_code == 0
    (line,) = [line for line in overview.output.splitlines() if re.match(rf" *{command} ", line)]
    assert line.rstrip().endswith(".")
    assert not line.rstrip().endswith("...")
    assert f"Usage: bptt {command} " in own.output
    assert "Example: bptt " in own.output
    assert max(map(len, (overview.output + own.output).splitlines())) <= 80


def test_no_arguments_are_answered_with_help():
    assert "Usage: bptt" in CliRunner().invoke(app, [], prog_name="bptt").output


def test_counts_agree_with_their_nouns():
    assert [counted(number, "finished run") for number in (0, 1, 2)] == [
        "0 finished runs",
        "1 finished run",
        "2 finished runs",
    ]
