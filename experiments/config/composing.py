"""The configuration of one run: composed by Hydra from overrides, and checked value by value."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from experiments.config.hydra_composer import DEFAULT_SCALE, open_composer
from experiments.config.hydra_keys import refuse_in_run
from experiments.config.schema import CHOICES, Config
from experiments.config.targets import check_arguments, find_target
from experiments.config.typed_values import Interpolated, validate, validation_explained
from experiments.errors import UsageError


def compose(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """Compose and check the configuration of one run.

    Args:
        overrides: KEY=VALUE, as on the command line.
        config_dir: Folder with the user's own choices.

    Raises:
        UsageError: An override is wrong; the message names the first one.
    """
    refuse_in_run(overrides)
    with open_composer(config_dir) as composer:
        ((cfg, choices),) = composer.compose_all([overrides])
    for override in overrides:
        if re.match(r"[+~]*(scale|scales|claims)\b", override) and override != f"scale={DEFAULT_SCALE}":
            raise UsageError(f"{override}: applies to all runs of a study; use `bptt sweep`")
    return check_values(cfg, choices)


def check_values(cfg: DictConfig, choices: Mapping[str, str]) -> Config:
    """Resolve what Hydra composed, and check the type of every value.

    Args:
        cfg: Composed configuration, after `without_study_keys`.
        choices: Name of the choice in each group.

    Raises:
        UsageError: A value does not validate; the message names the first one.
    """
    try:
        values: Any = OmegaConf.to_container(cfg, throw_on_missing=True)
        if "${" in str(values):
            values = _mark_interpolated(values, OmegaConf.to_container(cfg, resolve=True))
    except MissingMandatoryValue as error:
        raise UsageError(f"{error.full_key}: must be given; add {error.full_key}=VALUE") from None
    except OmegaConfBaseException as error:
        raise UsageError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    for group in CHOICES:
        if group in values:
            values[group] = {"name": choices[group], **_check_choice(group, values[group])}
    with validation_explained("", values):
        return validate(Config, values)


def from_saved(values: Mapping[str, Any]) -> Config:
    """Check the configuration that a run has saved in its `.hydra/config.yaml`.

    Raises:
        UsageError: This version of bptt, or this machine, cannot run it.
    """
    with validation_explained("", dict(values)):
        return validate(Config, values)


def _check_choice(group: str, node: Any) -> dict[str, Any]:
    """Check the arguments beside a `_target_` against the target's signature; 1 for a float becomes 1.0.

    Where the node is `_partial_`, arguments may be missing.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise UsageError(f"{group}={node}: must be one of the choices that `bptt list {group}` shows")
    target = find_target(f"{group}._target_", node["_target_"])
    given = {name: value for name, value in node.items() if name not in ("_target_", "_partial_")}
    checked = check_arguments(group, target, given, partial=bool(node.get("_partial_")))
    return {**node, **checked}


def _mark_interpolated(written: Any, resolved: Any) -> Any:
    """The resolved values, with each text that comes from an interpolation marked as `Interpolated`."""
    if isinstance(written, dict):
        return {key: _mark_interpolated(written[key], value) for key, value in resolved.items()}
    if isinstance(written, str) and "${" in written and isinstance(resolved, str):
        return Interpolated(resolved)
    return resolved
