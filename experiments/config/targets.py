"""The Python object that a choice's `_target_` names: imported, and its arguments checked against its annotations."""

import inspect
import json
import sys
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from types import SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError

from bptt_start import PACKAGES
from experiments.config.typed_values import Section, validate, validation_explained
from experiments.errors import UsageError
from models.address import ErrorDuringImport, locate

HYDRAS_OWN = ("_target_", "_partial_", "_recursive_", "_convert_")
"""What Hydra itself reads where it instantiates an object; everything else is an argument."""


def find_target(key: str, name: str) -> Callable[..., Any]:
    """Import the object that a `_target_` names.

    Args:
        key: Key whose value the name is, for messages.
        name: A dotted path, such as 'torch.optim.AdamW'.

    Raises:
        UsageError: The object does not exist, or its module cannot be imported.
    """
    try:
        target: Callable[..., Any] | None = locate(name)  # type: ignore[assignment]
    except ErrorDuringImport as error:
        missing = getattr(error.value, "name", None) if isinstance(error.value, ModuleNotFoundError) else None
        hint = f"; {_where_python_looks(missing)}" if missing and missing.partition(".")[0] in PACKAGES else ""
        raise UsageError(f"{key}={name}: {error}{hint}") from error
    if not callable(target):
        raise UsageError(f"{key}={name}: cannot be found; {_where_python_looks(name)}")
    return target


def _where_python_looks(name: str) -> str:
    """Say where Python looks for a dotted name, which may not be where the user expects."""
    first = name.partition(".")[0]
    if first in PACKAGES:
        return f"{first} is bptt's own package, so your folder needs another name, such as my_{first}"
    if first in sys.modules:
        place = getattr(sys.modules[first], "__file__", None) or "a built-in module of Python"
        return f"{first} is {place}; if you mean another module, give it another name"
    return "is its module in or beside --config-dir, or on PYTHONPATH?"


def check_arguments(key: str, target: Callable[..., Any], given: Mapping[str, Any], *, partial: bool) -> dict[str, Any]:
    """Check arguments from a YAML file against the annotations of a class or function; 1 for a float becomes 1.0.

    An argument is not checked if its annotation is missing, cannot be resolved, or is a type that pydantic does not
    know, such as a tensor. An argument that has a `_target_` of its own, such as one of several remedies, is checked
    against that target in the same way.

    Args:
        key: Name of the group, for messages.
        target: Class or function that the arguments are for.
        given: Arguments by name.
        partial: Whether more arguments follow when the target is called.

    Raises:
        UsageError: A value does not validate or is missing, or there is no such argument.
    """
    plain = frozenset(name for name, value in given.items() if not _is_object(value))
    arguments = _arguments(target, plain, frozenset(given), partial)
    hint = "" if partial or key == "task" or "." in key else ", or `_partial_: true` in its YAML"
    for name in arguments.model_fields.keys() - given.keys():
        raise UsageError(f"{key}.{name}: needs a value{hint}")
    with validation_explained(f"{key}.", dict(given)):
        try:
            checked = validate(arguments, given)
        except ValidationError:  # in JSON mode, a list also fits a tuple, and a text a path
            checked = arguments.model_validate_json(json.dumps(dict(given), default=str))
    for name, value in given.items():
        if isinstance(value, dict) and "_target_" in value and "_args_" not in value:
            inner = find_target(f"{key}.{name}._target_", value["_target_"])
            options = {option: of for option, of in value.items() if option not in HYDRAS_OWN}
            # Only checked: a run's identity has these values as they were given.
            check_arguments(f"{key}.{name}", inner, options, partial=bool(value.get("_partial_")))
    return {name: _plain(getattr(checked, name)) for name in given}


def _is_object(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_object, value))
    return isinstance(value, dict) and ("_target_" in value or any(map(_is_object, value.values())))


def _plain(value: Any) -> Any:
    """Convert a value to the types that a YAML file can hold."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, bool | int | float | str | None) else str(value)


@lru_cache
def _arguments(
    target: Callable[..., Any], checked: frozenset[str], given: frozenset[str], partial: bool
) -> type[Section]:
    """A pydantic model of the target's given and required arguments; cached, since a sweep asks for few of them."""
    fields: dict[str, Any] = {}
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return create_model("Arguments", __base__=Section, **(fields | dict.fromkeys(given, (Any, ...))))
    for name, parameter in parameters.items():
        needed = parameter.default is parameter.empty and not partial
        if name in given or (needed and parameter.kind is parameter.POSITIONAL_OR_KEYWORD):
            fields[name] = (_annotation(target, name) if name in checked else Any, ...)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        fields |= dict.fromkeys(given - parameters.keys(), (Any, ...))
    return create_model("Arguments", __base__=Section, **fields)


def _annotation(target: Callable[..., Any], name: str) -> Any:
    """The type of an argument; Any where it is unknown."""
    function: Any = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    alone = SimpleNamespace(__annotations__={name: getattr(function, "__annotations__", {}).get(name, Any)})
    try:
        return _checkable(get_type_hints(alone, getattr(function, "__globals__", {}), include_extras=True)[name])
    except Exception:  # evaluating an annotation may raise anything
        return Any


def _checkable(hint: Any) -> Any:
    """The part of a type that pydantic can check: float of `float | Tensor`; Any if there is none."""
    try:
        TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError):
        parts = [_checkable(part) for part in get_args(hint)]
        if get_origin(hint) in (Union, UnionType):
            known = tuple(part for part in parts if part is not Any)
            return Union[known] if known else Any  # noqa: UP007
        return typing.cast(Any, get_origin(hint))[tuple(parts)] if get_origin(hint) in (tuple, list, dict) else Any
    return hint
