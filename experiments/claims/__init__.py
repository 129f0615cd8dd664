"""The claims: one file each, which says what is claimed, and holds it against the CSV files of a study.

A module has as constants and functions what `Claim` lists. `conf/study/NAME.yaml` names those that are about the study.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from experiments.errors import UsageError
from experiments.quantities import Quantity
from experiments.tables import Tables


@dataclass(frozen=True)
class Claim:
    """What a claim's module says, the name of a constant in capitals.

    Attributes:
        name: of the module.
        statement: what is claimed.
        source: who says so.
        prediction: what is then to be measured; the numbers are the quantities'.
        measure: from the tables of those runs of a study that came to an end to what was measured; all of it has to be
            as predicted.
        figure: the figure that shows it, or none.
        view: how it is looked at; see `experiments.drawing.View`.
    """

    name: str
    statement: str
    source: str
    prediction: str
    measure: Callable[[Tables], Sequence[Quantity]]
    figure: str | None = None
    view: Mapping[str, Any] = field(default_factory=dict)


def describe(name: str) -> Claim:
    """Read a claim's module: one of ours by its name, a user's own by the module's, as in `mine.claims.it_holds`.

    Raises:
        UsageError: there is no such module, or something is missing in it.
    """
    try:
        module = importlib.import_module(name if "." in name else f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(f"claims: {name}: there is no such claim: {error}") from None
    known = {
        field.name: getattr(module, spelling)
        for field in fields(Claim)
        for spelling in (field.name.upper(), field.name)
        if hasattr(module, spelling)
    }
    try:
        return Claim(name=name, **known)
    except TypeError as error:
        raise UsageError(f"claims: {name}: {str(error).partition(') ')[2]}") from None
