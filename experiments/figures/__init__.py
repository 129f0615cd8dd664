"""The figures: one file each, drawn from the CSV files alone.

A module has as constants and functions what `Description` lists; its panels are functions

    draw(data, *, compare, colours, ax) -> Axes

where `data` holds the tables by name, `compare` is the column whose values are the lines, and `colours` says how each
of them looks. A panel says what its marks mean where it draws them (`experiments.drawing.captions.say`), and raises
`experiments.drawing.blank_panels.Blank` where it has nothing to draw.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiments.catalogue.described_modules import read_constants

ORDER = (
    *("gradient_flow", "gradient_map", "contributions", "contribution_map", "training", "clipping", "gates"),
    *("gate_means", "success", "horizon", "phase", "spectrum", "prediction", "cost", "size"),
)
"""In which they are shown; a figure that is not named comes last."""

NAMES = tuple(
    sorted(
        (module.name for module in pkgutil.iter_modules(__path__)),
        key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name),
    )
)


def _all_rows(data: dict[str, Any]) -> dict[str, Any]:
    return data


@dataclass(frozen=True)
class Description:
    """What a figure's module says of itself, the name of a constant in capitals.

    Attributes:
        tables: the CSV files it reads; 'summary' is a row a run, with all keys of the configuration.
        panels: its `draw` functions, from above.
        reading: what is plotted and how to read it, true of any runs; what a mark means, `say` says where it is drawn.
        runs: whether it shows the trainings, the probes, or all.
        select: from all rows to those that it is about; where it leaves a table empty, `nothing` says why.
        ends: it looks at each run's first and last recorded step only.
        each: a panel for each compared value, as maps need it.
        norm: for maps, the scale that all panels share; each `draw` gets it as `norm`.
        axes: the configuration keys on its axes, by the argument of `draw` that names them; None: one that differs.
        coloured: `draw` takes the column of summary.csv that is the colour as `column`.
        spread: what stands for several seeds.
    """

    tables: Sequence[str]
    panels: Sequence[Callable[..., Any]]
    reading: str
    runs: Literal["trainings", "probes", "all"] = "trainings"
    select: Callable[[dict[str, Any]], dict[str, Any]] = _all_rows
    nothing: str = "the study's runs recorded nothing for it; see `record`"
    ends: bool = False
    each: bool = False
    norm: Callable[..., Any] | None = None
    axes: Mapping[str, str | None] | None = None
    coloured: bool = False
    spread: str = "median over {seeds} seeds"


def read_figure(name: str) -> Description:
    """Read a figure's module."""
    module = importlib.import_module(f"{__name__}.{name}")
    return Description(**read_constants(module, Description))
