"""Hydra's grammar of overrides, with ranges that hold the values one would write: 0.1, 0.2, 0.3."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from math import ceil, isfinite
from typing import Any

from hydra._internal.grammar import grammar_functions
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep


def parse_overrides(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Parse KEY=VALUE overrides; lists and ranges are not yet expanded.

    Raises:
        hydra.errors.OverrideParseException: An override does not follow the grammar.
        ValueError: A range has no end.
    """
    parser = OverridesParser.create(loader)
    parser.functions.functions["sort"] = _sort
    parsed = parser.parse_overrides(list(overrides))
    return [replace(o, _value=_exact(o)) if isinstance(o._value, RangeSweep) else o for o in parsed]


def parse_value(text: str) -> Any:
    """The value that a text has in an override: '7' is a number, 'true' a switch.

    Raises:
        hydra.errors.HydraException: The text does not follow the grammar.
    """
    return OverridesParser.create().parse_override(f"key={text}").value()


def _exact(override: Override) -> RangeSweep:
    """Let a range of floats count in decimal: in binary, 0.1 + 0.2 is 0.30000000000000004."""
    found = override._value
    assert isinstance(found, RangeSweep)
    numbers: list[Any] = [found.start, found.stop, found.step]
    if not all(map(isfinite, numbers)) or not found.step:
        raise ValueError(f"{override.input_line}: a range needs finite bounds and a step other than 0")
    if any(isinstance(number, float) for number in numbers):
        numbers = [Decimal(str(number)) for number in numbers]
    start, stop, step = numbers
    return replace(found, start=start, stop=stop, step=step)


def _sort(*args: Any, reverse: bool = False, **named: Any) -> Any:
    """Hydra's `sort`, but a range keeps its values; Hydra 1.3 sorts range(1,6,3) into 3 and 0."""
    (found,) = args if len(args) == 1 else [named.get("sweep")]
    if not isinstance(found, RangeSweep):
        return grammar_functions.sort(*args, reverse=reverse, **named)
    start, stop, step = (Decimal(str(number)) for number in (found.start, found.stop, found.step))
    if not step or not all(map(isfinite, (start, stop, step))) or (step < 0) == reverse:
        return found
    number = ceil((stop - start) / step)
    kind = int if isinstance(found.start, int) and isinstance(found.step, int) else float
    turned = (start + (number - 1) * step, start - step, -step)
    return replace(found, start=kind(turned[0]), stop=kind(turned[1]), step=kind(turned[2]))
