"""What every measure is."""

from collections.abc import Iterable
from typing import ClassVar

from models.network import RecurrentNetwork, Window

Row = tuple[int | float | str | None, ...]
"""A row of the measure's CSV file; None is an empty field."""


class Measure:
    """Watches the recorded steps of a training, and yields the rows of one CSV file.

    Attributes:
        columns: the columns of that file, which has the name of the measure's module.
    """

    columns: ClassVar[tuple[str, ...]]

    def before_update(self, step: int, network: RecurrentNetwork, trace: list[Window]) -> Iterable[Row]:
        """Look at gradients as backpropagation left them, before they are clipped."""
        return ()

    def after_update(self, step: int, network: RecurrentNetwork) -> Iterable[Row]:
        """Look at the parameters after the optimiser's step; where the run diverged, they have not moved."""
        return ()
