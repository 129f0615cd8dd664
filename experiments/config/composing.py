"""TODO."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.hydra_adapter import SCALE, composing, of_run
from experiments.config.hydra_keys import refuse_in_run
from experiments.config.schema import CHOICES, Config
from experiments.config.targets import check_arguments, find_target
from experiments.config.typed_values import Interpolated, fit, one_line
from experiments.errors import UsageError


def compose(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """The checked configuration of one run.

    Raises:
        UsageError: the first thing that is wrong with it.
    """
    refuse_in_run(overrides)
    with composing(config_dir) as composer:
        cfg = composer.compose(overrides)
    for override in overrides:
        if re.match(r"[+~]*(scale|scales|claims)\b", override) and override != f"scale={SCALE}":
            raise UsageError(f"{override}: is of all runs of a study; `bptt sweep` makes them")
    return check(of_run(cfg), cfg.hydra.runtime.choices)


def check(cfg: DictConfig, choices: Mapping[str, str]) -> Config:
    """Resolve what Hydra composed, and hold every value against the type of what it is for.

    Args:
        cfg: `of_run` of the composed configuration.
        choices: the name that was chosen in each group.

    Raises:
        UsageError: the first value that does not fit.
    """
    try:
        values: Any = OmegaConf.to_container(cfg, throw_on_missing=True)
        if "${" in str(values):
            values = _marked(values, OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise UsageError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    for group in CHOICES:
        if group in values:
            values[group] = {"name": choices[group], **_check_target(group, values[group])}
    with one_line("", values):
        return fit(Config, values)


def from_saved(values: Mapping[str, Any]) -> Config:
    """A run's configuration from its own saved `.hydra/config.yaml`.

    Raises:
        UsageError: this version, or this machine, cannot make it.
    """
    with one_line("", dict(values)):
        return fit(Config, values)


def _check_target(key: str, node: Any) -> dict[str, Any]:
    """Hold the arguments in a `_target_` node against the types in the target's signature; 1 for a float becomes 1.0.

    An argument may be missing where the node is `_partial_`.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise UsageError(f"{key}={node}: is a choice with a _target_; `bptt list {key}` shows them")
    target = find_target(f"{key}._target_", node["_target_"])
    given = {name: value for name, value in node.items() if name not in ("_target_", "_partial_")}
    checked = check_arguments(key, target, given, partial=bool(node.get("_partial_")))
    return {**node, **checked}


def _marked(written: Any, resolved: Any) -> Any:
    """The resolved values, in which the texts that interpolations gave are `Interpolated`."""
    if isinstance(written, dict):
        return {key: _marked(written[key], value) for key, value in resolved.items()}
    if isinstance(written, str) and "${" in written and isinstance(resolved, str):
        return Interpolated(resolved)
    return resolved
