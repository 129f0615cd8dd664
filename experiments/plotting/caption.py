"""The caption of a figure: what was run, what a line shows, and how to read the figure."""

from collections.abc import Sequence

from experiments.drawing.panel import Panel
from experiments.figures import FigureDescription
from experiments.plotting.grouping import MOST_LINES, Grouping


def write_caption(kind: FigureDescription, grouping: Grouping, panels: Sequence[Panel]) -> str:
    """Write the caption of a figure.

    Args:
        kind: Description of the figure, with the part of the caption that is true of all runs.
        grouping: The runs, grouped into lines.
        panels: The panels, with the sentences about what is drawn in them.
    """
    seeds = grouping.seeds
    many = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    shown = "one seed each" if seeds == [1] else kind.over_seeds.format(seeds=many)
    studies = ", ".join(dict.fromkeys(str(run.config["study"]) for run in grouping.runs))
    tasks = sorted({(str(run.config["task"]), int(run.info["timesteps"])) for run in grouping.runs})
    lengths = {task: [length for name, length in tasks if name == task] for task, _ in tasks}
    task = ", ".join(f"{task} T={_enumerate(those)}" for task, those in lengths.items())
    has_combinations = len(grouping.line_names) > MOST_LINES and len(grouping.lines) > 1 and not kind.one_panel_per_line
    combinations = f" A line for each combination of {', '.join(grouping.lines)}." if has_combinations else ""
    sentences = dict.fromkeys(sentence for panel in panels for sentence in panel.sentences)
    return " ".join([f"{studies}: {task}; {shown}.{combinations}", kind.caption, *sentences])


def _enumerate(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) if len(numbers) < 5 else f"{numbers[0]} to {numbers[-1]}"
