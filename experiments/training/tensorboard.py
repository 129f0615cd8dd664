"""A TensorBoard event file with the tables of a run as scalars."""

from collections.abc import Sequence
from pathlib import Path

from experiments.store.files import Value

NAMED_BY = {
    "layer": "layer_{}",
    "state": "{}",
    "gate": "{}",
    "parameter": "{}",
    "lag": "lag_{}",
    "timestep": "timestep_{}",
    "first_timestep": "from_{}",
    "last_timestep": "to_{}",
}
"""Columns that identify a row, and the part that each adds to the name of the row's scalars."""


class EventFile:
    """An event file in the folder of a run, written by TensorBoard's own writer.

    Each number becomes a scalar TABLE/ROW/COLUMN at its step, such as gradients/layer_0/h/lag_90/grad_norm. Tables
    without a step column and empty fields have no scalars. The writer stores float32.

    Args:
        folder: Folder of the run.
        made: Number of steps already completed, if the run resumes. Later steps in an earlier event file are hidden.
    """

    def __init__(self, folder: Path, made: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=made + 1 if made else None, flush_secs=1)

    def add(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Add new rows of a table."""
        if "step" not in columns:
            return
        names = [column for column in NAMED_BY if column in columns and not (column == "timestep" and "lag" in columns)]
        values = [column for column in columns if column not in NAMED_BY and column != "step"]
        for row in rows:
            cells = dict(zip(columns, row, strict=True))
            about = [NAMED_BY[column].format(cells[column]).replace("[", ".").rstrip("]") for column in names]
            for column in values:
                if cells[column] is not None:
                    tag = "/".join([table, *about, column])
                    self._writer.add_scalar(tag, cells[column], cells["step"])

    def close(self) -> None:
        """Write the remaining scalars and close the file."""
        self._writer.close()
