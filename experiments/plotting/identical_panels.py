"""Panels that would look the same are drawn once; the others refer to the first."""

from collections.abc import Sequence

import numpy as np

from experiments.drawing.panel import Panel


def replace_identical(row: Sequence[Panel], names: Sequence[str]) -> None:
    """Replace each panel of a row that is identical to an earlier one by a sentence.

    Args:
        row: Panels of the same drawing function.
        names: Name of each panel: the compared value or the facet.
    """
    first: dict[bytes, str] = {}
    for panel, name in zip(row, names, strict=True):
        if panel.numbers:
            content = _content(panel)
            if content in first:
                panel.replace_by(f"the same as for {first[content]}")
            else:
                first[content] = name


def _content(panel: Panel) -> bytes:
    """The names and numbers of all lines and maps, and the places of all marks."""
    marks = [np.asarray(line.get_xydata(), float) for line in panel.ax.get_lines()]
    parts = [mark.tobytes() for mark in marks]
    for name, *numbers in panel.numbers:
        arrays = [array for array in numbers if array is not None]
        parts += [name.encode(), *(np.asarray(array, float).tobytes() for array in arrays)]
    return b"".join(parts)
