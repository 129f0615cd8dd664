"""The tables of a run as scalars in a TensorBoard event file, for those who live there."""

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
"""The columns that say what a row is about, and what they give to the name of its scalars."""


class EventFile:
    """An event file, by TensorBoard's own writer, in the folder of a run.

    A number is a scalar TABLE/WHAT IT IS ABOUT/COLUMN at its step, such as gradients/layer_0/h/lag_90/grad_norm. A
    table without steps has none, nor has an empty field. The writer keeps float32.

    Args:
        folder: of the run.
        made: steps that are there already; what an earlier file has of later ones is not shown any more.
    """

    def __init__(self, folder: Path, made: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=made + 1 if made else None, flush_secs=1)

    def add(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """New rows of a table."""
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
        """Write what is left."""
        self._writer.close()
