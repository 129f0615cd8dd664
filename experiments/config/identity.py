"""The identity of a run: which settings its id stands for, today and in later versions.

A run's id is a hash of the settings that its results depend on. It must stay the same when a later version adds a
setting that changes nothing unless it is used. Therefore a setting counts only where it differs from *the default in
the code*: the default of a field of `Config`, or of an argument in the signature of one of our own classes and
functions. Defaults in YAML files do not matter; they may change at any time.

For this to hold, a default in the code is a promise: it means 'as if the setting did not exist', and it never changes.
`tests/experiments/config/promised_defaults.json` lists all of them, and a test compares.
"""

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import lru_cache
from pydoc import locate
from typing import Any

OWN = ("models.", "experiments.")
"""Our own classes and functions. The default of anybody else's argument promises nothing, so it always counts."""


def digest_of(settings: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits of the SHA-256 of some settings, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


def without_defaults(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A choice's `_target_` and the arguments that differ from the defaults in its signature."""
    defaults = _defaults(choice["_target_"]) if choice["_target_"].startswith(OWN) else {}
    return {name: value for name, value in choice.items() if name not in defaults or value != defaults[name]}


@lru_cache
def _defaults(target: str) -> dict[str, Any]:
    """The defaults in the signature of a class or function; empty if it cannot be found."""
    found = locate(target)
    if not callable(found):
        return {}
    parameters = inspect.signature(found).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}
