"""TODO."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain

from experiments.catalogue.choices import cell_order
from experiments.errors import UsageError
from experiments.store.files import Value
from experiments.store.studies import Run


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """The configuration keys that have several values among those runs that have them, in the order of the config."""
    missing = object()
    configs = [run.config for run in runs]
    return [
        key
        for key in dict.fromkeys(chain.from_iterable(configs))
        if len({config.get(key, missing) for config in configs} - {missing}) > 1
    ]


def compared_keys(runs: Sequence[Run]) -> list[str]:
    """The keys that tell the runs apart: those that differ, but not the seed, nor options that only follow a choice.

    clip.threshold does, where it has one value for each choice of clip; so does every key that follows the study.
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


def select(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """The runs that meet all of some conditions KEY=VALUE or KEY=VALUE,VALUE, spelled as an override may be.

    Raises:
        UsageError: A condition has another form, or a value that no run has.
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
    """Whether a text is one way to write a value: 1e-3 and 0.001 for 0.001, false and False for False."""
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
    """Numbers by size, before words."""
    return (False, value, "") if isinstance(value, int | float) else (True, 0, format_value(value))


def format_value(value: Value) -> str:
    """A configuration's value as it is written in figures and tables."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


NAMING_THEMSELVES = ("cell", "task", "study")


def titled(key: str, value: Value) -> str:
    """A key with its value, for a title; the name of a cell, a task or a study says what it is."""
    return format_value(value) if key in NAMING_THEMSELVES else f"{key} = {format_value(value)}"


def is_number(value: Value) -> bool:
    """Whether a key's value is a number; yes and no are words."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_seed(key: str) -> bool:
    """Whether runs that differ in the key are repetitions of each other."""
    return key.rpartition(".")[2] == "seed"


def rank(value: Value) -> tuple[int, float, str]:
    """'none' and missing values first, then numbers by size, then words as they are, cells in the order of history."""
    if value is None or value == "none":
        return 0, 0, ""
    if isinstance(value, int | float):
        return 1, value, ""
    return 2, cell_order().get(str(value), len(cell_order())), str(value)
