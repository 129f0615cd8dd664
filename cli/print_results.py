"""The results of runs on stdout: a table, the findings in words, and the readings of a probe."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.printing import print_wrapped, stdout_console, wrap

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
    "state": ("state", str),
    "gain_at_init": ("gain before", lambda v: f"{v:.3f}"),
    "gain_per_timestep": ("gain after", lambda v: f"{v:.3f}"),
    "horizon": ("horizon", lambda v: f"{v:.0f}"),
    "horizon_resolution": ("lag spacing", lambda v: f"{v:.0f}"),
    "max_grad_norm": ("max norm", lambda v: f"{v:.3g}"),
    "clipped_fraction": ("clipped", lambda v: f"{v:.0%}"),
    "seconds": ("seconds", lambda v: f"{v:.1f}"),
}
"""The printed columns of summary.csv: heading and format."""

PROBE_NUMBERS = {
    "status": NUMBERS["status"],
    "gain_per_timestep": ("gain", NUMBERS["gain_per_timestep"][1]),
    "gain_at_init": ("gradient's gain", lambda v: v if isinstance(v, str) else f"{v:.3f}"),
    "horizon": NUMBERS["horizon"],
    "horizon_resolution": NUMBERS["horizon_resolution"],
    "largest_exponent": ("largest exponent", lambda v: f"{v:.3f}"),
    "parameters": ("params", lambda v: f"{v:.0f}"),
    "max_grad_norm": NUMBERS["max_grad_norm"],
    "seconds": NUMBERS["seconds"],
}
"""The printed columns for probes, which do not train."""

DISPENSABLE = ("seconds", "max norm", "loss", "clipped", "lag spacing", "chance")
"""Headings of the columns that a narrow terminal leaves out, the first one first. All are in summary.csv."""

GAP = 2
"""Number of spaces between two columns."""

JUDGED = (
    "gain and horizon are those of the state whose gradient reaches farthest back, before training and at the last "
    "recorded step"
)
"""What the column `state` means."""

NARROWEST_MEANING = 30
"""Smallest width, in characters, of a reading's explanation beside its number."""


def print_runs(study: Path, run_ids: Sequence[str], *, quiet: bool = False) -> None:
    """Update the study's summary.csv, then print a table of some of its runs and the findings from them.

    The damaged runs of the study, which are left out, are named on stderr. Of more than 40 runs, the table has one row
    for each configuration, with medians over seeds.

    Args:
        study: Folder of the study.
        run_ids: Ids of the runs to print.
        quiet: Whether to print nothing on stdout.
    """
    from experiments.analysis.configuration_findings import describe_configurations
    from experiments.analysis.findings import describe_run
    from experiments.analysis.judged_states import with_judged_states
    from experiments.analysis.summary import write_summary
    from experiments.store.config_keys import compared_keys, differing_keys
    from experiments.store.studies import read_runs

    of_study = read_runs(study)
    summary, by_state = write_summary(study, of_study)
    for line in of_study.damage_report():
        print_wrapped(line, err=True)
    chosen = set(run_ids)
    runs = [run for run in of_study if run.id in chosen]
    if quiet or not runs:
        return
    rows = summary[summary["run_id"].isin(chosen)].reset_index(drop=True)
    rows["status"] = rows["status"].where(rows["stopped"].isna(), "stopped: " + rows["stopped"].astype(str))
    probes = all(run.is_probe for run in runs)
    numbers = PROBE_NUMBERS if probes else NUMBERS
    keys = list(dict.fromkeys(["cell", *compared_keys(runs)]))
    for key in keys:
        rows[key] = [run.config.get(key) for run in runs]
    gains = _gains_of_states(rows, by_state) if probes else {}
    shown = rows.assign(**gains) if probes else with_judged_states(runs, rows, by_state)
    if len(rows) <= MOST_ROWS:
        is_alone = len(runs) == 1 and runs[0].config.get("seed") is not None
        keys += ["seed"] if is_alone or "seed" in differing_keys(runs) else []
        table = shown.sort_values(keys, key=_in_order, kind="stable")
    else:
        table = _medians(shown, keys, [*numbers, *gains])
        keys.append("runs")
    if gains:
        table = table.assign(gain_at_init=_join_gains(table[["gain_at_init", *gains]]))
    _print_table(stdout_console(), table.head(MOST_ROWS), keys, numbers)
    if "state" in numbers and table["state"].notna().any():
        print_wrapped(JUDGED)
    if len(table) > MOST_ROWS:
        print_wrapped(f"and {len(table) - MOST_ROWS} more: {study / 'summary.csv'}")
    if len(runs) == 1 and probes:
        return  # print_probe has more to say of a single one
    if len(runs) == 1:
        _print_finding("finding", describe_run(runs[0], {str(key): value for key, value in rows.iloc[0].items()}))
        return
    found = describe_configurations(runs, rows, by_state)
    for name, sentence in list(found.items())[:MOST_FINDINGS]:
        _print_finding(name, sentence)
    if len(found) > MOST_FINDINGS:
        print_wrapped(f"and {len(found) - MOST_FINDINGS} more: bptt report {study}")


