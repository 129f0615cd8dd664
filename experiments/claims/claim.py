"""Reading the modules of claims: one file each, with what is claimed and how it is measured.

A module defines the constants and functions that `Claim` lists. `conf/study/NAME.yaml` names the claims of a study.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from experiments.analysis.run_tables import RunTables
from experiments.catalogue.described_modules import read_constants
from experiments.claims import published
from experiments.claims.null import Null
from experiments.claims.quantity import Quantity
from experiments.errors import UsageError
from experiments.store.studies import Run

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(published.__path__)))

Kind = Literal["finding", "check"]


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
        refuted_by: The observation that would refute the claim; ours all name one.
        control: What rules out the other explanation; empty if nothing does.
        kind: 'finding', or 'check': a check of the program that follows from definitions, so that only an error in the
            program could refute it.
        null: Null versions of the tables, on none of which the claim may hold; one, or a tuple. Ours all have one.
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
    refuted_by: str = ""
    control: str = ""
    kind: Kind = "finding"
    null: Null | tuple[Null, ...] = ()
    remark: str = ""
    figure: str | None = None
    view: Mapping[str, Any] = field(default_factory=dict)
    shows: Callable[[Run], bool] = _every_run

    @property
    def nulls(self) -> tuple[Null, ...]:
        """The null versions as a tuple."""
        return self.null if isinstance(self.null, tuple) else (self.null,)


def read_claim(name: str) -> Claim:
    """Read a claim from its module, either one of this package or one on the import path.

    Raises:
        UsageError: There is no such module, it lacks a required constant or function, or KIND or NULL
            is not one of those that there are.
    """
    try:
        module = importlib.import_module(f"{published.__name__}.{name}" if name in NAMES else name)
    except ModuleNotFoundError as error:
        raise UsageError(f"claims: {name}: there is no such claim: {error}") from None
    try:
        claim = Claim(name=name, **read_constants(module, Claim))
    except TypeError as error:
        raise UsageError(f"claims: {name}: {str(error).partition(') ')[2]}") from None
    if claim.kind not in (kinds := get_args(Kind)):
        raise UsageError(f"claims: {name}: KIND={claim.kind!r}: must be one of {', '.join(kinds)}")
    if not all(isinstance(null, Null) for null in claim.nulls):
        raise UsageError(
            f"claims: {name}: NULL={claim.null!r}: must be noise(...) or shuffled(...), or a tuple of them"
        )
    return claim
