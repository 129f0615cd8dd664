"""Panels that hold a sentence in place of a drawing: because there is nothing to draw, or it is drawn already."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from experiments.drawing.style import wrap


class Blank(Exception):
    """A panel in which there is nothing to draw; the message is the sentence that stands in its place."""


def write_instead(ax: Axes, sentence: str) -> None:
    """Put a sentence in a panel in place of its axes."""
    for artist in [*ax.lines, *ax.collections, *ax.patches, *ax.texts]:
        artist.remove()
    ax.set_axis_off()
    text = ax.text(0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", color="0.3")
    text.set(size=mpl.rcParams["axes.titlesize"], parse_math=False, in_layout=False)


def wrap_sentence(ax: Axes, inches: float) -> None:
    """Break the sentence of a panel that has one into lines of this width."""
    if is_blank(ax):
        for text in ax.texts:
            text.set_text(wrap(text.get_text(), inches, mpl.rcParams["axes.titlesize"]))


def is_blank(ax: Axes) -> bool:
    """Whether a sentence stands in a panel's place."""
    return not ax.axison


def write_once(row: Sequence[Axes], names: Sequence[str]) -> None:
    """Draw panels of a row that would be identical once: the later ones refer to the first.

    Args:
        row: Panels of the same kind.
        names: What each of them shows: the compared value or the facet.
    """
    first: dict[bytes, str] = {}
    for ax, name in zip(row, names, strict=True):
        if not is_blank(ax) and (drawn := _drawn(ax)):
            if drawn in first:
                write_instead(ax, f"the same as for {first[drawn]}")
            else:
                first[drawn] = name


def _drawn(ax: Axes) -> bytes:
    """The numbers of a panel's lines and maps; empty where it has none."""
    lines = ((line.get_label(), line.get_xydata()) for line in ax.get_lines() if len(np.ravel(line.get_xdata())))
    meshes = [mesh for mesh in ax.collections if isinstance(mesh, QuadMesh)]
    places = ((mesh.get_label(), mesh.get_coordinates()) for mesh in meshes)
    colours: Iterable[tuple[Any, Any]] = (
        (mesh.get_label(), np.ma.filled(np.ma.asarray(mesh.get_array(), float), np.nan)) for mesh in meshes
    )
    numbers = chain(lines, places, colours)
    return b"".join(str(label).encode() + np.asarray(values, float).tobytes() for label, values in numbers)
