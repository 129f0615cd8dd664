"""Typed values: how strictly a configuration is checked, and the message about a value that does not validate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from hydra.errors import HydraException
from pydantic import BaseModel, ConfigDict, ValidationError

from experiments.config.hydra_internals import parse_value
from experiments.errors import UsageError


class Interpolated(str):
    """A text that comes from an interpolation: `${oc.env:SEED}` is always text, even where a number is meant."""


class Section(BaseModel):
    """Strictly typed values: '5' is not a number, 5.0 is not a whole number, and unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def validate(section: type[S], values: Mapping[str, Any]) -> S:
    """Fill in a section. A text from an interpolation may also be parsed as the value of an override.

    Raises:
        ValidationError: A value does not validate.
    """
    try:
        return section(**values)
    except ValidationError as error:
        misfits = [found["loc"] for found in error.errors() if isinstance(found["input"], Interpolated)]
        if not misfits:
            raise
        for location in misfits:
            values = _read(values, location)
        return section(**values)


def _read(value: Any, location: tuple[int | str, ...]) -> Any:
    """The values, with the text at one place parsed as the value of an override."""
    if isinstance(value, Mapping):
        name, *inside = location
        return {**value, name: _read(value[name], tuple(inside))}
    with suppress(HydraException):
        return parse_value(value)
    return value


@contextmanager
def validation_explained(prefix: str, values: dict[str, Any]) -> Iterator[None]:
    """Turn pydantic's error about the first wrong value into one line: KEY=VALUE: must be ..."""
    try:
        yield
    except ValidationError as error:
        first, *others = error.errors()
        key = prefix + _key(first["loc"], values)
        if first["type"] == "missing":
            raise UsageError(f"{key}: needs a value") from None
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{key}: there is no such key") from None
        same = [first] + [other for other in others if prefix + _key(other["loc"], values) == key]
        given = first["input"]
        wanted = dict.fromkeys(_wanted(part["msg"], given) for part in same)
        is_text = isinstance(given, str) and not isinstance(given, Interpolated) and given[:1].isdigit()
        raise UsageError(f"{key}={repr(given) if is_text else given}: must be {' or '.join(wanted)}") from None


def _key(location: tuple[int | str, ...], values: Any) -> str:
    """The dotted key of an error; pydantic also names the member of a union that it tried, which is left out."""
    names = [str(location[0])]
    for value, name in zip([values.get(location[0])], location[1:], strict=False):
        if isinstance(value, dict):
            names.append(str(name))
    return ".".join(names)


def _wanted(message: str, given: Any) -> str:
    """What pydantic expects, in words that suit a configuration file."""
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return (
        message.replace("valid array", f"list, such as [{given}]")
        .replace("valid integer", "whole number")
        .replace("a valid boolean", "true or false")
        .replace("valid number", "number")
        .replace("valid string", "text")
        .replace("String should have at least 1 character", "not empty")
    )