def _print_finding(name: str, sentence: str) -> None:
    """Print a finding: one line for each of its parts in a terminal, a single line in a pipe."""
    if not stdout_console().is_terminal:
        print_wrapped(f"{name}: {sentence}")
        return
    print_wrapped(name)
    for part in sentence.split("; "):
        print_wrapped(f"  {part}", indent="    ")


def _in_order(values: "pd.Series[Any]") -> "pd.Series[Any]":
    from experiments.store.config_keys import rank

    return values.map(rank)


def _medians(rows: "pd.DataFrame", keys: list[str], numbers: list[str]) -> "pd.DataFrame":
    """One row for each configuration: the number of runs, their statuses, and medians of their numbers."""
    import pandas as pd

    rows = rows.sort_values(keys, key=_in_order)
    groups = rows.groupby(keys, sort=False, dropna=False)
    words = [name for name in ("state",) if name in numbers]
    wanted = [name for name in numbers if name not in ("status", *words)]
    medians = rows[wanted].apply(pd.to_numeric).groupby([rows[key] for key in keys], dropna=False).median()
    ends = groups["status"].agg(lambda ends: ", ".join(f"{n} {end}" for end, n in ends.value_counts().items()))
    parts = [groups.size().rename("runs"), ends, groups[words].first(), medians]
    table: pd.DataFrame = pd.concat(parts, axis=1).reset_index()
    return table


def _gains_of_states(rows: "pd.DataFrame", by_state: "pd.DataFrame") -> "dict[str, pd.Series[Any]]":
    """The gradient's gain of each further state of layer 0, by the state's name, for each of the rows."""
    further = by_state[(by_state["layer"] == 0) & (by_state["state"] != "h")]
    return {
        str(state): rows["run_id"].map(of_state.set_index("run_id")["gain_at_init"])
        for state, of_state in further[further["run_id"].isin(rows["run_id"])].groupby("state")
    }


def _join_gains(gains: "pd.DataFrame") -> list[Any]:
    """The gain of h alone, or those of all states in words, such as 'h=0.845,c=0.854'.

    Args:
        gains: The gain of h in the first column, and those of the other states in columns of their names.
    """
    import pandas as pd

    joined: list[Any] = []
    for of_h, *others in gains.itertuples(index=False):
        named = zip(["h", *gains.columns[1:]], [of_h, *others], strict=True)
        words = [f"{state}={gain:.3f}" for state, gain in named if pd.notna(gain)]
        joined.append(of_h if all(map(pd.isna, others)) else ",".join(words))
    return joined


def _print_table(
    console: "Console", rows: "pd.DataFrame", keys: Sequence[str], numbers: dict[str, tuple[str, Callable[[Any], str]]]
) -> None:
    """Print one row for each run or configuration, with its keys and formatted numbers."""
    import pandas as pd

    from experiments.store.config_keys import format_value

    columns = {key: ["none" if pd.isna(value) else format_value(value) for value in rows[key]] for key in keys}
    for name, (heading, show) in numbers.items():
        columns[heading] = ["" if pd.isna(value) else show(value) for value in rows[name]]
    print_columns(console, columns, keys)


