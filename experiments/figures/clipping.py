"""The norm of the whole gradient before and after clipping, with the threshold and how often it cut."""

import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say
from experiments.drawing.lines_and_maps import bin_width, binned, draw_line, explain, lines_of, mark_extremes
from experiments.drawing.style import Colours

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
        explain(ax, "clipped", "Solid: the norm before clipping; dashed: after it.", linestyle="--")
    if "clip.threshold" in metrics:
        for i, threshold in enumerate(sorted(metrics.loc[metrics["clip"] == "norm", "clip.threshold"].unique())):
            label = "_threshold" if i else "threshold"
            mark = ax.axhline(threshold, color="0.2", linestyle=":", linewidth=1, label=label)
            say(mark, "Dotted: the threshold of the norm.")
    width = bin_width(metrics)
    ax.set(xlabel="step", ylabel="gradient norm" if width == 1 else f"gradient norm, largest in {width} steps")
    return ax


def draw_share(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The share of the steps whose gradient was cut, over the same stretches."""
    metrics = data["metrics"].dropna(subset="clip_scale")
    if not (metrics["clip_scale"] < 1).any():
        off = "clip" in metrics and (metrics["clip"] == "none").all()
        raise Blank("no clipping" if off else "no step was clipped")
    shares = binned(metrics.assign(clipped=metrics["clip_scale"] < 1), "clipped", "mean", by=compare)
    for value, line, colour, _ in lines_of(shares, compare, colours):
        draw_line(ax, line, "step", "clipped", label=value, colour=colour)
    ax.set(ylim=(-0.03, 1.03), xlabel="step", ylabel="share of steps clipped")
    ax.yaxis.set_major_formatter("{x:.0%}")
    if _threshold_is_step(metrics, shares):
        say(ax, "At 100 %, each step of this plain SGD is as long as threshold times learning rate.")
    return ax


def _threshold_is_step(metrics: pd.DataFrame, shares: pd.DataFrame) -> bool:
    """Whether runs whose every step in a stretch was clipped by norm update by the gradient itself."""
    if not {"plain_sgd", "clip"} <= set(metrics):
        return False
    always = metrics[metrics["run_id"].isin(shares.loc[shares["clipped"] == 1, "run_id"])]
    return len(always) > 0 and bool((always["plain_sgd"] & (always["clip"] == "norm")).all())


PANELS = (draw, draw_share)
READING = "The L2 norm of the gradient of all parameters together."
