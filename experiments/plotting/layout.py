"""The layout of a figure: where the title, the legend, the panels and the caption stand on the sheet.

The title, the legend and the caption each take a row, which is measured first. The panels take the remaining space.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

from experiments.drawing.panel import Panel
from experiments.drawing.text_wrapping import wrap
from experiments.plotting.panel_arrangement import Arrangement, PanelGrid, choose_arrangement, is_narrow, wrap_name
from experiments.plotting.sheet import Sheet
from experiments.plotting.text_around_panels import place_around, write_around
from experiments.plotting.ticks import label_outer, share_limits, space_markers, space_numbers, write_plain_numbers


class RoundedLayout(ConstrainedLayoutEngine):
    """matplotlib's constrained layout without the last digits, which differ from one process to the next."""

    def execute(self, fig: Figure) -> None:
        """Place the panels."""
        super().execute(fig)
        for ax in fig.axes:
            place = ax.get_position(original=True)
            ax.set_position(Bbox(np.round(place.get_points(), 9)), which="original")
            ax.set_in_layout(True)


def lay_out(
    figure: Figure,
    panels: PanelGrid,
    sheet: Sheet,
    *,
    entries: Sequence[tuple[str, Artist]],
    legend_title: str,
    caption: str,
) -> None:
    """Place the panels on the sheet, with title, legend and caption around them.

    Args:
        figure: Figure in which the panels are drawn.
        panels: All panels.
        sheet: Sheet that they are placed on.
        entries: Pairs of text and artist for the legend.
        legend_title: Title of the legend.
        caption: Text below the panels.

    Raises:
        TooSmall: The sheet has no space for everything.
    """
    scale = sheet.scale
    for panel in panels.all():
        panel.enlarge(scale)
    around: dict[str, Any] = {"entries": entries, "legend_title": legend_title, "caption": caption}

    @cache
    def heights(width: float) -> tuple[float, float]:
        return write_around(figure, width, sheet, **around).heights()

    chosen = choose_arrangement(panels, sheet, heights, len(entries))
    written = write_around(figure, chosen.width, sheet, **around)
    above, below = written.heights()
    figure.set_figheight(chosen.height)
    place_around(written, figure)
    specs = figure.add_gridspec(chosen.rows, chosen.columns)
    places = dict(zip(panels.places(chosen.columns), panels.all(), strict=True))
    if not panels.maps:
        share_limits([panel.ax for panel in panels.all()])
    for (row, column), panel in places.items():
        panel.ax.set_subplotspec(specs[row, column])
        _fit_text(panel, chosen, sheet)
    label_outer({place: panel.ax for place, panel in places.items() if not panel.replacement})
    if panels.maps:
        _add_colour_bar(figure, panels, sheet, below=is_narrow(chosen.width, scale))
    free = (0, below / chosen.height, 1, 1 - (above + below) / chosen.height)
    figure.set_layout_engine(RoundedLayout(h_pad=0.06 * scale, w_pad=0.05 * scale, rect=free))


def _fit_text(panel: Panel, chosen: Arrangement, sheet: Sheet) -> None:
    """Fit title, names, numbers and markers of a panel to its size, and write the sentence that may replace it."""
    ax, across, down = panel.ax, chosen.across, chosen.down
    ax.set_title(wrap(panel.title, across, sheet.points), parse_math=False)
    ax.set_xlabel(wrap_name(ax.get_xlabel(), across, sheet))
    ax.set_ylabel(wrap_name(ax.get_ylabel(), down + 0.2 * sheet.scale, sheet))
    if not panel.replacement:  # its neighbours share its axes, and it has no numbers to space
        space_numbers(ax, width=across, height=down, points=sheet.small_points)
    space_markers(ax, across / sheet.scale)
    if panel.replacement:
        sentence = wrap(panel.replacement, across, sheet.points)
        text = ax.text(0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", color="0.3")
        text.set(size=sheet.points, parse_math=False, in_layout=False)


def _add_colour_bar(figure: Figure, panels: PanelGrid, sheet: Sheet, *, below: bool) -> None:
    """Add one colour bar for all maps, which share their colour scale."""
    bars = [panel.colour_bar for panel in panels.all() if panel.colour_bar]
    if not bars:
        return
    length = figure.get_figwidth() if below else figure.get_figheight()
    shrink = min(1.0, (3.0 if below else 6.0) / length)
    place: dict[str, Any] = {"location": "bottom" if below else "right", "aspect": 30 * shrink, "shrink": shrink}
    bar = figure.colorbar(bars[0].map, ax=figure.axes, pad=0.02, **place)
    bar.set_label(bars[0].label)
    bar.outline.set_visible(False)
    write_plain_numbers(bar.long_axis, inches=shrink * length, points=sheet.small_points)
    if bar.long_axis.get_scale() == "symlog":
        bar.long_axis.set_major_formatter("{x:g}")
