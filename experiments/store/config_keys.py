"""The configuration keys of runs: which ones differ, selecting runs by them, and how values are shown and sorted."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain

from experiments.catalogue.choices import cell_order
from experiments.errors import UsageError
from experiments.store.files import Value
from experiments.store.studies import Run

PART_OF_THE_RUN = ("record.evaluate_every", "record.evaluate_samples")
"""The keys of `record` that a run's results depend on."""


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """Find the configuration keys with more than one value, among the runs that have the key, in the config's order.

    What was recorded of a run does not make it another one.
    """
    missing = object()
    configs = [run.config for run in runs]
    return [
        key
        for key in dict.fromkeys(chain.from_iterable(configs))
        if (not key.startswith("record.") or key in PART_OF_THE_RUN)
        and len({config.get(key, missing) for config in configs} - {missing}) > 1
    ]


def compared_keys(runs: Sequence[Run]) -> list[str]:
    """Find the keys that tell the runs apart: those that differ, except the seed and options that follow a choice.

    clip.threshold follows if it has a single value for each choice of clip. A key with a single value for each study
    follows the study.
    """

    def follows(key: str, leader: str) -> bool:
        by_choice: dict[Value, set[Value]] = {}
        for run in runs:
            by_choice.setdefault(run.config.get(leader), set()).add(run.config.get(key))
        return leader != key and len(by_choice) > 1 and all(len(values) == 1 for values in by_choice.values())

    return [
        key
        for key in differing_keys(runs)
        if key != "seed" and not follows(key, key.partition(".")[0]) and not follows(key, "study")
    ]


def select_runs(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """Select the runs that meet all conditions.

    Args:
        runs: Runs to choose from.
        conditions: Conditions of the form KEY=VALUE or KEY=VALUE,VALUE; a value may be spelled as in an override.

    Raises:
        UsageError: A condition does not have this form, or no run has its key or value.
    """
    chosen = list(runs)
    for condition in conditions:
        key, equals, text = condition.partition("=")
        values = list(dict.fromkeys(run.config.get(key) for run in chosen))
        if not equals:
            raise UsageError(f"--where {condition}: is not of the form KEY=VALUE")
        if not any(key in run.config for run in runs):
            raise UsageError(f"--where {condition}: no run has the key {key}; `bptt show` prints them")
        wanted: set[Value] = set()
        alternatives = [text] if any(is_spelled(value, text) for value in values) else text.split(",")
        for alternative in alternatives:
            meant = {value for value in values if is_spelled(value, alternative.strip())}
            if not meant:
                known = ", ".join(map(format_value, sorted(values, key=_in_order)))
                raise UsageError(f"--where {condition}: no run has {key}={alternative.strip()}; {key} is {known}")
            wanted |= meant
        chosen = [run for run in chosen if run.config.get(key) in wanted]
    return chosen


def is_spelled(value: Value, text: str) -> bool:
    """Whether a text spells a value: both 1e-3 and 0.001 spell 0.001, both false and False spell False."""
    text = text.strip("'\"")
    if text == format_value(value):
        return True
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        with suppress(ValueError):
            return float(text) == value
    return value is None and text.lower() == "null"


def _in_order(value: Value) -> tuple[bool, float, str]:
    """Sort key: numbers by size, before words."""
    return (False, value, "") if isinstance(value, int | float) else (True, 0, format_value(value))


def format_value(value: Value) -> str:
    """Format a configuration value for figures and tables."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


SELF_EXPLANATORY = ("cell", "task", "study")
"""Keys whose values need no key beside them in a title."""


def titled(key: str, value: Value) -> str:
    """Format a key with its value for a title; a cell, a task or a study is named without its key."""
    return format_value(value) if key in SELF_EXPLANATORY else f"{key} = {format_value(value)}"


def is_number(value: Value) -> bool:
    """Whether a configuration value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_seed(key: str) -> bool:
    """Whether runs that differ only in this key are repetitions of each other."""
    return key.rpartition(".")[2] == "seed"


def rank(value: Value) -> tuple[int, float, str]:
    """Sort key of configuration values: none first, then numbers by size, then cells by year, then other words."""
    if value is None or value == "none":
        return 0, 0, ""
    if isinstance(value, int | float):
        return 1, value, ""
    return 2, cell_order().get(str(value), len(cell_order())), str(value)
