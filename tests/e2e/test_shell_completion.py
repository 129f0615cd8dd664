"""A TAB in real shells, by the scripts that `--show-completion` prints."""

import os
import shutil
import subprocess
import time
from functools import cache

import pytest

from tests.e2e.sweeps import BPTT

PATH = f"{BPTT.parent}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The path of a shell's completion script, which is printed once."""
    folder = tmp_path_factory.mktemp("scripts")
    return cache(lambda shell: print_script(shell, folder))


def print_script(shell, tmp_path):
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [BPTT, "--show-completion", shell], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    path = tmp_path / f"completion.{shell}"
    path.write_text(done.stdout)
    return path


def in_bash(script, tmp_path, line):
    """What bash offers for the last word, split as bash splits it."""
    ask = f"""
    source {script("bash")}
    COMP_LINE={line!r} COMP_POINT={len(line)}
    compopt() {{ :; }}
    _bptt_completion bptt
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", ask], env={**os.environ, "PATH": PATH}, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bptt re", ["report", "reproduce", "replay"]),
        ("bptt reproduce va", ["vanishing"]),
        ("bptt run cell=min", ["mingru", "minimal", "minlstm"]),
        ("bptt run ce", ["cell=", "cell.nonlinearity=", "cell.bias="]),
        (
            "bptt sweep clip=norm cell=rnn,ls",
            ["rnn,lstm", "rnn,lstm_1997", "rnn,lstm_coupled", "rnn,lstm_layernorm", "rnn,lstm_peephole"],
        ),
        ("bptt run cell=lstm cell.", ["cell.forget_bias="]),
        ("bptt plot --figure pre", ["prediction"]),
        ("bptt plot --for", ["--format"]),
        ("bptt plot ", ["deep", "wide"]),
        ("bptt plot deep ", ["wide"]),
        ("bptt plot deep --compare task.", ["task.length", "task.halved", "task.length_spread"]),
        ("bptt plot deep --where cell=r", ["rnn"]),
        ("bptt list st", ["stop", "study"]),
    ],
)
def test_bash_completes(script, tmp_path, line, expected):
    for study in ("deep", "wide"):
        (tmp_path / "results" / study / "runs").mkdir(parents=True, exist_ok=True)
    assert in_bash(script, tmp_path, line) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tab_in_an_interactive_shell(script, tmp_path, shell):
    """Typed into a terminal: the shell itself splits the words, asks, and fills in."""
    if shutil.which("tmux") is None or shutil.which(shell) is None:
        pytest.skip(f"tmux or {shell} is not installed")
    start = {"bash": f"bash --rcfile {tmp_path}/rc -i", "zsh": f"ZDOTDIR={tmp_path} zsh -i"}[shell]
    completion = script(shell)
    (tmp_path / "rc").write_text(f"PS1='> '; source {completion}\n")
    (tmp_path / ".zshrc").write_text(f"PS1='> '; autoload -U compinit; compinit -u -D; source {completion}\n")
    server = ["tmux", "-L", f"bptt-{shell}-{os.getpid()}", "-f", "/dev/null"]
    subprocess.run([*server, "new-session", "-d", "-x", "100", "-y", "20", start], env={**os.environ, "PATH": PATH})

    def screen():
        return subprocess.run([*server, "capture-pane", "-p"], capture_output=True, text=True).stdout

    def wait_for(text):
        until = time.monotonic() + 15
        while text not in screen() and time.monotonic() < until:
            time.sleep(0.1)
        assert text in screen()
        time.sleep(0.5)  # what is typed before the shell listens again is echoed by the terminal, too

    try:
        wait_for(">")
        subprocess.run([*server, "send-keys", "bptt run cell=ja", "Tab"])
        wait_for("> bptt run cell=janet")
        subprocess.run([*server, "send-keys", "cell.f", "Tab"])
        wait_for("> bptt run cell=janet cell.forget_bias=")
        subprocess.run([*server, "send-keys", "1 dty", "Tab"])
        wait_for("cell.forget_bias=1 dtype=")
    finally:
        subprocess.run([*server, "kill-server"])
