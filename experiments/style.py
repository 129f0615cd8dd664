"""How the figures look: one style, colour-blind safe, readable at a column's width."""

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import to_hex, to_rgb

COLUMN_INCHES = 3.3

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours (2008), without the yellow that white paper swallows."""

CELLS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}
"""A cell keeps its colour in every figure, and nothing else has it."""

SPARE = tuple(colour for colour in OKABE_ITO if colour not in CELLS.values())

MARKERS = "osD^vPX"

UNDERFLOW, OVERFLOW = "0.8", "#CC79A7"
"""The colours of what a map's scale cannot hold: zeros, and infinities or nan."""

ASIAN_FONTS = (
    *("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic"),
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Zen Hei"),
)

ASIAN_FILES = ("NotoSansCJK", "NotoSansKR", "NanumGothic", "malgun", "AppleSDGothicNeo", "msyh", "wqy-zenhei")

RC: dict[Any, Any] = {
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 3,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bptt",
    "axes.formatter.useoffset": False,
    "pdf.fonttype": 42,
}

CROWDED: dict[Any, Any] = {"lines.linewidth": 0.7}
"""Settings for figures of many lines."""

Colours = dict[str, tuple[str, str]]
"""The colour and the marker of each compared value."""


def settings() -> dict[Any, Any]:
    """matplotlib's settings, with those fonts of this machine that have what its own lacks."""
    fonts = font_manager.fontManager
    if not any(font.name in ASIAN_FONTS for font in fonts.ttflist):  # matplotlib's list may be older than the fonts
        for path in font_manager.findSystemFonts():
            if Path(path).stem.startswith(ASIAN_FILES):
                fonts.addfont(path)
    here = {font.name for font in fonts.ttflist}
    return {**RC, "font.family": ["DejaVu Sans", *(font for font in ASIAN_FONTS if font in here)]}


def colours(values: Sequence[str], cells: Mapping[str, str] | None = None) -> Colours:
    """A colour and a marker for each value.

    Args:
        values: what is compared.
        cells: the cell of each value that has but one. Where the cells differ, a value has its cell's colour, and
            several of one cell are shades of it; else they are Okabe and Ito's, or a scale where there are many.
    """
    cells = cells or {value: value for value in values if value in CELLS}
    if set(cells) >= set(values) and (len(set(cells.values())) > 1 or set(values) == set(cells.values())):
        spare = iter(SPARE * len(values))
        hues = {cell: CELLS.get(cell) or next(spare) for cell in dict.fromkeys(cells[value] for value in values)}
        chosen = [
            _shade(hues[cells[value]], *_place(value, [other for other in values if cells[other] == cells[value]]))
            for value in values
        ]
    elif len(values) > len(SPARE):
        chosen = [to_hex(colour) for colour in mpl.colormaps["viridis"](np.linspace(0, 0.9, len(values)))]
    else:
        chosen = list(SPARE[: len(values)])
    return {
        value: (colour, MARKERS[i % len(MARKERS)]) for i, (value, colour) in enumerate(zip(values, chosen, strict=True))
    }


def _place(value: str, among: Sequence[str]) -> tuple[int, int]:
    return among.index(value), len(among)


def _shade(colour: str, place: int, count: int) -> str:
    """From dark over the colour itself to light."""
    if count == 1:
        return colour
    amount = -0.45 + 1.05 * place / (count - 1)
    towards = np.zeros(3) if amount < 0 else np.ones(3)
    mixed = np.array(to_rgb(colour)) * (1 - abs(amount)) + towards * abs(amount)
    return to_hex((mixed[0], mixed[1], mixed[2]))


def wrap(text: str, width: float) -> str:
    """Break text into lines of so many characters, of which a Chinese, Japanese or Korean one counts as two."""
    doubled = "".join(c + "\0" * (unicodedata.east_asian_width(c) in "WF") for c in text)
    return textwrap.fill(doubled, max(1, int(width))).replace("\0", "")


def is_crowded() -> bool:
    """Whether there are so many lines that they are drawn thin."""
    return bool(mpl.rcParams["lines.linewidth"] < RC["lines.linewidth"])
