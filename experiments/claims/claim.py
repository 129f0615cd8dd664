"""Reading the modules of claims: one file each, with what is claimed and how it is measured.

A module defines the constants and functions that `Claim` lists. `conf/study/NAME.yaml` names the claims of a study.
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
    """A claim, as its module defines it; an attribute is a constant in capitals there, or a function.

    Attributes:
        name: Name of the module.
        statement: What is claimed.
        source: Who claims it.
        prediction: What should be measured if the claim holds, in words; the quantities have the numbers.
        measure: Function from the tables of a study's finished runs to the measured quantities, all of which have to
            be as predicted.
        remark: What a reader should know about the measurement, such as why the claim does not hold.
        figure: Name of the figure that shows the claim; None for no figure.
        view: Options of the figure; see `experiments.plotting.view.View`.
        shows: Function that says whether a run is in the figure, for what conditions on single keys cannot express.
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
    """Read a claim from its module, either one of this package or one on the import path.

    Raises:
        UsageError: There is no such module, or it lacks a required constant or function.
    """
    try:
        module = importlib.import_module(f"{published.__name__}.{name}" if name in NAMES else name)
    except ModuleNotFoundError as error:
        raise UsageError(f"claims: {name}: there is no such claim: {error}") from None
    try:
        return Claim(name=name, **read_constants(module, Claim))
    except TypeError as error:
        raise UsageError(f"claims: {name}: {str(error).partition(') ')[2]}") from None
