"""The style of all figures: matplotlib's settings, fonts, and the sizes of text and lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.collections import Collection
from matplotlib.lines import Line2D

COLUMN_INCHES = 3.3
"""The width of a journal's column."""

TEXT_SIZE, SMALL_TEXT_SIZE, TITLE_SIZE = 8.0, 7.0, 10.0
"""Points: titles of panels and names of axes; legend, caption and numbers of axes; title of the whole figure."""

LINE_WIDTH, MARKER_SIZE = 1.4, 3.0
"""Points, for text of 8 points."""

ASIAN_FONTS = (
    *("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic"),
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Zen Hei"),
)

ASIAN_FILES = ("NotoSansCJK", "NotoSansKR", "NanumGothic", "malgun", "AppleSDGothicNeo", "msyh", "wqy-zenhei")

RC: dict[Any, Any] = {
    "figure.dpi": 150,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "text.hinting": "none",  # so that text is equally wide in PNG, SVG and PDF, and line breaks fit all of them
    "lines.linewidth": LINE_WIDTH,
    "lines.markersize": MARKER_SIZE,
    "svg.fonttype": "none",
    "svg.hashsalt": "bptt",
    "pdf.fonttype": 42,
}

SIZES: dict[Any, float] = {
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), TEXT_SIZE),
    **dict.fromkeys(
        ("legend.title_fontsize", "legend.fontsize", "xtick.labelsize", "ytick.labelsize"), SMALL_TEXT_SIZE
    ),
    "figure.titlesize": TITLE_SIZE,
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
"""Points, for text of 8 points. `settings` scales them with the size of the text."""

WINDOW_SETTINGS = ("backend", "backend_fallback", "interactive", "toolbar")
"""Settings that concern windows and not figures."""


def settings(text_size: float = TEXT_SIZE, dpi: float = 200) -> dict[Any, Any]:
    """Return all of matplotlib's settings, so that neither a matplotlibrc nor a style of the user changes a figure.

    Args:
        text_size: Size of the text in points. The axes scale with it; `enlarge` scales what is drawn on them.
        dpi: Dots per inch of a PNG.
    """
    ours = {key: size * text_size / TEXT_SIZE for key, size in SIZES.items()}
    fixed: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key not in WINDOW_SETTINGS}
    return {**fixed, **RC, **ours, "savefig.dpi": dpi, "font.family": ["DejaVu Sans", *find_asian_fonts()]}


def find_asian_fonts() -> list[str]:
    """Return the installed fonts with the Asian characters that matplotlib's own font lacks."""
    fonts = font_manager.fontManager
    if not any(font.name in ASIAN_FONTS for font in fonts.ttflist):  # matplotlib's list may be older than the fonts
        for path in font_manager.findSystemFonts():
            if Path(path).stem.startswith(ASIAN_FILES):
                fonts.addfont(path)
    here = {font.name for font in fonts.ttflist}
    return [font for font in ASIAN_FONTS if font in here]


def enlarge(lines: Sequence[Line2D], collections: Sequence[Collection], factor: float) -> None:
    """Multiply the widths of lines and the sizes of markers by a factor."""
    for line in lines:
        line.set_linewidth(line.get_linewidth() * factor)
        line.set_markersize(line.get_markersize() * factor)
        line.set_markeredgewidth(line.get_markeredgewidth() * factor)
    for collection in collections:
        collection.set_linewidth([width * factor for width in np.atleast_1d(collection.get_linewidth())])
