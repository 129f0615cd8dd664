"""The table of runs on stdout."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NUMBERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "status": ("status", str),
    "final_loss": ("loss", lambda v: f"{v:.4g}"),
    "best_error": ("best error", lambda v: f"{v:.1%}"),
    "chance_error": ("chance", lambda v: f"{v:.0%}"),
    "gain_at_init": ("gain at init", lambda v: f"{v:.3f}"),
    "gain_per_timestep": ("gain at end", lambda v: f"{v:.3f}"),
    "horizon": ("horizon", lambda v: f"{v:d}"),
    "max_grad_norm": ("max norm", lambda v: f"{v:.3g}"),
    "clipped_fraction": ("clipped", lambda v: f"{v:.0%}"),
    "seconds": ("seconds", lambda v: f"{v:.1f}"),
}
"""The columns of summary.csv that are printed: heading and format."""


def print_runs(summary: "pd.DataFrame", run_ids: Sequence[str]) -> None:
    """Print the rows of a summary that belong to some runs, in their order, with the keys in which they differ."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = summary.set_index("run_id").loc[list(run_ids)]
    keys = [
        key
        for key in summary.columns[2 : summary.columns.get_loc("final_loss")]
        if rows[key].nunique(dropna=False) > 1 or key == "cell"
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key in keys:
        table.add_column(key, no_wrap=True)
    for heading, _ in NUMBERS.values():
        table.add_column(heading, justify="left" if heading == "status" else "right")
    for _, row in rows.iterrows():
        config = ["" if _missing(row[key]) else str(row[key]) for key in keys]
        table.add_row(*config, *("" if _missing(row[name]) else show(row[name]) for name, (_, show) in NUMBERS.items()))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=200).print(table)


def _missing(value: Any) -> bool:
    return value is None
