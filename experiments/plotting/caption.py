"""The caption of a figure: what was run, what a line shows, and how to read the figure."""

from collections.abc import Sequence, Set

from experiments.analysis.watched_runs import is_watched
from experiments.drawing.panel import Panel
from experiments.figures import FigureDescription
from experiments.plotting.grouping import MOST_LINES, Grouping
from experiments.store.studies import Run
from experiments.wording import listed

MOST_NAMED = 6
"""More lines that have nothing to show than this are not named."""


def say_left_out(kind: FigureDescription, grouping: Grouping, run_ids: Set[str]) -> str:
    """Say which lines, and how many of the runs in other lines, have nothing to show; empty if all have.

    Args:
        kind: Description of the figure.
        grouping: The runs, grouped into lines.
        run_ids: Ids of the runs that the figure shows.
    """
    without = [run.id for run in grouping.runs if run.id not in run_ids]
    shown = {grouping.line_of[run_id] for run_id in run_ids}
    names = [name for name in grouping.line_names if name not in shown]
    few = sum(grouping.line_of[run_id] in shown for run_id in without)
    words = names[:MOST_NAMED]
    words += [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    words += [f"{few} of {len(run_ids) + few} {'other ' if names else ''}runs"] if few else []
    if not words:
        return ""
    return f"There is nothing to show of {listed(words)}{f': {kind.if_missing}' if kind.if_missing else ''}."


def write_caption(kind: FigureDescription, grouping: Grouping, panels: Sequence[Panel], left_out: str = "") -> str:
    """Write the caption of a figure.

    Args:
        kind: Description of the figure, with the part of the caption that is true of all runs.
        grouping: The runs, grouped into lines.
        panels: The panels, with the sentences about what is drawn in them.
        left_out: Sentence on the runs that have nothing to show.
    """
    seeds = grouping.seeds
    many = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    one = "one run" if len(grouping.runs) == 1 else "one seed each"
    shown = one if seeds == [1] else kind.over_seeds.format(seeds=many)
    studies = ", ".join(dict.fromkeys(str(run.config["study"]) for run in grouping.runs))
    tasks = sorted({(str(run.config["task"]), int(run.info["timesteps"])) for run in grouping.runs})
    lengths = {task: [length for name, length in tasks if name == task] for task, _ in tasks}
    task = ", ".join(f"{task} T={_enumerate(those)}" if any(those) else task for task, those in lengths.items())
    has_combinations = len(grouping.line_names) > MOST_LINES and len(grouping.lines) > 1 and not kind.one_panel_per_line
    combinations = f" A line for each combination of {', '.join(grouping.lines)}." if has_combinations else ""
    sentences = dict.fromkeys(sentence for panel in panels for sentence in panel.sentences)
    layers = _say_layer(grouping.runs) if kind.first_layer_only else ""
    parts = [f"{studies}: {task}; {shown}.{combinations}", layers, kind.caption, *sentences, left_out]
    return " ".join(filter(None, parts))


def _say_layer(runs: Sequence[Run]) -> str:
    """Name the layer that a figure shows of runs with several layers; empty if all runs have one."""
    stacks = [run for run in runs if int(run.config.get("model.num_layers") or 1) > 1]
    sentences = dict.fromkeys(
        f"Of the layers {', '.join(run.info['watched'])}, the figure shows {run.info['watched'][0]}."
        if is_watched(run)
        else "Of several layers, the figure shows layer 0, which reads the input."
        for run in stacks
    )
    return " ".join(sentences)


def _enumerate(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) if len(numbers) < 5 else f"{numbers[0]} to {numbers[-1]}"
