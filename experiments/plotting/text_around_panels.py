"""The title and the legend above the panels, and the caption below them: their text, their sizes and their places."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from experiments.drawing.text_wrapping import wrap
from experiments.plotting.legend import add_legend
from experiments.plotting.sheet import Sheet

GAP_INCHES = 0.07
"""The space between title, legend, panels and caption, for text of 8 points."""


class Around(NamedTuple):
    """What stands around the panels, from top to bottom, each with its height in inches.

    Attributes:
        above: Title and legend.
        below: Caption.
        gap: Space between them in inches.
    """

    above: list[tuple[Artist, float]]
    below: list[tuple[Artist, float]]
    gap: float

    def heights(self) -> tuple[float, float]:
        """Return the heights of the space above and below the panels in inches."""
        above, below = (sum(height + self.gap for _, height in artists) for artists in (self.above, self.below))
        return above + self.gap, below + self.gap


def write_around(
    figure: Figure,
    width: float,
    sheet: Sheet,
    *,
    entries: Sequence[tuple[str, Artist]],
    legend_title: str,
    caption: str,
) -> Around:
    """Write the title, the legend and the caption of a figure, with line breaks for a width in inches."""
    around = Around([], [], GAP_INCHES * sheet.scale)
    free = width - 2 * around.gap
    figure.set_figwidth(width)
    renderer: Any = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]

    def add(artist: Artist, place: list[tuple[Artist, float]]) -> None:
        place.append((artist, artist.get_window_extent(renderer).height / figure.dpi))
        artist.set_in_layout(False)

    for legend in list(figure.legends):
        legend.remove()
    if sheet.title:
        wrapped = wrap(sheet.title, free, sheet.title_points)
        add(figure.suptitle(wrapped, x=0.5, y=1, va="top", parse_math=False), around.above)
    if entries:
        add(add_legend(figure, entries, legend_title, width=free, points=sheet.small_points), around.above)
    if sheet.caption:
        points = sheet.small_points
        look: dict[str, Any] = {"fontsize": points, "color": "0.3", "va": "top", "ha": "left", "parse_math": False}
        add(figure.supxlabel(wrap(caption, free, points), x=around.gap / width, y=0, **look), around.below)
    return around


def place_around(around: Around, figure: Figure) -> None:
    """Place the title, the legend and the caption in a figure of known height."""
    height = figure.get_figheight()
    _, below = around.heights()
    for start, artists in ((height - around.gap, around.above), (below - around.gap, around.below)):
        top = start
        for artist, inches in artists:
            if isinstance(artist, Legend):
                artist.set_bbox_to_anchor((0.5, top / height), figure.transFigure)
            elif isinstance(artist, Text):
                artist.set_y(top / height)
            top -= inches + around.gap
