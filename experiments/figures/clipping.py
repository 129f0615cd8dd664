"""The norm of the whole gradient before and after clipping, with the threshold and how often it was exceeded."""

import pandas as pd

from experiments.drawing.lines import draw_line, mark_extremes, rows_by_line
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.drawing.training_steps import bin_width, binned

TABLES = ("metrics",)

NOT_OF_THE_WHOLE = ("value", "norm_by_parameter")
"""The rules whose threshold is not one of the norm of the whole gradient, which the figure shows."""

OF_PARTS = ("agc", "adagc")
"""The rules with a threshold for each part of the gradient; metrics.csv has that of all parts together."""


def draw(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the largest norm in each bin of steps, before clipping (solid) and after it (dashed)."""
    panel.ax.set_yscale("log")
    metrics, compare = data["metrics"], panel.compare
    for value, line, colour, _ in rows_by_line(panel, binned(metrics, "grad_norm", "max", by=compare)):
        draw_line(panel, line, "step", "grad_norm", value=value, colour=colour)
    for _, steps, colour, _ in rows_by_line(panel, metrics):
        mark_extremes(panel, steps, "step", "grad_norm", colour)
    clipped = metrics[metrics["clip_scale"] < 1]
    if len(clipped):
        after = binned(metrics, "clipped_grad_norm", "max", by=compare)
        for value, line, colour, _ in rows_by_line(panel, after[after[compare].isin(clipped[compare])]):
            draw_line(
                panel, line, "step", "clipped_grad_norm", value=value, part="clipped", colour=colour, linestyle="--"
            )
        panel.add_to_legend("clipped", linestyle="--")
        panel.explain("Solid: the norm before clipping; dashed: the norm after it.")
    _draw_thresholds(metrics, panel)
    width = bin_width(metrics)
    panel.ax.set(xlabel="step", ylabel="gradient norm" if width == 1 else f"gradient norm, largest in {width} steps")


def _draw_thresholds(metrics: pd.DataFrame, panel: Panel) -> None:
    """Draw the threshold of clip=norm across the panel, and that of any other rule where metrics.csv has it."""
    if "clip.threshold" in metrics:
        for threshold in sorted(metrics.loc[metrics["clip"] == "norm", "clip.threshold"].unique()):
            mark = panel.ax.axhline(threshold, color="0.2", linestyle=":", linewidth=1, label="threshold")
            panel.add_to_legend("threshold", mark)
            panel.explain("Dotted: the clipping threshold of the norm.")
    if "clip_threshold" not in metrics:
        return
    moving = metrics[~metrics["clip"].isin(["norm", *NOT_OF_THE_WHOLE])].dropna(subset="clip_threshold")
    medians = binned(moving, "clip_threshold", "median", by=panel.compare)
    for value, line, colour, _ in rows_by_line(panel, medians):
        draw_line(panel, line, "step", "clip_threshold", value=value, part="threshold", colour=colour, linestyle=":")
    if len(moving):
        panel.add_to_legend("threshold", linestyle=":")
        panel.explain("Dotted: the clipping threshold of the norm.")
    if rules := [rule for rule in OF_PARTS if rule in set(moving["clip"])]:
        parts = "the parts of the gradient that are clipped"
        panel.explain(f"For {' and '.join(rules)}, it is the largest norm that {parts} can have together afterwards.")


def draw_share(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the share of steps whose gradient was clipped, over the same bins."""
    metrics = data["metrics"].dropna(subset="clip_scale")
    if not (metrics["clip_scale"] < 1).any():
        off = "clip" in metrics and (metrics["clip"] == "none").all()
        raise NothingToDraw("no clipping" if off else "no step was clipped")
    shares = binned(metrics.assign(clipped=metrics["clip_scale"] < 1), "clipped", "mean", by=panel.compare)
    for value, line, colour, _ in rows_by_line(panel, shares):
        draw_line(panel, line, "step", "clipped", value=value, colour=colour)
    panel.ax.set(ylim=(-0.03, 1.03), xlabel="step", ylabel="share of steps clipped")
    panel.ax.yaxis.set_major_formatter("{x:.0%}")
    if (width := bin_width(metrics)) > 1:
        panel.explain(f"The share is taken over bins of {width} steps.")
    if _update_is_clipped_gradient(metrics, shares):
        panel.explain("At 100 %, each step of plain SGD is as long as the threshold times the learning rate.")


def _update_is_clipped_gradient(metrics: pd.DataFrame, shares: pd.DataFrame) -> bool:
    """Whether all runs with a bin of clipped steps only use plain SGD and clip by norm."""
    if not {"plain_sgd", "clip"} <= set(metrics):
        return False
    always = metrics[metrics["run_id"].isin(shares.loc[shares["clipped"] == 1, "run_id"])]
    return len(always) > 0 and bool((always["plain_sgd"] & (always["clip"] == "norm")).all())


PANELS = (draw, draw_share)
CAPTION = "The L2 norm of the gradient of all parameters together."
