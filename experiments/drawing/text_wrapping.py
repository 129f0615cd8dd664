"""The width of text, and line breaks that make text fit a width."""

import re
from functools import lru_cache

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path


def text_width(text: str, points: float, *, math: bool = False) -> float:
    """Return the width of a line of text in inches, in the font of matplotlib's current settings."""
    return points / 72 * _width_at_one_point(text, math and text.count("$") > 1, tuple(mpl.rcParams["font.family"]))


@lru_cache(maxsize=10_000)
def _width_at_one_point(text: str, math: bool, family: tuple[str, ...]) -> float:
    font = FontProperties(family=family, size=1)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=math)[0])


def wrap(text: str, inches: float, points: float, *, math: bool = False) -> str:
    """Break text into lines at spaces; a word that is wider than a line is broken as well.

    Args:
        text: Text of one line or several.
        inches: Largest width of a line.
        points: Size of the text.
        math: Whether text between two dollar signs is a formula, which is never broken.
    """
    space = text_width("n n", points) - text_width("nn", points)
    lines, end = [""], 0.0
    for word in re.findall(r"[^\s$]*\$[^$]*\$\S*|\S+" if math else r"\S+", text):
        width = text_width(word, points, math=math)
        if not lines[-1] or end + space + width <= inches:
            lines[-1] += f" {word}" if lines[-1] else word
            end += (space if end else 0.0) + width
        else:
            lines.append(word)
            end = width
        if width > inches and not (math and "$" in word):
            lines[-1:] = _broken(lines[-1], inches, points)
            end = text_width(lines[-1], points)
    return "\n".join(lines)


def _broken(word: str, inches: float, points: float) -> list[str]:
    parts = [""]
    for letter in word:
        if parts[-1] and text_width(parts[-1] + letter, points) > inches:
            parts.append("")
        parts[-1] += letter
    return parts
