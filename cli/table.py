"""The table of runs on stdout."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.terminal import say, stdout, wrap

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from experiments.analysis.findings import Reading

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

DISPENSABLE = ("seconds", "max norm", "loss", "clipped", "lags apart", "chance")
"""What a narrow terminal leaves out first, in this order; summary.csv has it."""

GAP = 2
"""Spaces between two columns."""

NARROWEST_MEANING = 30
"""Columns that a reading's meaning needs beside its number."""


def print_runs(study: Path, run_ids: Sequence[str], *, quiet: bool = False) -> None:
    """Write the study's summary.csv, and print the rows of some runs with what tells them apart, and what they say.

    Names the runs of the study that are damaged, and thus left out, on stderr.
    Many runs are printed a line a configuration, with the medians over its seeds.
    """
    from experiments.analysis.configuration_findings import describe_configurations
    from experiments.analysis.findings import describe_run
    from experiments.analysis.summary import write_summary
    from experiments.store.config_keys import compared_keys, differing_keys
    from experiments.store.studies import read_runs

    of_study = read_runs(study)
    summary, states = write_summary(study, of_study)
    for line in of_study.damage_report():
        say(line, err=True)
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
    _print_table(stdout(), table.head(MOST_ROWS), keys, numbers)
    if len(table) > MOST_ROWS:
        say(f"and {len(table) - MOST_ROWS} more: {study / 'summary.csv'}")
    if len(runs) == 1 and not probes:
        _print_finding("finding", describe_run(runs[0], {str(key): value for key, value in rows.iloc[0].items()}))
    elif not probes:
        found = describe_configurations(runs, rows, states)
        for name, sentence in list(found.items())[:MOST_FINDINGS]:
            _print_finding(name, sentence)
        if len(found) > MOST_FINDINGS:
            say(f"and {len(found) - MOST_FINDINGS} more: bptt report {study}")


def _print_finding(name: str, sentence: str) -> None:
    """Print a finding: in a terminal each of its parts on a line of its own, in a pipe all on one line."""
    if not stdout().is_terminal:
        say(f"{name}: {sentence}")
        return
    say(name)
    for part in sentence.split("; "):
        say(f"  {part}", indent="    ")


def _in_order(values: "pd.Series[Any]") -> "pd.Series[Any]":
    from experiments.store.config_keys import rank

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
    """Print keys and numbers of some runs, a row a run."""
    import pandas as pd

    from experiments.store.config_keys import format_value

    columns = {key: ["none" if pd.isna(value) else format_value(value) for value in rows[key]] for key in keys}
    for name, (heading, show) in numbers.items():
        columns[heading] = ["" if pd.isna(value) else show(value) for value in rows[name]]
    print_columns(console, columns, keys)


class Fitted(NamedTuple):
    """The columns of a table that fit a terminal.

    Attributes:
        columns: Cells by heading.
        widths: Characters of each column.
        alike: What is the same in all rows, by heading.
        left_out: The headings of the columns that have no room.
    """

    columns: dict[str, list[str]]
    widths: list[int]
    alike: dict[str, str]
    left_out: list[str]


def print_columns(console: "Console", columns: dict[str, list[str]], keys: Sequence[str]) -> None:
    """Print a table and cut nothing off: where `fit` finds no way, each row becomes a paragraph.

    Args:
        console: Where it is printed.
        columns: Cells by heading; one without any is left out.
        keys: The headings that tell the rows apart.
    """
    columns = {heading: cells for heading, cells in columns.items() if any(cells)}
    fitted = fit(columns, console.width)
    console.print()
    lines = []
    if fitted is None:
        lines = [line for row in _rows(columns) for line in _paragraph(row, keys, console.width)]
    else:
        _print_grid(console, fitted)
        if fitted.alike:
            lines += wrap(["in all rows:", *_listed(fitted.alike.items())], console.width, "  ")
        if fitted.left_out:
            lines += wrap(f"no room for {', '.join(fitted.left_out)}: see summary.csv".split(" "), console.width, "  ")
    _print_lines(console, [*lines, ""])


