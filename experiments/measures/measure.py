"""What every measure is, and how one is found by its name."""

import importlib
import inspect
from collections.abc import Iterable
from typing import ClassVar

from experiments.errors import UsageError
from models.network import RecurrentNetwork, Window

Row = tuple[int | float | str | None, ...]
"""Values in the order of the measure's `columns`; None is an empty field."""


class Measure:
    """Watches the recorded steps of a training and yields the rows of one CSV file.

    A measure is a module of one name throughout: `experiments/measures/NAME.py`, or `measure/NAME.py` in the folder
    given with --config-dir, holds one subclass of `Measure`; `record.NAME=true` switches it on; its rows go to
    NAME.csv. A measure that remembers something from step to step has `state_dict` and `load_state_dict`, as torch's
    optimisers do; a run that resumes then continues with the same memory.

    Attributes:
        columns: Names of the columns in their order, a tuple of literals: readers find it without importing torch.
        words: Names of those columns that hold words; all others hold numbers.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()

    def before_update(self, step: int, network: RecurrentNetwork, trace: list[Window]) -> Iterable[Row]:
        """Rows about the gradients as backpropagation left them, before they are clipped."""
        return ()

    def after_update(self, step: int, network: RecurrentNetwork) -> Iterable[Row]:
        """Rows about the parameters after the update; where the run diverges, they have not moved."""
        return ()


def find_measure(name: str) -> type[Measure]:
    """The measure of a name: one of ours, or else the user's own.

    Raises:
        UsageError: There is no such module, or it does not hold exactly one measure.
    """
    try:
        module = importlib.import_module(f"experiments.measures.{name}")
    except ModuleNotFoundError:
        try:
            module = importlib.import_module(f"measure.{name}")
        except ModuleNotFoundError as error:
            if error.name not in ("measure", f"measure.{name}"):
                raise UsageError(f"record.{name}: {error}") from error
            raise UsageError(
                f"record.{name}: there is no such measure; if it is your own, give --config-dir"
            ) from error
    found = [
        one
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, Measure) and one.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise UsageError(f"record.{name}: {module.__file__} holds {len(found)} measures; it must hold one")
    return found[0]
