"""Commands in a real terminal, that of tmux: what a person sees at 60 and 80 columns, and while it is resized."""

import shlex
import shutil
import subprocess
import time

import pytest

from tests.e2e.sweeps import BPTT

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

SMALL = ["model.hidden_size=4", "batch_size=2", "task.length=5", "record=none", "results_dir=results"]


class Terminal:
    """A shell of its own in tmux.

    Args:
        folder: where the shell is, and the server's socket.
        width: columns.
        height: rows.
    """

    def __init__(self, folder, width, height):
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        shell = "env -u CI -u COLUMNS -u LINES PS1='$ ' PROMPT_COMMAND= bash --norc --noprofile"
        self._do("new-session", "-d", "-x", str(width), "-y", str(height), "-c", str(folder), shell)

    def _do(self, *arguments):
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def type(self, *words):
        self._do("send-keys", shlex.join(words) + "; echo over$?", "Enter")

    def interrupt(self):
        self._do("send-keys", "C-c")

    def resize(self, width, height):
        self._do("resize-window", "-x", str(width), "-y", str(height))

    def lines(self, *, history=True):
        start = ["-S", "-"] if history else []
        return self._do("capture-pane", "-p", *start).rstrip().splitlines()

    def wait(self, what, *, seconds=60, history=True):
        """The lines, as soon as one of them begins so."""
        for _ in range(int(seconds / 0.2)):
            lines = self.lines(history=history)
            if any(line.lstrip().startswith(what) for line in lines):
                return lines
            time.sleep(0.2)
        raise AssertionError(f"no line begins with {what!r}:\n" + "\n".join(lines))

    def close(self):
        self._do("kill-server")


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_terminal(width, height=24):
        opened.append(Terminal(tmp_path, width, height))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def test_a_sweep_that_is_resized_leaves_nothing_of_its_display(terminal):
    shell = terminal(80)
    shell.type("echo", "said before")
    shell.type(str(BPTT), "sweep", "cell=rnn,lstm", *SMALL, "steps=1000000", "--jobs", "2")
    shell.wait("cell=lstm", history=False)
    for width, height in [(40, 10), (60, 5), (80, 24)]:
        shell.resize(width, height)
        time.sleep(1.5)
        lines = shell.lines(history=False)
        assert lines[0].startswith("0/2 done, 2 running"), lines
        assert sum(line.startswith("cell=lstm") for line in lines) == 1, lines
    shell.interrupt()
    lines = shell.wait("over130")
    said = lines.index("said before")
    assert lines[said + 1 :].count("over0") == 1
    first = next(i for i, line in enumerate(lines) if line.startswith("bptt: interrupted"))
    assert not [line for line in lines if line.startswith(("0/2 done", "cell=", "  "))], lines
    assert lines[first + 1 :] == ["over130", "$"], lines
