"""Where things lie in a figure, by matplotlib's artists: texts on each other, on panels, or outside the figure."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg


def texts(figure):
    """All texts that are drawn, as pairs of words and box."""
    shown = [text for text in (figure._suptitle, figure._supxlabel) if text is not None]
    shown += [text for legend in figure.legends for text in [legend.get_title(), *legend.get_texts()]]
    for ax in figure.axes:
        shown.append(ax.title)
        if not ax.axison:  # a sentence stands in the panel's place
            shown += ax.texts
            continue
        shown += [ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if low <= tick.get_loc() <= high:
                    shown += [tick.label1, tick.label2]
    return [
        (text.get_text(), text.get_window_extent()) for text in shown if text.get_visible() and text.get_text().strip()
    ]


def flaws(figure):
    """What a reader could not read: each flaw in words."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    found = []
    boxes = texts(figure)
    panels = [(ax.get_label() or "a panel", ax.get_window_extent()) for ax in figure.axes if ax.axison]
    page = figure.bbox
    for words, box in boxes + panels:
        if box.x0 < page.x0 - 1 or box.x1 > page.x1 + 1 or box.y0 < page.y0 - 1 or box.y1 > page.y1 + 1:
            found.append(f"{words!r} is not whole on the page")
    for (words, box), (others, other) in [*itertools.combinations(boxes, 2), *itertools.product(boxes, panels)]:
        across = min(box.x1, other.x1) - max(box.x0, other.x0)
        down = min(box.y1, other.y1) - max(box.y0, other.y0)
        if across > 1 and down > 1:
            found.append(f"{words!r} lies on {others!r}")
    for (words, box), (others, other) in itertools.combinations(panels, 2):
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1 and min(box.y1, other.y1) - max(box.y0, other.y0) > 1:
            found.append(f"panel {words!r} lies on {others!r}")
    for words, box in panels:
        if min(box.width, box.height) < 0.4 * figure.dpi and words != "<colorbar>":
            found.append(
                f"panel {words!r} is {box.width / figure.dpi:.2f} x {box.height / figure.dpi:.2f} inches small"
            )
    return found
