"""The table of runs on stdout."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NUMBERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "status": ("status", str),
    "final_loss": ("loss", lambda v: f"{v:.4g}"),
    "best_error": ("error", lambda v: f"{v:.1%}"),
    "chance_error": ("chance", lambda v: f"{v:.0%}"),
    "gain_at_init": ("gain before", lambda v: f"{v:.3f}"),
    "gain_per_timestep": ("gain after", lambda v: f"{v:.3f}"),
    "horizon": ("horizon", lambda v: f"{v:d}"),
    "max_grad_norm": ("max norm", lambda v: f"{v:.3g}"),
    "clipped_fraction": ("clipped", lambda v: f"{v:.0%}"),
    "seconds": ("seconds", lambda v: f"{v:.1f}"),
}
"""The columns of summary.csv that are printed: heading and format."""

PROBE_NUMBERS = {
    "status": NUMBERS["status"],
    "gain_per_timestep": ("gain", NUMBERS["gain_per_timestep"][1]),
    "gain_at_init": ("gradient's gain", NUMBERS["gain_at_init"][1]),
    "horizon": NUMBERS["horizon"],
    "max_grad_norm": NUMBERS["max_grad_norm"],
    "seconds": NUMBERS["seconds"],
}
"""The same of probes, where nothing is trained."""

DISPENSABLE = ("seconds", "max norm", "loss", "clipped", "chance", "seed")
"""What is left out first where the terminal is narrow; summary.csv has it all."""


def print_runs(study: Path, run_ids: Sequence[str]) -> None:
    """Write the study's summary.csv, and print the rows of some runs with what tells them apart."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from experiments.analysis import summarize
    from experiments.findings import finding
    from experiments.study import compared_keys, read_runs

    runs = read_runs(study)
    rows = summarize(study, runs).set_index("run_id").loc[list(run_ids)]
    keys = ["cell", *compared_keys([run for run in runs if run.folder.name in run_ids]), "seed"]
    columns = {key: ["none" if value is None else str(value) for value in rows[key]] for key in dict.fromkeys(keys)}
    probes = all(run.is_probe for run in runs if run.folder.name in run_ids)
    for name, (heading, show) in (PROBE_NUMBERS if probes else NUMBERS).items():
        columns[heading] = ["" if value is None else show(value) for value in rows[name]]
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=200)
    for heading in DISPENSABLE:
        if sum(max(map(len, [heading, *cells])) + 3 for heading, cells in columns.items()) <= console.width:
            break
        columns.pop(heading, None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading, cells in columns.items():
        table.add_column(heading, justify="right" if cells[0][:1].isdigit() else "left", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    console.print(table)
    outcomes: Any = rows.to_dict("index")
    by_id = {run.folder.name: run for run in runs}
    for run_id in () if probes else run_ids:
        label = run_id if len(run_ids) > 1 else "finding"
        console.print(f"{label}: {finding(by_id[run_id], outcomes[run_id])}", soft_wrap=True, highlight=False)


def print_probe(study: Path, run_id: str) -> None:
    """Print what a probe found, a sentence a number."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from experiments.analysis import summarize
    from experiments.findings import read_probe
    from experiments.study import read_runs

    runs = read_runs(study)
    outcomes: Any = summarize(study, runs).set_index("run_id").to_dict("index")
    (run,) = [run for run in runs if run.folder.name == run_id]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for reading in read_probe(run, outcomes[run_id]):
        table.add_row(*reading)
    terminal = Console()
    (terminal if terminal.is_terminal else Console(width=200)).print(table)
