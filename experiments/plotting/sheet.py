"""The sheet that a figure is drawn on: its size, the size of its text, and what is written around the panels."""

from dataclasses import dataclass

from experiments.drawing.style import SMALL_TEXT_SIZE, TEXT_SIZE, TITLE_SIZE

SLIDE_INCHES, SLIDE_TEXT_SIZE = 10.0, 12.0
"""A sheet of this width or more is a slide, which is read from a distance, and has larger text."""


@dataclass(frozen=True)
class Sheet:
    """The sheet that a figure is drawn on. A size that is None is chosen to fit.

    Attributes:
        width: Width in inches.
        height: Height in inches.
        aspect: Width over height, instead of a height.
        font_size: Size in points of the text, except for the title; lines and markers scale with it.
        dpi: Dots per inch of a PNG.
        title: Title above the figure; empty for none.
        caption: Whether the figure has a caption below it.
    """

    width: float | None = None
    height: float | None = None
    aspect: float | None = None
    font_size: float | None = None
    dpi: float = 200
    title: str = ""
    caption: bool = True

    @property
    def points(self) -> float:
        """Size of panel titles and axis names in points."""
        is_slide = self.width is not None and self.width >= SLIDE_INCHES
        return self.font_size or (SLIDE_TEXT_SIZE if is_slide else TEXT_SIZE)

    @property
    def small_points(self) -> float:
        """Size of the legend, the caption and the numbers of axes in points."""
        return SMALL_TEXT_SIZE * self.points / TEXT_SIZE

    @property
    def title_points(self) -> float:
        """Size of the figure's title in points."""
        return TITLE_SIZE * self.points / TEXT_SIZE

    @property
    def scale(self) -> float:
        """Factor by which the text is larger than usual."""
        return self.points / TEXT_SIZE

    def height_of(self, width: float) -> float | None:
        """Return the height in inches that was asked for, given the width; None if none was asked for."""
        return width / self.aspect if self.aspect else self.height