def fit(columns: dict[str, list[str]], width: int) -> Fitted | None:
    """Make columns fit into so many characters; None if they cannot.

    Headings break between words first. Then a column with the same in all rows is left to be said once. Then the
    columns that can be spared are left out.
    """
    columns, alike, left_out = dict(columns), {}, []
    same = [heading for heading, cells in columns.items() if len(set(cells)) == 1 < len(cells)]
    for heading in [*same, *DISPENSABLE]:
        if _widths(columns, width):
            break
        if heading in same and heading in columns:
            alike[heading] = columns.pop(heading)[0]
        elif columns.pop(heading, None):
            left_out.append(heading)
    widths = _widths(columns, width)
    return Fitted(columns, widths, alike, left_out) if widths else None


def _widths(columns: dict[str, list[str]], width: int) -> list[int]:
    """The width of each column, none where they need more than `width`; headings break first, then cells, at spaces."""
    from rich.cells import cell_len

    words = {heading: heading.split(" ") for heading in columns}
    choices = (
        [[heading, *cells] for heading, cells in columns.items()],
        [[*words[heading], *cells] for heading, cells in columns.items()],
        [[*words[heading], *" ".join(cells).split(" ")] for heading, cells in columns.items()],
    )
    for texts in choices:
        widths = [max(map(cell_len, column)) for column in texts]
        if sum(widths) + GAP * (len(columns) - 1) <= width:
            return widths
    return []


def _print_grid(console: "Console", fitted: Fitted) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for (heading, cells), width in zip(fitted.columns.items(), fitted.widths, strict=True):
        numbers = heading != "status" and any(cell[:1].isdigit() for cell in cells)
        table.add_column(Text(heading), justify="right" if numbers else "left", vertical="bottom", width=width)
    for row in _rows(fitted.columns):
        table.add_row(*map(Text, row.values()))
    console.print(table)


def _rows(columns: dict[str, list[str]]) -> list[dict[str, str]]:
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _paragraph(row: dict[str, str], keys: Sequence[str], width: int) -> list[str]:
    """The keys of a row as one types them, and its numbers below."""
    numbers = {heading: cell for heading, cell in row.items() if heading not in keys and cell}
    named = [f"{key}={row[key]}" for key in keys if key in row]
    return [*wrap(named, width), *wrap(_listed(numbers.items()), width, "  ", start="  ")]


def _listed(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Headings with their cells, as pieces of a line that may be broken between them."""
    pieces = [cell if heading == "status" else f"{heading} {cell}" for heading, cell in pairs]
    return [*(f"{piece}," for piece in pieces[:-1]), *pieces[-1:]]


def _print_lines(console: "Console", lines: Iterable[str]) -> None:
    console.print("\n".join(lines), highlight=False, markup=False, overflow="ignore", no_wrap=True, crop=False)


def print_probe(study: Path, run_id: str) -> None:
    """Print what a probe found: its numbers, and what each means."""
    from experiments.analysis.findings import probe_readings
    from experiments.analysis.summary import write_summary
    from experiments.store.studies import read_runs

    runs = read_runs(study)
    outcomes: Any = write_summary(study, runs)[0].set_index("run_id").to_dict("index")
    (run,) = [run for run in runs if run.folder.name == run_id]
    print_readings(stdout(), probe_readings(run, outcomes[run_id]))


def print_readings(console: "Console", readings: "Sequence[Reading]") -> None:
    """Print numbers beside what they mean; above it where the terminal is narrow."""
    names, values = (max(len(reading[i]) for reading in readings) for i in (0, 1))
    beside = names + GAP + values + GAP
    lines = []
    for name, value, meaning in readings:
        number = f"{name:<{names + GAP}}{value:<{values + GAP}}"
        if console.width >= beside + NARROWEST_MEANING:
            lines += wrap(meaning.split(" "), console.width, " " * beside, start=number)
        else:
            lines += [number.rstrip(), *wrap(meaning.split(" "), console.width, "  ", start="  ")]
    _print_lines(console, lines)