class FittedTable(NamedTuple):
    """A table that fits into a terminal.

    Attributes:
        columns: Cells by heading.
        widths: Width of each column in characters.
        constant: Cell that is the same in all rows, by heading; these columns are not in the table.
        left_out: Headings of the columns that do not fit.
    """

    columns: dict[str, list[str]]
    widths: list[int]
    constant: dict[str, str]
    left_out: list[str]


def print_columns(console: "Console", columns: dict[str, list[str]], keys: Sequence[str]) -> None:
    """Print a table without cutting off any cell: if the columns do not fit, each row becomes a paragraph.

    Args:
        console: Console to print to.
        columns: Cells by heading; a column of empty cells is not printed.
        keys: Headings of the columns that distinguish the rows.
    """
    columns = {heading: cells for heading, cells in columns.items() if any(cells)}
    fitted = fit_columns(columns, console.width)
    console.print()
    lines = []
    if fitted is None:
        lines = [line for row in _rows(columns) for line in _paragraph(row, keys, console.width)]
    else:
        _print_grid(console, fitted)
        if fitted.constant:
            lines += wrap(["same in all rows:", *_comma_separated(fitted.constant.items())], console.width, "  ")
        if fitted.left_out:
            note = f"columns that do not fit: {', '.join(fitted.left_out)}; see summary.csv"
            lines += wrap(note.split(" "), console.width, "  ")
    _print_lines(console, [*lines, ""])


def fit_columns(columns: dict[str, list[str]], width: int) -> FittedTable | None:
    """Fit columns into a width in characters; return None if that is impossible.

    Headings are broken between words first, then cells. Then columns with the same cell in all rows are taken out, and
    then the columns of `DISPENSABLE`, until the rest fits.
    """
    columns, constant, left_out = dict(columns), {}, []
    same = [heading for heading, cells in columns.items() if len(set(cells)) == 1 < len(cells)]
    for heading in [*same, *DISPENSABLE]:
        if _widths(columns, width):
            break
        if heading in same and heading in columns:
            constant[heading] = columns.pop(heading)[0]
        elif columns.pop(heading, None):
            left_out.append(heading)
    widths = _widths(columns, width)
    return FittedTable(columns, widths, constant, left_out) if widths else None


def _widths(columns: dict[str, list[str]], width: int) -> list[int]:
    """The width of each column, with headings and then cells broken at spaces; an empty list if they do not fit."""
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


def _print_grid(console: "Console", fitted: FittedTable) -> None:
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
    """The lines of a row as a paragraph: `key=value` for its keys, and its numbers below."""
    numbers = {heading: cell for heading, cell in row.items() if heading not in keys and cell}
    named = [f"{key}={row[key]}" for key in keys if key in row]
    return [*wrap(named, width), *wrap(_comma_separated(numbers.items()), width, "  ", start="  ")]


def _comma_separated(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Headings with their cells as a comma-separated list, in pieces between which a line may be broken."""
    pieces = [cell if heading == "status" else f"{heading} {cell}" for heading, cell in pairs]
    return [*(f"{piece}," for piece in pieces[:-1]), *pieces[-1:]]


def _print_lines(console: "Console", lines: Iterable[str]) -> None:
    console.print("\n".join(lines), highlight=False, markup=False, overflow="ignore", no_wrap=True, crop=False)


def print_probe(study: Path, run_id: str) -> None:
    """Print the numbers of a probe and the meaning of each."""
    from experiments.analysis.findings import probe_readings
    from experiments.analysis.summary import write_summary
    from experiments.store.studies import read_runs

    runs = read_runs(study)
    outcomes: Any = write_summary(study, runs)[0].set_index("run_id").to_dict("index")
    (run,) = [run for run in runs if run.folder.name == run_id]
    print_readings(stdout_console(), probe_readings(run, outcomes[run_id]))


def print_readings(console: "Console", readings: "Sequence[Reading]") -> None:
    """Print each number with its meaning beside it, or below it if the terminal is narrow."""
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
