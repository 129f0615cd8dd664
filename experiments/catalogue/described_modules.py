"""Modules that describe themselves: a figure or a claim a file, whose constants and functions fill in a dataclass."""

from dataclasses import fields
from types import ModuleType
from typing import Any


def read_constants(module: ModuleType, kind: type[Any]) -> dict[str, Any]:
    """What a module has of the fields of a dataclass: constants in capitals, functions as they are called."""
    return {
        field.name: getattr(module, spelling)
        for field in fields(kind)
        for spelling in (field.name.upper(), field.name)
        if hasattr(module, spelling)
    }
