"""bptt watch"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import one_line_errors
from cli.options import ResultsDir
from cli.printing import print_wrapped

Script = Annotated[
    list[str],
    typer.Argument(metavar="SCRIPT [ARGS]", help="Your script and its arguments, or -m MODULE.", show_default=False),
]


@one_line_errors
def watch(
    script: Script,
    every: Annotated[int, typer.Option(min=1, help="Interval of the recorded steps.")] = 50,
    lags: Annotated[
        bool, typer.Option("--lags", help="Also write lags.csv: how far back the loss of a single timestep reaches.")
    ] = False,
    truncation: Annotated[
        bool, typer.Option("--truncation", help="Also write truncation.csv: what cuts after K timesteps would change.")
    ] = False,
    spikes: Annotated[
        bool, typer.Option("--spikes", help="Also write spikes.csv: where outlying gradient norms come from.")
    ] = False,
    spike_limit: Annotated[
        float | None,
        typer.Option(
            help="Standard deviations of the norm's logarithm above which a step is a spike.  [default: 6]",
            show_default=False,
        ),
    ] = None,
    spike_batches: Annotated[
        bool, typer.Option("--spike-batches", help="Save what the layers read at each spike, and the weights.")
    ] = False,
    study: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the study.  [default: that of the script]", show_default=False),
    ] = None,
    results_dir: ResultsDir = "results",
) -> None:
    """Run your own training script and record how the gradient flows through its recurrent layers.

    The script needs no change, and its training is bitwise the same. Every nn.RNN, nn.LSTM, nn.GRU and cell of theirs
    that an optimizer of torch.optim updates is watched. The exit code is the script's. What bptt itself prints goes to
    stderr: the findings and, as the last line, the folder of the study, for `bptt plot` and `bptt report`.

    Example: bptt watch --every 20 -- train.py --lr 0.01
    """
    from experiments.errors import UsageError

    is_module, name, arguments = read_script(script)
    study = study or (name.rpartition(".")[2] if is_module else Path(name).stem)
    if not study.strip(". ") or "/" in study:
        raise UsageError(f"study={study!r}: must be the name of a folder; pass --study NAME")
    if spike_limit is not None and not 0 < spike_limit < float("inf"):
        raise UsageError(f"--spike-limit {spike_limit:g}: must be a number above 0")
    if spike_limit is not None and not spikes:
        raise UsageError(f"--spike-limit {spike_limit:g}: does nothing unless --spikes is passed")
    if spike_batches and not spikes:
        raise UsageError("--spike-batches: saves nothing unless --spikes is passed")
    folder = Path(results_dir).absolute() / study
    with tempfile.TemporaryDirectory() as place:
        told = Path(place) / "told.json"
        task = {
            "begin": "script",
            "module": is_module,
            "script": name,
            "every": every,
            "lags": lags,
            "truncation": truncation,
            "spikes": spikes,
            "spike_limit": spike_limit,
            "spike_batches": spike_batches,
            "folder": str(folder),
            "told": str(told),
        }
        code = run_script(task, arguments)
        found = json.loads(told.read_text()) if told.exists() else {"called": [], "run": None}
    with redirect_stdout(sys.stderr):
        _report(folder, name, found)
    raise typer.Exit(code)


def read_script(words: list[str]) -> tuple[bool, str, list[str]]:
    """Divide `SCRIPT ARGS` or `-m MODULE ARGS` into whether it is a module, its name, and the arguments.

    Raises:
        UsageError: There is no such file.
    """
    from experiments.errors import UsageError

    if words[0] == "-m":
        if len(words) < 2:
            raise UsageError("-m: needs the name of a module, as in -- -m package.train")
        return True, words[1], words[2:]
    if not Path(words[0]).is_file():
        raise UsageError(f"{words[0]}: is not a file; give the path of your script after --")
    return False, words[0], words[1:]


def run_script(task: dict[str, Any], arguments: list[str]) -> int:
    """Run a script in a process of its own until it ends; return its exit code, 128 + N after signal N.

    Ctrl-C reaches the script from the terminal. Without a terminal, the signal is passed on.
    """
    launch = Path(__file__).parents[2] / "experiments" / "watching" / "launch.py"
    child: Any = None

    def pass_on(number: int, _: object) -> None:
        if child is not None and (number != signal.SIGINT or not os.isatty(0)):
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        sys.stdout.flush()
        child = subprocess.Popen([sys.executable, str(launch), json.dumps(task), *arguments])
        code: int = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _report(folder: Path, script: str, found: dict[str, Any]) -> None:
    """Print the findings and the folder, or why there is none."""
    if found["run"] is not None and (Path(found["run"]) / "run.json").exists():
        from cli.print_results import print_runs

        print_runs(folder, [Path(found["run"]).name])
        print_wrapped(os.path.relpath(folder))
    elif found["called"]:
        layers = ", ".join(found["called"])
        print_wrapped(f"bptt watch: {script} called {layers}, but no step of torch.optim that updates it was recorded")
    else:
        kinds = "no nn.RNN, nn.LSTM, nn.GRU or cell of theirs was called with gradients on"
        print_wrapped(f"bptt watch: {script} trained no recurrent layer: {kinds}")
