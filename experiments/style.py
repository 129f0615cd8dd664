"""How the figures look: one style, colour-blind safe, readable at a column's width."""

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_hex, to_rgb
from matplotlib.ticker import LogLocator, NullFormatter

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


def draw_line(ax: Axes, frame: pd.DataFrame, x: str, y: str, *, label: str, colour: str, **line: Any) -> None:
    """The median of y over the runs at each x, and the band between its quartiles.

    On a log axis the line ends where the median is 0, and the band goes on to the axis's foot. Of many lines there are
    the medians only, without markers: bands over bands cannot be told apart.
    """
    values = frame.groupby(x)[y]
    with np.errstate(invalid="ignore"):  # between two infinities there is no median
        middle = values.median()
    if is_crowded() and len(middle) > 1:
        line["marker"] = None
    line.setdefault("markevery", max(1, len(middle) // 20))
    if len(middle) == 1:
        line.setdefault("marker", "o")
    median = middle.where((middle > 0) | (ax.get_yscale() != "log"))
    ax.plot(median.index, median, color=colour, label=label, **line)
    if len(frame) > len(median) and not is_crowded():
        with np.errstate(invalid="ignore"):
            quartiles = values.quantile(np.array([0.25, 0.75])).unstack()
        ax.fill_between(quartiles.index, quartiles[0.25], quartiles[0.75], color=colour, alpha=0.18, linewidth=0)
        for quartile, name in ((0.25, "lower quartile"), (0.75, "upper quartile")):  # the band's numbers, not drawn
            ax.plot(quartiles.index, quartiles[quartile], linestyle="", label=f"_{label.lstrip('_')}, {name}")


def is_crowded() -> bool:
    """Whether there are so many lines that they are drawn thin."""
    return bool(mpl.rcParams["lines.linewidth"] < RC["lines.linewidth"])


def explain(ax: Axes, name: str, **look: Any) -> None:
    """An entry in the legend for a look that several lines or cells share."""
    ax.plot([], [], **{"color": "0.35", "label": name, **look})


def mark_extremes(ax: Axes, frame: pd.DataFrame, x: str, y: str, colour: str) -> None:
    """What an axis cannot hold: zeros on a log axis (underflow) as triangles at its foot, infinities at its head."""
    low = (frame[y] == -np.inf) | ((frame[y] == 0) & (ax.get_yscale() == "log"))
    high = ~np.isfinite(frame[y]) & ~low
    for extreme, marker, height in ((low, "v", 0.02), (high, "^", 0.98)):
        if extreme.any():
            places = frame.loc[extreme, x].unique()
            at_height: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
            ax.plot(places, [height] * len(places), linestyle="", marker=marker, color=colour, **at_height)


def draw_map(
    ax: Axes,
    grid: pd.DataFrame,
    *,
    x_edges: np.ndarray,
    y_edges: np.ndarray,
    cmap: str | Colormap,
    norm: Normalize,
    label: str,
) -> None:
    """Coloured cells. The scale's colour is for finite values only.

    Args:
        ax: where.
        grid: the values, a row for each y and a column for each x. What is missing stays white, -inf (the logarithm of
            an underflow) is grey, inf is pink; both get a word in the legend.
        x_edges: of the cells, one more than there are columns.
        y_edges: of the cells, one more than there are rows.
        cmap: the scale.
        norm: from values to the scale.
        label: what the colour is.
    """
    values = grid.to_numpy(float)
    known = ~grid.isna().to_numpy()
    for here, colour, name in (
        (values == -np.inf, UNDERFLOW, "0: underflow"),
        (values == np.inf, OVERFLOW, "not finite"),
    ):
        if here.any():
            one = mpl.colors.ListedColormap([colour])
            cells = np.ma.masked_array(np.zeros_like(values), ~here)
            ax.pcolormesh(x_edges, y_edges, cells, cmap=one, rasterized=True, label=f"_{name}")
            explain(ax, name, color=colour, linestyle="", marker="s")
    finite = np.ma.masked_array(values, ~(np.isfinite(values) & known))
    ax.pcolormesh(x_edges, y_edges, finite, cmap=cmap, norm=norm, rasterized=True, label=label)
    ax.grid(visible=False)
    ax.locator_params(integer=True)


def edges(centres: np.ndarray) -> np.ndarray:
    """The borders halfway between sorted places, and as far outside the first and the last."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def step_edges(steps: "pd.Index[int]") -> np.ndarray:
    """The same for training steps, of which there is none before the first."""
    borders = edges(steps.to_numpy(float))
    borders[0] = steps[0] - 0.5
    return borders


def at_recorded_step(frame: pd.DataFrame, which: Literal["min", "max"]) -> pd.DataFrame:
    """The rows of each run's own first (min) or last (max) recorded step."""
    return frame[frame["step"] == frame.groupby("run_id")["step"].transform(which)]


def bin_width(metrics: pd.DataFrame) -> int:
    """A fiftieth of the steps: as many points as a line can show."""
    return max(1, int(metrics["step"].max()) // 50) if len(metrics) else 1


def binned(frame: pd.DataFrame, column: str, how: Literal["median", "max", "mean"], *, by: str) -> pd.DataFrame:
    """A row for each run and stretch of `bin_width` steps, named by its middle; `how` is median, max or mean."""
    width = bin_width(frame)
    middles = (frame["step"] - 1) // width * width + (width + 1) / 2
    stretches = frame.assign(step=middles).groupby([by, "run_id", "step"])[column]
    return stretches.agg(how).reset_index()


def label_short_log_axis(ax: Axes) -> None:
    """Plain numbers at 1, 2 and 5 where a log axis spans less than two decades."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log" and high < 100 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
