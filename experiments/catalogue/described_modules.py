"""Modules that describe one figure or one claim each: their constants and functions fill in a dataclass."""

from dataclasses import fields
from types import ModuleType
from typing import Any


def read_constants(module: ModuleType, kind: type[Any]) -> dict[str, Any]:
    """Read the fields of a dataclass from a module: constants in capitals, functions under the field's own name."""
    return {
        field.name: getattr(module, spelling)
        for field in fields(kind)
        for spelling in (field.name.upper(), field.name)
        if hasattr(module, spelling)
    }
