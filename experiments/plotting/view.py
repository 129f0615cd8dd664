"""A view of studies: what their figures compare, and the sheet that the figures are drawn on."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from experiments.figures import FigureDescription
from experiments.plotting.sheet import Sheet

MOST_BYTES_IN_NAME = 120


@dataclass(frozen=True)
class View:
    """What the figures of studies show. A key that is None is chosen from the keys that differ between the runs.

    Attributes:
        compare: Key whose values are the lines. Other keys that differ are part of the lines' names, so that only
            seeds are averaged.
        facet: Key whose values are panels side by side.
        x: Key on the horizontal axis of figures that have configuration keys on their axes.
        y: Key on the vertical axis of these figures.
        colour: Column of summary.csv that colours a map.
        where: Conditions KEY=VALUE that the runs meet.
        sheet: Size of the figure and of its text, and what is written around the panels.
    """

    compare: str | None = None
    facet: str | None = None
    x: str | None = None
    y: str | None = None
    colour: str = "gain_per_timestep"
    where: Sequence[str] = ()
    sheet: Sheet = field(default_factory=Sheet)


DEFAULT_VIEW = View()


def file_name(name: str, kind: FigureDescription, view: View) -> str:
    """Return the file name of a figure without suffix: the figure, and the options that change what it shows."""
    chosen = {"compare": view.compare, "facet": view.facet}
    chosen |= {axis: getattr(view, axis) for axis in kind.axes or ()}
    if kind.uses_colour_option and view.colour != View.colour:
        chosen["colour"] = view.colour
    words = [name, *(f"{option}={value}" for option, value in chosen.items() if value is not None)]
    words += [f"where={condition}" for condition in sorted(view.where)]
    whole = "-".join(words)
    safe = re.sub(r"[^\w.=+,-]", "_", whole)
    if safe != whole or len(safe.encode()) > MOST_BYTES_IN_NAME:  # other names may be shortened to the same
        cut = safe.encode()[:MOST_BYTES_IN_NAME].decode(errors="ignore")
        return f"{cut}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return safe
