"""The finding on remedies: which ones helped in the committed study, for a run that vanishes or explodes as it does."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from experiments.analysis.gain_and_horizon import fate_of
from experiments.store.files import Value
from experiments.store.studies import Run
from experiments.wording import counted

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "remedies" / "summary.csv"
IN_WHEEL = Path(__file__).with_name("remedies.csv")
MEASURED = REFERENCE if REFERENCE.is_file() else IN_WHEEL
"""Outcomes of the runs of study=remedies; without this file there is no finding. The wheel is built with a copy."""

ALIKE = {"cell": "rnn", "cell.nonlinearity": "tanh", "model.num_layers": 1, "truncation": None, "remedy": "none"}
"""What a run has in common with those of the study. It also has its loss at the last timestep alone."""

OPTIMIZER = "sgd"
"""The study's optimiser, which summary.csv does not name because it is the same in all runs."""

MOST_NAMED = 3
"""The largest number of remedies in a finding."""


class Helped(NamedTuple):
    """A remedy that helped in the study.

    Attributes:
        options: What to add to the command line, such as 'remedy=omega'.
        solved_at_step: Median over its runs of the first evaluated step at which the task was solved.
    """

    options: str
    solved_at_step: float


class Situation(NamedTuple):
    """Runs of the study that have the same gain and no remedy.

    Attributes:
        gain: Gain of the initialisation.
        without: Rows of these runs in summary.csv.
        all_vanish: Whether the gradient of each of them vanished before training.
        arriving: Smallest of their gradients' norms at the earliest timestep over that at the last, before training.
        helped: The clipping rules and remedies that helped, the fastest first.
    """

    gain: float
    without: pd.DataFrame
    all_vanish: bool
    arriving: float
    helped: list[Helped]


def say_remedy(run: Run, outcome: Mapping[str, Any]) -> str:
    """Name the remedies that helped in the study; empty if the run is not in its situation, or solved its task.

    A remedy helped if all of its runs solved the task and their gradient reached the first timestep at the last
    recorded step, while none of the runs without it solved the task.

    Args:
        run: A training, or a probe of an untrained network.
        outcome: Row of the run in summary.csv.
    """
    if not _is_alike(run) or outcome.get("solved") == 1:
        return ""
    fate = _fate(outcome, run.info["timesteps"])
    for situation in _situations(MEASURED, run.config.get("clip")):
        if _is_in_situation(fate, outcome, situation) and situation.helped:
            return _sentence(run, fate, situation)
    return ""


@cache
def _situations(path: Path, clip: Value) -> list[Situation]:
    """The situations of the study with a clipping rule; empty without the study's results."""
    if not path.is_file():
        return []
    found = []
    for gain, runs in pd.read_csv(path, keep_default_na=False, na_values=[""]).groupby("init.gain"):
        without = runs[(runs["clip"] == clip) & (runs["remedy"] == "none")]
        if without.empty:
            continue
        vanish = all(
            _fate({str(key): value for key, value in row.items()}, length) == "vanishes"
            for row, length in zip(without.to_dict("records"), without["task.length"], strict=True)
        )
        helped = sorted(_that_helped(runs, without), key=lambda one: one.solved_at_step)
        found.append(Situation(float(str(gain)), without, vanish, without["arriving_at_init"].min(), helped))
    return found


def _is_alike(run: Run) -> bool:
    """Whether a run has a network of the study's kind, without a remedy, and its loss at the last timestep alone.

    No remedy helps with task=noise, which nobody can learn.
    """
    of_trained = run.is_probe and run.info.get("checkpoint")
    same = all(run.config.get(key, value) == value for key, value in ALIKE.items())
    return same and run.info["readout_steps"] == 1 and run.config.get("task") != "noise" and not of_trained


def _fate(outcome: Mapping[str, Any], length: int) -> str:
    """What the gradient did before training; empty if it is not known."""
    reach, left = outcome.get("horizon_at_init"), outcome.get("arriving_at_init")
    return "" if reach is None or left is None or pd.isna(reach + left) else fate_of(reach, left, length)


def _is_in_situation(fate: str, outcome: Mapping[str, Any], situation: Situation) -> bool:
    """Whether the gradient vanished or exploded before training, and did so in the study's runs without a remedy."""
    grown = situation.arriving
    if fate == "vanishes":
        return situation.all_vanish
    return bool(fate in ("grows", "explodes") and grown > 10 and outcome["arriving_at_init"] >= grown)


def _that_helped(runs: pd.DataFrame, without: pd.DataFrame) -> Iterator[Helped]:
    """Yield the clipping rules and remedies that helped, beside the clipping that the run has."""
    if without["solved"].any():
        return
    clip = without["clip"].iloc[0]
    for (rule, remedy), those in runs.groupby(["clip", "remedy"]):
        is_further = rule == clip or clip == "none"
        reached = those["horizon"] >= those["task.length"] - 1
        if is_further and set(those["seed"]) == set(without["seed"]) and (those["solved"] == 1).all() and reached.all():
            new = {"clip": rule if rule != clip else "none", "remedy": remedy}
            options = " ".join(f"{key}={value}" for key, value in new.items() if value != "none")
            yield Helped(options, float(those["solved_at_step"].median()))


def _sentence(run: Run, fate: str, situation: Situation) -> str:
    without, helped = situation.without, situation.helped
    seeds, length = without["seed"].nunique(), int(without["task.length"].iloc[0])
    task, clip = without["task"].iloc[0], without["clip"].iloc[0]
    errors = " to ".join(f"{error:.0%}" for error in sorted({without["best_error"].min(), without["best_error"].max()}))
    named = ", ".join(f"{one.options} (median step {one.solved_at_step:.0f})" for one in helped[:MOST_NAMED])
    others = f", and {len(helped) - MOST_NAMED} more" if len(helped) > MOST_NAMED else ""
    differs = [
        f"{key}={mine}"
        for key, mine, theirs in (
            ("task", run.config.get("task"), task),
            ("task.length", run.info["timesteps"], length),
            ("optimizer", OPTIMIZER if run.is_probe else run.config.get("optimizer"), OPTIMIZER),
        )
        if mine != theirs
    ]
    unknown = f", but with {' '.join(differs)} it was not measured" if differs else ""
    return (
        f"before training the gradient {fate}, as in study=remedies (tanh rnn, {OPTIMIZER}, task={task}, "
        f"task.length={length}, init.gain={situation.gain:g}, clip={clip}, {counted(seeds, 'seed')}): there all runs "
        f"solved the task with {named}{others}, and none without (best error {errors}){unknown}"
    )
