"""The figures: one Python file each, drawn from the CSV files alone.

A figure's module has the constants and functions that `FigureDescription` lists. Its panels are functions

    draw(data, panel) -> None

where `data` holds the tables by name and `panel` is an `experiments.drawing.panel.Panel`. The function draws on
`panel.ax`, and tells the panel what belongs in the legend, the caption and the CSV export. It raises
`experiments.drawing.panel.NothingToDraw` if there is nothing to draw. `AXES` and `USES_COLOUR_OPTION` add arguments.

Users add a figure as figure/NAME.py in the folder that they pass as --config-dir.
"""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from experiments.catalogue.described_modules import read_constants
from experiments.catalogue.figures import figures
from experiments.errors import UsageError

ORDER = (
    *("gradient_flow", "gradient_map", "contributions", "contribution_map", "training", "clipping", "spikes", "gates"),
    *("gate_means", "marked_timesteps", "success", "horizon", "reach_vs_data", "ranking", "phase", "spectrum"),
    *("prediction", "cost", "size"),
)
"""The order in which our figures are shown; a figure that is not listed comes last."""

NAMES = tuple(
    sorted(
        (module.name for module in pkgutil.iter_modules(__path__)),
        key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name),
    )
)
"""The names of our figures."""


def _all_rows(data: dict[str, Any]) -> dict[str, Any]:
    return data


@dataclass(frozen=True)
class FigureDescription:
    """What a figure's module says about the figure; the constants of the module have these names in capitals.

    Attributes:
        tables: Names of the CSV files that the figure reads. 'summary' has one row for each run, with all configuration
            keys.
        panels: Drawing functions, one for each row of panels, from top to bottom.
        caption: What is plotted and how to read it, as far as it is true of all runs. What depends on the runs, a
            drawing function adds by `Panel.explain`.
        runs: Whether the figure shows trainings (probes if there is nothing else), trainings alone, probes, or all
            runs.
        select_rows: Function from all rows of the tables to those that the figure shows. If it leaves a table empty,
            the figure is not drawn.
        if_empty: Reason why the figure is not drawn if `select_rows` leaves a table empty.
        if_only_probes: Reason why a figure of trainings alone is not drawn if there are only probes.
        if_missing: Reason why a line has nothing to show beside others that have, for the caption.
        further_tables: Names of CSV files that few runs have. `select_rows` gets these tables too, empty if no run has
            the file. It returns only those that have rows.
        first_and_last_step_only: Whether the figure needs only the first and the last recorded step of each run.
        first_layer_only: Whether the figure shows the first layer alone; the caption of runs with several says so.
        one_panel_per_line: Whether each compared value has its own panel, as a map needs it.
        lines_are_rows: Whether each compared value has a row of the panel, which then holds many of them.
        colour_scale: Function from the tables to the colour scale that all maps of the figure share, or None. It takes
            the arguments of `axes` and `uses_colour_option` as well.
        order_lines: Function from the tables and the name of the column with the lines to the lines in the order in
            which they are drawn; None for the order of their values. It raises `NothingToDraw` if the figure has
            nothing to show.
        axes: Configuration keys on the axes, by the argument that receives the key ('x' or 'y'). None as a key means
            that a key with several values is chosen.
        uses_colour_option: Whether the drawing functions take `column`, the column of summary.csv given by --colour.
        over_seeds: What a line shows of several seeds; the caption begins with it.
    """

    tables: Sequence[str]
    panels: Sequence[Callable[..., Any]]
    caption: str
    runs: Literal["trainings", "trainings alone", "probes", "all"] = "trainings"
    select_rows: Callable[[dict[str, Any]], dict[str, Any]] = _all_rows
    further_tables: Sequence[str] = ()
    if_empty: str = "the study's runs recorded nothing for it; see `record`"
    if_only_probes: str = "there is no training among the runs"
    if_missing: str = ""
    first_and_last_step_only: bool = False
    first_layer_only: bool = False
    one_panel_per_line: bool = False
    lines_are_rows: bool = False
    colour_scale: Callable[..., Any] | None = None
    order_lines: Callable[[dict[str, Any], str], Sequence[str]] | None = None
    axes: Mapping[str, str | None] | None = None
    uses_colour_option: bool = False
    over_seeds: str = "median over {seeds} seeds"


def figure_names(config_dir: Path | None = None) -> tuple[str, ...]:
    """Return the names of our figures in the order in which they are shown, then those of the user's own.

    Args:
        config_dir: Folder with the user's choices; its folder `figure` has the user's figures.

    Raises:
        UsageError: A figure of the user has the name of one of ours.
    """
    return (*NAMES, *(name for name in figures(config_dir) if name not in NAMES))


def read_figure(name: str, config_dir: Path | None = None) -> FigureDescription:
    """Read the description of a figure from its module.

    Args:
        name: Name of the figure.
        config_dir: Folder with the user's choices.

    Raises:
        UsageError: The user's module cannot be imported, or lacks a constant.
    """
    if name in NAMES:
        return FigureDescription(**read_constants(importlib.import_module(f"{__name__}.{name}"), FigureDescription))
    path = figures(config_dir)[name]
    module = _import_file(path.resolve())
    if missing := [constant for constant in ("TABLES", "PANELS", "CAPTION") if not hasattr(module, constant)]:
        raise UsageError(f"{path}: has no {' and no '.join(missing)}; a figure needs TABLES, PANELS and CAPTION")
    for constant in ("TABLES", "PANELS"):
        if not isinstance(getattr(module, constant), tuple | list):
            raise UsageError(f"{path}: {constant} must be a tuple: {constant} = (...,)")
    return FigureDescription(**read_constants(module, FigureDescription))


@cache
def _import_file(path: Path) -> ModuleType:
    """Import a Python file that is not on the module search path.

    Raises:
        UsageError: The file cannot be imported.
    """
    name = f"user_figure_{path.stem}"
    import cloudpickle

    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    cloudpickle.register_pickle_by_value(module)  # the processes that render figures cannot import it
    return module
