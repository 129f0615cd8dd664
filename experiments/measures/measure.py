"""What every measure is."""

from collections.abc import Iterable

from models.network import RecurrentNetwork, Window

Row = tuple[int | float | str | None, ...]
"""In the order of the file's `COLUMNS`; None is an empty field."""


class Measure:
    """Watches the recorded steps of a training, and yields the rows of the CSV file named as the measure's module."""

    def before_update(self, step: int, network: RecurrentNetwork, trace: list[Window]) -> Iterable[Row]:
        """Look at gradients as backpropagation left them, before they are clipped."""
        return ()

    def after_update(self, step: int, network: RecurrentNetwork) -> Iterable[Row]:
        """Look at the parameters after the optimiser's step; where the run diverged, they have not moved."""
        return ()
