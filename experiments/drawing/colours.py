"""The colour and the marker of each line."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgb

Colours = dict[str, tuple[str, str]]
"""The colour and the marker of each compared value."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The colours of Okabe and Ito (2008), without the yellow, which is hard to see on white paper."""

CELL_COLOURS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}
"""The colours of the three best-known cells: each has its own in every figure, and nothing else has it."""

SPARE = tuple(colour for colour in OKABE_ITO if colour not in CELL_COLOURS.values())
"""The colours of everything that is not one of these cells."""

MUTED = ("#332288", "#CC6677", "#44AA99", "#999933", "#88CCEE", "#882255", "#117733", "#DDCC77", "#AA4499")
"""Paul Tol's muted colours (2021), for more values than `SPARE` has colours."""

MARKERS = "osD^vPX"

UNDERFLOW, OVERFLOW = "0.8", "#CC79A7"
"""The colours in a map of zeros, and of values that are infinite or not a number."""


def assign_colours(values: Sequence[str], groups: Mapping[str, str] | None = None, *, ordered: bool = False) -> Colours:
    """Assign a colour and a marker to each compared value.

    Args:
        values: Compared values.
        groups: Group of each value, such as its cell. If there are several groups, each has its own hue (a cell its
            own colour), and the values of a group are shades of it, from dark to light.
        ordered: Whether the values are numbers in rising order. A single group of numbers is coloured along a scale.
    """
    groups = groups or {value: value for value in values if value in CELL_COLOURS}
    hues = set(groups.values())
    if set(groups) >= set(values) and (len(hues) > 1 or set(values) == hues):
        names = list(dict.fromkeys(groups[value] for value in values))
        has_shades = len(names) < len(values)
        spare = iter(_palette(len([name for name in names if name not in CELL_COLOURS]), has_shades=has_shades))
        hue = {name: CELL_COLOURS.get(name) or next(spare) for name in names}
        chosen = []
        for value in values:
            group = [other for other in values if groups[other] == groups[value]]
            chosen.append(_shade(hue[groups[value]], group.index(value), len(group)))
    else:
        chosen = _scale(len(values)) if ordered else _palette(len(values))
    return {
        value: (colour, MARKERS[i % len(MARKERS)]) for i, (value, colour) in enumerate(zip(values, chosen, strict=True))
    }


def _palette(number: int, *, has_shades: bool = False) -> list[str]:
    """Colours without an order. Black is left out if shades are needed, because it has none."""
    spare = [colour for colour in SPARE if not (has_shades and colour == "#000000")]
    return next((list(some[:number]) for some in (spare, MUTED) if number <= len(some)), _scale(number))


def _scale(number: int) -> list[str]:
    """Colours from dark to light, which differ in lightness also in print and for colour-blind readers."""
    return [to_hex(colour) for colour in mpl.colormaps["viridis"](np.linspace(0, 0.85, number))]


def _shade(colour: str, place: int, count: int) -> str:
    """One of `count` shades of a colour, from dark to light."""
    if count == 1:
        return colour
    amount = -0.5 + 0.95 * place / (count - 1)
    towards = np.zeros(3) if amount < 0 else np.ones(3)
    mixed = np.array(to_rgb(colour)) * (1 - abs(amount)) + towards * abs(amount)
    return to_hex((mixed[0], mixed[1], mixed[2]))
