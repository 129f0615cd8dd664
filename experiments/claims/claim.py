"""The claims: one file each, which says what is claimed, and holds it against the CSV files of a study.

A module has as constants and functions what `Claim` lists. `conf/study/NAME.yaml` names those that are about the study.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.analysis.run_tables import RunTables
from experiments.catalogue.described_modules import read_constants
from experiments.claims import published
from experiments.claims.quantity import Quantity
from experiments.errors import UsageError
from experiments.store.studies import Run

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(published.__path__)))


def _every_run(run: Run) -> bool:
    return True


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
        remark: what one should know of the measurement: why it does not hold, or what is not decided.
        figure: the figure that shows it, or none.
        view: how it is looked at; see `experiments.plotting.view.View`.
        shows: whether a run is in the figure, where conditions on single keys do not say it.
    """

    name: str
    statement: str
    source: str
    prediction: str
    measure: Callable[[RunTables], Iterable[Quantity]]
    remark: str = ""
    figure: str | None = None
    view: Mapping[str, Any] = field(default_factory=dict)
    shows: Callable[[Run], bool] = _every_run


def read_claim(name: str) -> Claim:
    """Read a claim's module: one of ours, or else one of this name on the path.

    Raises:
        UsageError: there is no such module, or something is missing in it.
    """
    try:
        module = importlib.import_module(f"{published.__name__}.{name}" if name in NAMES else name)
    except ModuleNotFoundError as error:
        raise UsageError(f"claims: {name}: there is no such claim: {error}") from None
    try:
        return Claim(name=name, **read_constants(module, Claim))
    except TypeError as error:
        raise UsageError(f"claims: {name}: {str(error).partition(') ')[2]}") from None
