"""How the figures look: one style, safe for colour-blind readers, readable at the width of a journal's column."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

COLUMN_INCHES = 3.3

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours (2008), without the yellow that white paper swallows."""

CELLS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}
"""A cell keeps its colour in every figure, and nothing else has it."""

SPARE = tuple(colour for colour in OKABE_ITO if colour not in CELLS.values())

MUTED = ("#332288", "#CC6677", "#44AA99", "#999933", "#88CCEE", "#882255", "#117733", "#DDCC77", "#AA4499")
"""Paul Tol's muted colours (2021), for more words than Okabe and Ito have colours to spare."""

MARKERS = "osD^vPX"

UNDERFLOW, OVERFLOW = "0.8", "#CC79A7"
"""The colours of what a map's scale cannot hold: zeros, and infinities or nan."""

ASIAN_FONTS = (
    *("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic"),
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Zen Hei"),
)

ASIAN_FILES = ("NotoSansCJK", "NotoSansKR", "NanumGothic", "malgun", "AppleSDGothicNeo", "msyh", "wqy-zenhei")

TEXT_SIZE = 8.0
"""Points."""

RC: dict[Any, Any] = {
    "figure.dpi": 150,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "text.hinting": "none",  # a text is as wide in a PNG of few dots as in a PDF, which it is wrapped for
    "lines.linewidth": 1.4,
    "lines.markersize": 3.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "bptt",
    "pdf.fonttype": 42,
}

SIZES: dict[Any, float] = {
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), 8.0),
    **dict.fromkeys(("legend.title_fontsize", "legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 7.0),
    "figure.titlesize": 10.0,
    "axes.linewidth": 0.8,
    "axes.titlepad": 6.0,
    "axes.labelpad": 4.0,
    "grid.linewidth": 0.5,
    **{
        f"{axis}tick.major.{part}": size
        for axis in "xy"
        for part, size in (("size", 3.5), ("width", 0.8), ("pad", 3.5))
    },
    **{
        f"{axis}tick.minor.{part}": size
        for axis in "xy"
        for part, size in (("size", 2.0), ("width", 0.6), ("pad", 3.4))
    },
}
"""In points, for text of 8 points. They grow with it."""

OF_A_SESSION = ("backend", "backend_fallback", "interactive", "toolbar")
"""Settings that are about windows, not about figures."""

Colours = dict[str, tuple[str, str]]
"""The colour and the marker of each compared value."""

_crowded = ContextVar("_crowded", default=False)


def settings(text_size: float = TEXT_SIZE, dpi: float = 200) -> dict[Any, Any]:
    """All of matplotlib's settings, so that no matplotlibrc and no style of the user's changes a figure.

    Args:
        text_size: Points. The axes grow with it; `enlarge` does it for what is drawn on them.
        dpi: Dots per inch of a PNG.
    """
    ours = {key: size * text_size / TEXT_SIZE for key, size in SIZES.items()}
    fixed: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key not in OF_A_SESSION}
    return {**fixed, **RC, **ours, "savefig.dpi": dpi, "font.family": ["DejaVu Sans", *find_asian_fonts()]}


def find_asian_fonts() -> list[str]:
    """The fonts of this machine with the Asian letters that matplotlib's own font lacks."""
    fonts = font_manager.fontManager
    if not any(font.name in ASIAN_FONTS for font in fonts.ttflist):  # matplotlib's list may be older than the fonts
        for path in font_manager.findSystemFonts():
            if Path(path).stem.startswith(ASIAN_FILES):
                fonts.addfont(path)
    here = {font.name for font in fonts.ttflist}
    return [font for font in ASIAN_FONTS if font in here]


def colours(values: Sequence[str], groups: Mapping[str, str] | None = None, *, ordered: bool = False) -> Colours:
    """A colour and a marker for each value.

    Args:
        values: What is compared.
        groups: The group of each value, such as its cell. Where the groups differ, each has a hue (a cell its own),
            and the values of a group are shades of it, from dark to light.
        ordered: The values are numbers, given by size. One group of them is coloured along a scale.
    """
    groups = groups or {value: value for value in values if value in CELLS}
    hues = set(groups.values())
    if set(groups) >= set(values) and (len(hues) > 1 or set(values) == hues):
        names = list(dict.fromkeys(groups[value] for value in values))
        shaded = len(names) < len(values)
        spare = iter(_palette(len([name for name in names if name not in CELLS]), shaded=shaded))
        hue = {name: CELLS.get(name) or next(spare) for name in names}
        chosen = [
            _shade(hue[groups[value]], *_place(value, [other for other in values if groups[other] == groups[value]]))
            for value in values
        ]
    else:
        chosen = _scale(len(values)) if ordered else _palette(len(values))
    return {
        value: (colour, MARKERS[i % len(MARKERS)]) for i, (value, colour) in enumerate(zip(values, chosen, strict=True))
    }


def _palette(number: int, *, shaded: bool = False) -> list[str]:
    """Colours without an order; black has no shades."""
    spare = [colour for colour in SPARE if not (shaded and colour == "#000000")]
    return next((list(some[:number]) for some in (spare, MUTED) if number <= len(some)), _scale(number))


def _scale(number: int) -> list[str]:
    """Colours from dark to light, which paper and colour-blind readers tell apart by their lightness."""
    return [to_hex(colour) for colour in mpl.colormaps["viridis"](np.linspace(0, 0.85, number))]


def _place(value: str, among: Sequence[str]) -> tuple[int, int]:
    return among.index(value), len(among)


def _shade(colour: str, place: int, count: int) -> str:
    """From dark over the colour itself to light."""
    if count == 1:
        return colour
    amount = -0.5 + 0.95 * place / (count - 1)
    towards = np.zeros(3) if amount < 0 else np.ones(3)
    mixed = np.array(to_rgb(colour)) * (1 - abs(amount)) + towards * abs(amount)
    return to_hex((mixed[0], mixed[1], mixed[2]))


def text_width(text: str, points: float, *, math: bool = False) -> float:
    """The width of a line of text, in inches."""
    return points / 72 * _width_at_one_point(text, math and text.count("$") > 1, tuple(mpl.rcParams["font.family"]))


@lru_cache(maxsize=10_000)
def _width_at_one_point(text: str, math: bool, family: tuple[str, ...]) -> float:
    font = FontProperties(family=family, size=1)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=math)[0])


def wrap(text: str, inches: float, points: float, *, math: bool = False) -> str:
    """Break text into lines of a width, at spaces; within a word where the word alone is wider.

    Args:
        text: In one line or several.
        inches: The width.
        points: The size of the text.
        math: What stands between two dollars is a formula, and is not broken.
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


def enlarge(ax: Axes, factor: float) -> None:
    """Make lines and marks as many times as thick."""
    for line in ax.get_lines():
        line.set_linewidth(line.get_linewidth() * factor)
        line.set_markersize(line.get_markersize() * factor)
        line.set_markeredgewidth(line.get_markeredgewidth() * factor)
    for collection in ax.collections:
        collection.set_linewidth([width * factor for width in np.atleast_1d(collection.get_linewidth())])


@contextmanager
def crowded(*, crowded: bool = True) -> Iterator[None]:
    """Draw many lines: thin ones, without bands and markers."""
    token = _crowded.set(crowded)
    with mpl.rc_context({"lines.linewidth": mpl.rcParams["lines.linewidth"] / 2} if crowded else {}):
        try:
            yield
        finally:
            _crowded.reset(token)


def is_crowded() -> bool:
    """Whether there are so many lines that they are drawn thin."""
    return _crowded.get()
