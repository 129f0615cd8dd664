"""The table of runs on stdout."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

MOST_ROWS, MOST_FINDINGS = 40, 20

NUMBERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "status": ("status", str),
    "final_loss": ("loss", lambda v: f"{v:.4g}"),
    "best_error": ("error", lambda v: f"{v:.1%}"),
    "chance_error": ("chance", lambda v: f"{v:.0%}"),
    "gain_at_init": ("gain before", lambda v: f"{v:.3f}"),
    "gain_per_timestep": ("gain after", lambda v: f"{v:.3f}"),
    "horizon": ("horizon", lambda v: f"{v:.0f}"),
    "horizon_resolution": ("lags apart", lambda v: f"{v:.0f}"),
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
    "horizon_resolution": NUMBERS["horizon_resolution"],
    "max_grad_norm": NUMBERS["max_grad_norm"],
    "seconds": NUMBERS["seconds"],
}
"""The same of probes, where nothing is trained."""

DISPENSABLE = ("seconds", "max norm", "loss", "clipped", "lags apart", "chance", "seed")
"""What is left out first where the terminal is narrow; summary.csv has it all."""


def print_runs(study: Path, run_ids: Sequence[str], *, quiet: bool = False) -> None:
    """Write the study's summary.csv, and print the rows of some runs with what tells them apart, and what they say.

    Names the runs of the study that are damaged, and thus left out, on stderr.
    Many runs are printed a line a configuration, with the medians over its seeds.
    """
    from experiments.analysis import summarize
    from experiments.configurations import by_configuration
    from experiments.findings import finding
    from experiments.study import compared_keys, differing_keys, read_runs

    of_study = read_runs(study)
    summary, states = summarize(study, of_study)
    for line in of_study.left_out():
        typer.echo(line, err=True)
    chosen = set(run_ids)
    runs = [run for run in of_study if run.id in chosen]
    if quiet or not runs:
        return
    rows = summary[summary["run_id"].isin(chosen)].reset_index(drop=True)
    probes = all(run.is_probe for run in runs)
    numbers = PROBE_NUMBERS if probes else NUMBERS
    keys = list(dict.fromkeys(["cell", *compared_keys(runs)]))
    for key in keys:
        rows[key] = [run.config.get(key) for run in runs]
    if len(rows) <= MOST_ROWS:
        keys += ["seed"] if "seed" in differing_keys(runs) or len(runs) == 1 else []
        table = rows.sort_values(keys, key=_in_order, kind="stable")
    else:
        table = _medians(rows, keys, list(numbers))
        keys.append("runs")
    console = _console()
    _print_table(console, table.head(MOST_ROWS), keys, numbers)
    if len(table) > MOST_ROWS:
        console.print(f"and {len(table) - MOST_ROWS} more: {study / 'summary.csv'}", highlight=False, markup=False)
    if len(runs) == 1 and not probes:
        _print_finding(console, "finding", finding(runs[0], {str(key): value for key, value in rows.iloc[0].items()}))
    elif not probes:
        found = by_configuration(runs, rows, states)
        for name, sentence in list(found.items())[:MOST_FINDINGS]:
            _print_finding(console, name, sentence)
        if len(found) > MOST_FINDINGS:
            console.print(f"and {len(found) - MOST_FINDINGS} more: bptt report {study}", highlight=False, markup=False)


def _print_finding(console: "Console", name: str, sentence: str) -> None:
    """Print a finding: in a terminal each of its parts on a line of its own, in a pipe all on one line."""
    from rich.padding import Padding
    from rich.text import Text

    if not console.is_terminal:
        console.print(f"{name}: {sentence}", soft_wrap=True, highlight=False, markup=False)
        return
    console.print(Text(name))
    for part in sentence.split("; "):
        console.print(Padding(Text(part), (0, 0, 0, 2)))


def _console() -> "Console":
    """A terminal as wide as it is; a pipe takes all."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=200)


def _in_order(values: "pd.Series[Any]") -> "pd.Series[Any]":
    from experiments.arrangement import rank

    return values.map(rank)


def _medians(rows: "pd.DataFrame", keys: list[str], numbers: list[str]) -> "pd.DataFrame":
    """A row for each configuration: how many runs, how they ended, the medians of their numbers."""
    import pandas as pd

    rows = rows.sort_values(keys, key=_in_order)
    groups = rows.groupby(keys, sort=False, dropna=False)
    wanted = [name for name in numbers if name != "status"]
    medians = rows[wanted].apply(pd.to_numeric).groupby([rows[key] for key in keys], dropna=False).median()
    ends = groups["status"].agg(lambda ends: ", ".join(f"{n} {end}" for end, n in ends.value_counts().items()))
    table: pd.DataFrame = pd.concat([groups.size().rename("runs"), ends, medians], axis=1).reset_index()
    return table


def _print_table(
    console: "Console", rows: "pd.DataFrame", keys: Sequence[str], numbers: dict[str, tuple[str, Callable[[Any], str]]]
) -> None:
    """The keys and the numbers, less those that can be spared where the terminal is narrow."""
    import pandas as pd
    from rich import box
    from rich.table import Table

    from experiments.study import shown

    columns = {key: ["none" if pd.isna(value) else shown(value) for value in rows[key]] for key in keys}
    for name, (heading, show) in numbers.items():
        columns[heading] = ["" if pd.isna(value) else show(value) for value in rows[name]]
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


def print_probe(study: Path, run_id: str) -> None:
    """Print what a probe found, a sentence a number."""
    from rich import box
    from rich.table import Table

    from experiments.analysis import summarize
    from experiments.findings import read_probe
    from experiments.study import read_runs

    runs = read_runs(study)
    outcomes: Any = summarize(study, runs)[0].set_index("run_id").to_dict("index")
    (run,) = [run for run in runs if run.folder.name == run_id]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for reading in read_probe(run, outcomes[run_id]):
        table.add_row(*reading)
    _console().print(table)
