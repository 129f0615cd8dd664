"""The identity of a run: the settings that its id depends on, now and in later versions.

The id of a run is a hash of the settings that its results depend on. It must stay the same when a later version adds a
setting that changes nothing unless it is used. Therefore a setting counts only if it differs from *the default in the
code*: the default of a field of `Config`, or of an argument in the signature of one of our own classes and functions.
Defaults in YAML files do not matter and may change at any time.

A default in the code is therefore a promise: it means 'as if the setting did not exist', and it never changes. The file
`tests/experiments/config/promised_defaults.json` lists all such defaults, and a test compares them with the code.
"""

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from models.address import locate

if TYPE_CHECKING:
    from experiments.config.schema import Config

OWN = ("models.", "experiments.")
"""Prefixes of our own classes and functions. Defaults in other code may change, so their arguments always count."""


def run_id(config: "Config", *, earlier: bool = False) -> str:
    """A readable name and a digest of all settings that the results depend on. It is the same in every study.

    Args:
        config: Configuration of the run.
        earlier: Whether to return the id that version 1 gave the run. It also depended on what was recorded, because
            recording changed the last digits of the training then.
    """
    settings = settings_that_count(config)
    if earlier:
        record = config.record.model_dump(exclude={"tensorboard"}, exclude_defaults=True)
        settings["record"] = {name: value for name, value in record.items() if value is not False}
    names = [config.cell["name"], config.task["name"], config.clip["name"]]
    return "-".join([*names, f"seed{config.seed}", digest_of(settings)])


def probe_id(config: "Config", *, earlier: bool = False) -> str:
    """The id of the run, preceded by a digest of the settings in `probe` that differ from their defaults."""
    settings = config.probe.model_dump(exclude_defaults=True)
    return "-".join([*([digest_of(settings)] if settings else []), run_id(config, earlier=earlier)])


def settings_that_count(config: "Config") -> dict[str, Any]:
    """The settings that distinguish a run from others.

    What is recorded, and how often, does not count: it changes nothing in the training.
    """
    elsewhere = {"study", "results_dir", "checkpoint_seconds", "probe", "record"}
    settings = config.model_dump(exclude=elsewhere, exclude_defaults=True)
    settings["record"] = config.record.model_dump(include={"evaluate_every", "evaluate_samples"})
    if not config.flushes_denormals:
        settings.pop("flush_denormals", None)
    choices = {
        name: without_defaults(value)
        for name, value in settings.items()
        if isinstance(value, dict) and "_target_" in value
    }
    return settings | choices


def digest_of(settings: Mapping[str, Any]) -> str:
    """The first ten hexadecimal digits of the SHA-256 of some settings. The order of the settings does not matter."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


def without_defaults(choice: Mapping[str, Any]) -> dict[str, Any]:
    """The `_target_` of a choice and the arguments that differ from the defaults in the target's signature."""
    defaults = _defaults(choice["_target_"]) if choice["_target_"].startswith(OWN) else {}
    return {name: value for name, value in choice.items() if name not in defaults or value != defaults[name]}


@lru_cache
def _defaults(target: str) -> dict[str, Any]:
    """The defaults in the signature of a class or function; empty if it is not found."""
    found = locate(target)
    if not callable(found):
        return {}
    parameters = inspect.signature(found).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}
