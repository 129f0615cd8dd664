"""A panel of a figure with a record of what was drawn in it, which legend, caption and CSV export read.

A drawing function gets a `Panel`. It draws on `panel.ax`, and tells the panel what belongs in the legend, which
sentences the caption needs, and which numbers were drawn.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from experiments.drawing.colours import Colours
from experiments.drawing.style import LINE_WIDTH, enlarge


class NothingToDraw(Exception):
    """A panel has nothing to draw. The message is the sentence that the panel shows instead."""


class Numbers(NamedTuple):
    """The numbers of one line or map, as they were drawn.

    Attributes:
        name: Name of the line or map in the CSV export.
        x: Horizontal positions.
        y: Vertical positions.
        value: Values of a map at these positions; None for a line.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    value: np.ndarray | None = None


class ColourBar(NamedTuple):
    """What the colours of a map mean.

    Attributes:
        map: Artist with the colour scale.
        label: Name of the quantity.
    """

    map: Any
    label: str


@dataclass(eq=False)
class Panel:
    """One panel of a figure: what it draws with, and what was drawn.

    Attributes:
        ax: Axes to draw on.
        compare: Column whose values are the lines.
        colours: Colour and marker of each compared value.
        crowded: Whether there are so many lines that they are thin and have neither bands nor markers.
        colour_scale: Colour scale that all maps of the figure share; None for a figure without one.
        title: Title of the panel.
        compared: Keys whose values name the lines, such as 'cell, clip'.
        least_height: Smallest height of the panel's inside in inches, for text of 8 points.
        replacement: Sentence that the panel shows instead of a drawing; empty if something is drawn.
        line_entries: Legend entries of compared values: for each value the line that was drawn first.
        other_entries: Legend entries of everything else, by name.
        sentences: Sentences of the caption about this panel, in the order in which they were added.
        numbers: Numbers that were drawn.
        colour_bar: Meaning of the colours of a map; None if there is no map.
    """

    ax: Axes
    compare: str
    colours: Colours = field(default_factory=dict)
    crowded: bool = False
    colour_scale: Normalize | None = None
    title: str = ""
    compared: str = ""
    least_height: float = 0.45
    replacement: str = ""
    line_entries: dict[str, Line2D] = field(default_factory=dict)
    other_entries: dict[str, Line2D] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    numbers: list[Numbers] = field(default_factory=list)
    colour_bar: ColourBar | None = None

    def add_line(
        self,
        x: Any,
        y: Any,
        *,
        name: str,
        value: str | None = None,
        in_legend: bool = True,
        sets_limits: bool = True,
        **look: Any,
    ) -> Line2D:
        """Draw a line or separate points, and record their numbers.

        Args:
            x: Horizontal positions.
            y: Vertical positions.
            name: Name in the CSV export, and in the legend unless `value` is given.
            value: Compared value that the line belongs to. Its first line is its entry in the legend.
            in_legend: Whether a line without a `value` has an entry in the legend.
            sets_limits: Whether the limits of the axes include the line.
            look: Properties of `matplotlib.lines.Line2D`.
        """
        look = {"linewidth": self.line_width, **look} if "lw" not in look else look
        if sets_limits:
            (line,) = self.ax.plot(x, y, label=name, **look)
        else:
            line = Line2D(x, y, label=name, transform=self.ax.transData, **look)
            self.ax.add_artist(line)
        self.record(name, x, y)
        if value is not None:
            self.line_entries.setdefault(value, line)
        elif in_legend:
            self.add_to_legend(name, line)
        return line

    @property
    def line_width(self) -> float:
        """Width of a line in points, for text of 8 points."""
        return LINE_WIDTH / 2 if self.crowded else LINE_WIDTH

    def add_to_legend(self, name: str, line: Line2D | None = None, **look: Any) -> None:
        """Add an entry to the legend; the first entry of a name counts.

        Args:
            name: Text of the entry.
            line: Line that the entry shows. None: a grey line with this `look`, which several lines have in common.
            look: Properties of `matplotlib.lines.Line2D`.
        """
        if line is None:
            line = Line2D([], [], **{"color": "0.35", "linewidth": self.line_width, **look})
        self.other_entries.setdefault(name, line)

    def explain(self, sentence: str) -> None:
        """Add a sentence to the caption. A sentence that several panels add is written once."""
        self.sentences.append(sentence)

    def explain_several_losses(self, frame: pd.DataFrame, quantity: str) -> None:
        """Warn the reader if the loss is at several timesteps: a gradient then does not show how far back it reaches.

        Args:
            frame: Rows of the panel; `readout_steps` is the number of timesteps with a loss.
            quantity: Subject of the sentence, such as 'the gradient'.
        """
        if "readout_steps" in frame and (frame["readout_steps"] > 1).any():
            self.explain(
                f"With a loss at several timesteps, {quantity} mixes them and does not show how far back one loss "
                "reaches."
            )

    def record(self, name: str, x: Any, y: Any, value: Any = None) -> None:
        """Record numbers for the CSV export."""
        x, y = (np.atleast_1d(np.asarray(numbers)) for numbers in (x, y))
        self.numbers.append(Numbers(name, x, y, None if value is None else np.asarray(value, float)))

    def replace_by(self, sentence: str) -> None:
        """Show a sentence instead of a drawing, and forget what was drawn."""
        for artist in [*self.ax.lines, *self.ax.collections, *self.ax.patches, *self.ax.texts]:
            artist.remove()
        self.ax.set_axis_off()
        self.replacement, self.colour_bar = sentence, None
        for record in (self.line_entries, self.other_entries, self.sentences, self.numbers):
            record.clear()

    def enlarge(self, factor: float) -> None:
        """Multiply the widths of lines and the sizes of markers by a factor, in the panel and in its legend entries."""
        only_in_legend = [line for line in self.other_entries.values() if line.axes is None]
        enlarge([*self.ax.get_lines(), *only_in_legend], list(self.ax.collections), factor)
