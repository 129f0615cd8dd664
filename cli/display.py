"""How far runs are, as lines of text: what `bptt sweep` shows while it goes on, and `bptt status` at any time."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from cli.terminal import wrap
from experiments.store.status import FINISHED

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from experiments.store.progress import Progress

BARS = "▁▂▃▄▅▆▇█"


def display(states: "Sequence[Progress]", console: "Console") -> "RenderableType":
    """How many runs are where, then the running ones, as many as fit; no line is wider than the console."""
    from rich.console import Group
    from rich.text import Text

    wide = console.width >= 100
    running = [state for state in states if state.status == "running"]
    lines = _together(states, console.width, 20 if wide else 12) if len(states) > 1 else []
    described = _described(running, console.width, 20 if wide else 8)
    caption = wide and any(state.flow for state in running)
    room = console.height - 1 - len(lines) - caption
    if sum(map(len, described)) > room:
        room -= 1
    shown = max(1, sum(total <= room for total in accumulate(map(len, described))))
    lines += [line for of_a_run in described[:shown] for line in of_a_run]
    if len(running) > shown:
        lines.append(Text(f"and {len(running) - shown} more"))
    if caption:
        lines.append(Text("right: gradient norm from the last timestep back, a decade a level", style="dim"))
    for line in lines:
        line.no_wrap, line.overflow = True, "ignore"
    return Group(*lines)


def _together(states: "Sequence[Progress]", width: int, bar: int) -> "list[Text]":
    """How far all runs are together; the bar goes first where there is no room."""
    from rich.text import Text

    done = sum(
        state.step / state.run.steps if state.status == "running" else state.status in FINISHED for state in states
    )
    counted, left = counts(states), time_left(states)
    line = Text(" ").join([Text(counted), _bar(done / len(states), bar), Text(left)])
    return [line] if line.cell_len <= width else [Text(part) for part in wrap(f"{counted}, {left}".split(" "), width)]


LEFT_OUT: tuple[tuple[str, ...], ...] = ((), ("norm", "speed"), ("norm", "speed", "bar"))
"""What a narrow terminal leaves out of the line of a run."""

LEFT_OUT_BELOW = (*LEFT_OUT, ("norm", "speed", "bar", "flow"), ("norm", "speed", "bar", "flow", "loss"))
"""The same where a run's label has lines of its own."""


def _described(running: "Sequence[Progress]", width: int, bar: int) -> "list[list[Text]]":
    """The lines of each running run: its label and numbers in one, or the label above where that is too wide."""
    from rich.cells import cell_len
    from rich.text import Text

    columns = {
        "bar": [_bar(state.step / state.run.steps if state.run.steps else 0.0, bar) for state in running],
        "step": [Text(f"{state.step}/{state.run.steps}") for state in running],
        "speed": [Text(f"{state.speed:.0f}/s" if state.step else "") for state in running],
        "norm": [Text(f"norm {state.grad_norm:.2g}" if state.step else "") for state in running],
        "loss": [Text(f"loss {state.loss:.3g}" if state.step else "starting") for state in running],
        "left": [Text(duration(state.left)) for state in running],
        "flow": [Text(sparkline(state.flow, max(bar, 10))) for state in running],
    }
    for cells in columns.values():
        longest = max((cell.cell_len for cell in cells), default=0)
        for cell in cells:
            cell.pad_right(longest - cell.cell_len)

    def numbers(less: tuple[str, ...]) -> "list[Text]":
        chosen = [cells for name, cells in columns.items() if name not in less]
        return [Text(" ").join(cell for cell in cells if cell.cell_len) for cells in zip(*chosen, strict=True)]

    labels = [state.run.label for state in running]
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
    """Of several ways to write some lines; none if all are too wide."""
    return next((lines for lines in choices if all(line.cell_len <= width for line in lines)), [])


def _bar(share: float, width: int) -> "Text":
    from rich.text import Text

    done = int(share * width)
    return Text.assemble(("━" * done, "bar.complete"), ("─" * (width - done), "bar.back"))


def sparkline(flow: "Sequence[float]", width: int) -> str:
    """Norms by lag as bars: the full one is the largest, each level below it a decade less; '!' is not finite."""
    picked = [flow[i * len(flow) // width] for i in range(width)] if len(flow) > width else list(flow)
    largest = max((norm for norm in picked if math.isfinite(norm)), default=0.0)

    def bar(norm: float) -> str:
        if not math.isfinite(norm):
            return "!"
        if norm <= 0 or largest <= 0:
            return " "
        return BARS[max(0, len(BARS) - 1 - int(math.log10(largest / norm)))]

    return "".join(map(bar, picked))


def counts(states: "Sequence[Progress]") -> str:
    """How many runs there are of each status: '3/18 done, 2 running, 1 diverged, 13 waiting'."""
    by_status = Counter(state.status for state in states)
    done = sum(by_status[status] for status in FINISHED)
    further = ("running", "diverged", "failed", "interrupted", "damaged", "waiting")
    others = [f"{by_status[status]} {status}" for status in further if by_status[status]]
    return ", ".join([f"{done}/{len(states)} done", *others])


def time_left(states: "Sequence[Progress]") -> str:
    """How long the rest takes at the speed of all runs together so far; empty where it is not known."""
    timed = [state for state in states if not state.kept and state.status in ("running", *FINISHED)]
    made, took = sum(state.step for state in timed), sum(state.seconds for state in timed)
    side_by_side = sum(state.status == "running" for state in states)
    left = sum(state.run.steps - state.step for state in states if state.status in ("running", "waiting"))
    return duration(left * took / made / side_by_side) if made and side_by_side else ""


def duration(seconds: float) -> str:
    """Such as '1:02:03 left'; empty where it is not known."""
    if not math.isfinite(seconds):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}") + " left"
