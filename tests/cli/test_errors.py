"""Complaints of the command line itself: one line, exit code 2."""

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


def test_no_arguments_are_answered_with_help():
    assert "Usage: bptt" in CliRunner().invoke(app, [], prog_name="bptt").output


def test_counts_agree_with_their_nouns():
    assert [counted(number, "finished run") for number in (0, 1, 2)] == [
        "0 finished runs",
        "1 finished run",
        "2 finished runs",
    ]
