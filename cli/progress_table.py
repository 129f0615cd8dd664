"""The progress of runs as lines of text, for the live table of `bptt sweep` and for `bptt status`."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from cli.printing import wrap
from experiments.store.status import FINISHED

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from experiments.store.progress import Progress

BARS = "▁▂▃▄▅▆▇█"


def progress_table(progress: "Sequence[Progress]", console: "Console") -> "RenderableType":
    """A line with the counts of all runs, then a line for each running one, cut to the console's width and height."""
    from rich.console import Group
    from rich.text import Text

    wide = console.width >= 100
    running = [one for one in progress if one.status == "running"]
    lines = _overview_lines(progress, console.width, 20 if wide else 12) if len(progress) > 1 else []
    by_run = _lines_by_run(running, console.width, 20 if wide else 8)
    has_legend = wide and any(one.flow for one in running)
    room = console.height - 1 - len(lines) - has_legend
    if sum(map(len, by_run)) > room:
        room -= 1
    fitting = max(1, sum(total <= room for total in accumulate(map(len, by_run))))
    lines += [line for of_a_run in by_run[:fitting] for line in of_a_run]
    if len(running) > fitting:
        lines.append(Text(f"and {len(running) - fitting} more"))
    if has_legend:
        legend = "right: gradient norm by lag, from the last timestep back; one bar height is a factor of 10"
        lines.append(Text(legend, style="dim"))
    for line in lines:
        line.no_wrap, line.overflow = True, "ignore"
    return Group(*lines)


def _overview_lines(progress: "Sequence[Progress]", width: int, bar_width: int) -> "list[Text]":
    """The counts of all runs, a bar and the time left; without the bar where they do not fit in one line."""
    from rich.text import Text

    done = sum(_share_done(one) if one.status == "running" else one.status in FINISHED for one in progress)
    counts, left = count_by_status(progress), time_left(progress)
    line = Text(" ").join([Text(counts), _bar(done / len(progress), bar_width), Text(left)])
    return [line] if line.cell_len <= width else [Text(part) for part in wrap(f"{counts}, {left}".split(" "), width)]


LEFT_OUT: tuple[tuple[str, ...], ...] = ((), ("norm", "speed"), ("norm", "speed", "bar"))
"""Columns that a narrow terminal leaves out of a run's line, from the widest terminal to the narrowest."""

LEFT_OUT_BELOW = (*LEFT_OUT, ("norm", "speed", "bar", "flow"), ("norm", "speed", "bar", "flow", "loss"))
"""The same where a run's label has lines of its own above its numbers."""


def _lines_by_run(running: "Sequence[Progress]", width: int, bar_width: int) -> "list[list[Text]]":
    """The lines of each running run: label and numbers in one line, or the label above if that is too wide."""
    from rich.cells import cell_len
    from rich.text import Text

    columns = {
        "bar": [_bar(_share_done(one), bar_width) for one in running],
        "step": [Text(f"{one.step}/{one.run.steps or '?'}") for one in running],
        "speed": [Text(f"{one.speed:.0f}/s" if one.step else "") for one in running],
        "norm": [Text(f"norm {one.grad_norm:.2g}" if one.step else "") for one in running],
        "loss": [Text(f"loss {one.loss:.3g}" if one.step else "starting") for one in running],
        "left": [Text(format_time_left(one.left)) for one in running],
        "flow": [Text(sparkline(one.flow, max(bar_width, 10))) for one in running],
    }
    for cells in columns.values():
        longest = max((cell.cell_len for cell in cells), default=0)
        for cell in cells:
            cell.pad_right(longest - cell.cell_len)

    def numbers(left_out: tuple[str, ...]) -> "list[Text]":
        chosen = [cells for name, cells in columns.items() if name not in left_out]
        return [Text(" ").join(cell for cell in cells if cell.cell_len) for cells in zip(*chosen, strict=True)]

    labels = [one.run.label for one in running]
    longest = max(map(cell_len, labels), default=0)
    beside = _first_that_fits(map(numbers, LEFT_OUT), width - longest - 1)
    if beside:
        padded = [Text(label + " " * (longest + 1 - cell_len(label))) for label in labels]
        return [[label + line] for label, line in zip(padded, beside, strict=True)]
    below = _first_that_fits(map(numbers, LEFT_OUT_BELOW), width - 2) or numbers(LEFT_OUT_BELOW[-1])
    return [
        [*map(Text, wrap(label.split(" "), width)), Text("  ") + line]
        for label, line in zip(labels, below, strict=True)
    ]


def _first_that_fits(choices: "Iterable[list[Text]]", width: int) -> "list[Text]":
    """The first list whose lines are all at most `width` columns wide; an empty list if there is none."""
    return next((lines for lines in choices if all(line.cell_len <= width for line in lines)), [])


def _share_done(one: "Progress") -> float:
    """The share of a run's steps that it has taken; 0 for a watched training that did not say how many it takes."""
    return min(1.0, one.step / one.run.steps) if one.run.steps else 0.0


def _bar(share: float, width: int) -> "Text":
    from rich.text import Text

    done = int(share * width)
    return Text.assemble(("━" * done, "bar.complete"), ("─" * (width - done), "bar.back"))


def sparkline(norms: "Sequence[float]", width: int) -> str:
    """Gradient norms as bars on a log scale.

    The highest bar is the largest norm. Each level below it stands for a tenth of the norm. '!' marks a norm that is
    not finite.

    Args:
        norms: Gradient norms by lag.
        width: Largest number of characters; longer lists are subsampled.
    """
    picked = [norms[i * len(norms) // width] for i in range(width)] if len(norms) > width else list(norms)
    largest = max((norm for norm in picked if math.isfinite(norm)), default=0.0)

    def bar(norm: float) -> str:
        if not math.isfinite(norm):
            return "!"
        if norm <= 0 or largest <= 0:
            return " "
        return BARS[max(0, len(BARS) - 1 - int(math.log10(largest / norm)))]

    return "".join(map(bar, picked))


def count_by_status(progress: "Sequence[Progress]") -> str:
    """How many runs have each status: '3/18 done, 2 running, 1 diverged, 13 waiting'. A diverged run is done, too.

    So is one that a rule stopped early: '3/18 done, 1 stopped early, 15 waiting'.
    """
    by_status = Counter(one.status for one in progress)
    done = sum(by_status[status] for status in FINISHED)
    further = ("running", "diverged", "failed", "interrupted", "damaged", "waiting")
    others = [f"{by_status[status]} {status}" for status in further if by_status[status]]
    if stopped := sum(bool(one.stopped) for one in progress):
        others.insert(0, f"{stopped} stopped early")
    return ", ".join([f"{done}/{len(progress)} done", *others])


def time_left(progress: "Sequence[Progress]") -> str:
    """Time left for all runs at their mean speed so far; an empty string where it is unknown."""
    timed = [one for one in progress if not one.kept and one.status in ("running", *FINISHED)]
    steps_done, seconds = sum(one.step for one in timed), sum(one.seconds for one in timed)
    side_by_side = sum(one.status == "running" for one in progress)
    if any(one.status == "running" and not one.run.steps for one in progress):
        return ""
    steps_left = sum(max(0, one.run.steps - one.step) for one in progress if one.status in ("running", "waiting"))
    return format_time_left(steps_left * seconds / steps_done / side_by_side) if steps_done and side_by_side else ""


def format_time_left(seconds: float) -> str:
    """A duration such as '1:02:03 left'; an empty string for one that is not finite."""
    if not math.isfinite(seconds):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}") + " left"
