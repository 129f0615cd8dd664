"""The numbers that a figure shows, as a table for the CSV export."""

from collections.abc import Sequence

import pandas as pd

from experiments.drawing.panel import Panel


def drawn_numbers(panels: Sequence[Panel]) -> pd.DataFrame:
    """Return the numbers of all lines and maps, with the columns panel, line, x, y and, for maps, value."""
    frames = []
    for panel in panels:
        for name, x, y, value in panel.numbers:
            columns = {"panel": panel.title, "line": name, "x": x.ravel(), "y": y.ravel()}
            if value is None:
                frames.append(pd.DataFrame(columns))
            else:
                frames.append(pd.DataFrame({**columns, "value": value.ravel()}).dropna(subset="value"))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
