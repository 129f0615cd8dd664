"""The base class of the measures, and the search for a measure by its name."""

import importlib
import inspect
from collections.abc import Callable, Iterable
from types import NoneType
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from experiments.errors import UsageError, in_a_line
from models.network import RecurrentNetwork
from models.trace import Trace

Row = tuple[int | float | str | None, ...]
"""One value for each of the measure's `columns`; None is an empty field."""


class Measure:
    """A measure watches the recorded steps of a training and yields the rows of one CSV file.

    The name of its module serves throughout. `experiments/measures/NAME.py`, or `measure/NAME.py` in the folder given
    with --config-dir, contains one subclass of `Measure`; `record.NAME=true` switches it on; its rows go to NAME.csv. A
    measure that keeps state from step to step defines `state_dict` and `load_state_dict`, as torch's optimisers do. A
    resumed run then continues with that state.

    Attributes:
        columns: Names of the columns in order. They must be a tuple of literals, because some readers find them
            without importing torch.
        words: Names of the columns that contain words; all other columns contain numbers.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()

    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        """Yield rows about the gradients after backpropagation and before clipping."""
        return ()

    def after_update(self, step: int, network: RecurrentNetwork) -> Iterable[Row]:
        """Yield rows about the parameters after the update. At the step where a run diverges there is no update."""
        return ()


def find_measure(name: str) -> type[Measure]:
    """Find a measure by its name, first among the built-in ones, then among the user's own.

    Raises:
        UsageError: The module does not exist, cannot be imported, or does not contain exactly one measure.
    """
    try:
        module = importlib.import_module(f"{__package__}.{name}")
    except ModuleNotFoundError:
        try:
            module = importlib.import_module(f"measure.{name}")
        except ModuleNotFoundError as error:
            if error.name not in ("measure", f"measure.{name}"):
                raise UsageError(f"record.{name}: {error}") from error
            raise UsageError(f"record.{name}: no such measure; if it is your own, pass --config-dir") from error
        except Exception as error:
            raise UsageError(f"record.{name}: measure/{name}.py: {in_a_line(error)}") from error
    found = [
        one
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, Measure) and one.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise UsageError(f"record.{name}: {module.__file__} contains {len(found)} measures; it must contain one")
    if not found[0].columns:
        raise UsageError(f"record.{name}: {module.__file__}: {found[0].__name__} must name its columns")
    return found[0]


def check_rows(measure: Measure, rows: Iterable[Row]) -> list[Row]:
    """Return the rows of a measure, which must fit its columns.

    Raises:
        TypeError: A row has another number of values than there are columns, or a value of another kind.
    """
    rows, name = list(rows), type(measure).__name__
    if lengths := set(map(len, rows)) - {len(measure.columns)}:
        raise TypeError(f"{name} yields {min(lengths)} values in a row; it has {len(measure.columns)} columns")
    for column, values in zip(measure.columns, zip(*rows, strict=True), strict=False):
        word = column in measure.words
        allowed = (str, NoneType) if word else (int, float, NoneType)
        if wrong := {kind for kind in set(map(type, values)) if not issubclass(kind, allowed)}:
            value = next(value for value in values if type(value) in wrong)
            kind = "a word" if word else "a number"
            raise TypeError(f"{name} yields {value!r} in the column {column}; it must be {kind} or None")
    return rows


def share_below(entries: Float[Tensor, "rows columns"], limit: float) -> Float[Tensor, " rows"]:
    """The share of each row's entries that are below the limit."""
    return _share(torch.lt, entries, limit)


def share_above(entries: Float[Tensor, "rows columns"], limit: float) -> Float[Tensor, " rows"]:
    """The share of each row's entries that are above the limit."""
    return _share(torch.gt, entries, limit)


def _share(compare: Callable[..., Tensor], entries: Tensor, limit: float) -> Tensor:
    """A product of zeros and ones in float32 is faster than counting, and as exact up to 2^24 columns."""
    true = compare(entries, limit, out=torch.empty_like(entries, dtype=torch.float32))
    return (true @ true.new_ones(entries.shape[1])).double() / entries.shape[1]
