"""The norm of the whole gradient before and after clipping, with the threshold and how often it cut."""

import pandas as pd
from matplotlib.axes import Axes

from experiments.marks import bin_width, binned, draw_line, explain, lines_of, mark_extremes
from experiments.style import Colours

TABLES = ("metrics",)


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The largest norm in each stretch of steps, before clipping (solid) and after it (dashed)."""
    ax.set_yscale("log")
    metrics = data["metrics"]
    for value, line, colour, _ in lines_of(binned(metrics, "grad_norm", "max", by=compare), compare, colours):
        draw_line(ax, line, "step", "grad_norm", label=value, colour=colour)
    for _, steps, colour, _ in lines_of(metrics, compare, colours):
        mark_extremes(ax, steps, "step", "grad_norm", colour)
    cut = metrics[metrics["clip_scale"] < 1]
    if len(cut):
        after = binned(metrics, "clipped_grad_norm", "max", by=compare)
        for value, line, colour, _ in lines_of(after[after[compare].isin(cut[compare])], compare, colours):
            draw_line(ax, line, "step", "clipped_grad_norm", label=f"_{value}, clipped", colour=colour, linestyle="--")
        explain(ax, "clipped", linestyle="--")
    if "clip.threshold" in metrics:
        for i, threshold in enumerate(sorted(metrics.loc[metrics["clip"] == "norm", "clip.threshold"].unique())):
            ax.axhline(threshold, color="0.2", linestyle=":", linewidth=1, label=None if i else "threshold")
    width = bin_width(metrics)
    ax.set(xlabel="step", ylabel="gradient norm" if width == 1 else f"gradient norm, largest in {width} steps")
    return ax


def draw_share(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The share of the steps whose gradient was cut, over the same stretches."""
    metrics = data["metrics"][[compare, "run_id", "step", "clip_scale"]].dropna(subset="clip_scale")
    shares = binned(metrics.assign(clipped=metrics["clip_scale"] < 1), "clipped", "mean", by=compare)
    for value, line, colour, _ in lines_of(shares, compare, colours):
        draw_line(ax, line, "step", "clipped", label=value, colour=colour)
    ax.set(ylim=(-0.03, 1.03), xlabel="step", ylabel="share of steps clipped")
    ax.yaxis.set_major_formatter("{x:.0%}")
    return ax


PANELS = (draw, draw_share)
READING = (
    "Solid: the norm before clipping, dashed: after it. Where every step is clipped, the threshold is the step size."
)
