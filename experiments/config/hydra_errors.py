"""Hydra's error messages in one line: which override is wrong, and what to do about it."""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import yaml
from hydra import compose
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from experiments.catalogue.choices import choices, groups
from experiments.catalogue.key_comments import options
from experiments.config.hydra_keys import is_of_hydra
from experiments.config.optional_packages import how_to_install
from experiments.config.overrides import normalize_overrides
from experiments.errors import UsageError

EXTRAS = {"optuna": "optuna", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""Extra of pyproject.toml that installs a launcher or sweeper."""


@contextmanager
def explained(overrides: Sequence[str]) -> Iterator[None]:
    """Turn Hydra's errors about these overrides into a UsageError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError) as error:
        raise UsageError(explain(error, overrides)) from None


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """Explain an error of Hydra in one line: KEY=VALUE, what is wrong with it, and what to do."""
    message = str(error)
    if found := re.search(r"Could not find 'hydra/(launcher|sweeper)/(\w+)'", message):
        part, name = found.groups()
        if name in EXTRAS:
            return f"hydra/{part}={name}: is not installed; {how_to_install(EXTRAS[name])}"
        return f"hydra/{part}={name}: there is no such {part}"
    if found := re.search(r"Could not find '(\w+)/(.*)'\n\nAvailable options in '\w+':\n((?:\t.*\n)*)", message):
        group, choice, options = found.groups()
        return f"{group}={choice}: there is no such {group}; choose from {', '.join(options.split())}"
    if found := re.search(r"Could not override '([^']*)'", message):
        return explain_unknown_key(found[1], overrides)
    if found := re.search(r"Ambiguous value for argument '(.*)'\n|Sweep parameters '(.*)' requires", message):
        return f"{found[1] or found[2]}: several values are a sweep; `bptt sweep` runs them all"
    if found := re.search(
        r"Could not delete from config. (?:The value of '.*' is (.*) and not|'.*' does not exist)", message
    ):
        override = next((o for o in overrides if o.startswith("~")), "~")
        key = override[1:].partition("=")[0]
        return f"{override}: {key} is {found[1]}" if found[1] else f"{override}: there is no such key"
    if found := re.search(r"Could not append to config. An item is already at '([^']*)'", message):
        return f"+{found[1]}: the key exists; leave out the +"
    if found := re.search(r"Error merging override (~.*)", message):
        return f"{found[1]}: a whole group of keys cannot be deleted; delete single keys: {found[1].strip()}.KEY"
    if nameless := next((override for override in overrides if override.startswith("=")), ""):
        return f"{nameless}: there is no key before the ="
    if isinstance(error, OverrideParseException):
        if str(error.override).endswith("\r"):
            return f"{error.override}: ends with a carriage return; save the script with Unix line endings"
        if meant := _meant_by_word(str(error.override)):
            return f"{error.override}: is not of the form KEY=VALUE; {meant}"
        return (
            f"{error.override}: is not of the form KEY=VALUE; "
            "quote a value that has spaces or special characters: KEY='\"a b\"'"
        )
    lines = message.splitlines() or [type(error).__name__]
    lines = [line.strip() for line in lines if line.strip(" ^")]
    return " ".join(line for line in lines if not line.startswith(("See http", "full_key:", "object_type=")))


def _meant_by_word(word: str) -> str:
    """What would do in place of a word that is the name of a group or of a choice; empty if it is neither."""
    if word in groups():
        return f"`bptt list {word}` prints the choices, and {word}=NAME takes one"
    having = [group for group in groups() if word in choices(group)]
    return f"did you mean {' or '.join(f'{group}={word}' for group in having)}?" if having else ""


def explain_unknown_key(key: str, overrides: Sequence[str]) -> str:
    """Say that a key does not exist, and which one may be meant. Call it while Hydra is set up."""
    override = next((o for o in overrides if re.match(rf"\+*{re.escape(key)}=", o)), key)
    return f"{override}: there is no such key{_suggest_key(key, [o for o in overrides if o != override])}"


def _suggest_key(key: str, others: Sequence[str]) -> str:
    """Suggest an existing key; none of Hydra's own, of which there are too many."""
    if is_of_hydra(key):
        return ""
    try:
        cfg = compose("config", normalize_overrides(others, None))
    except (HydraException, OmegaConfBaseException, ValueError, UsageError):
        return ""
    keys = flat_keys(cfg)
    owner, owners = _choices_with(key)
    if owner != key and (near := difflib.get_close_matches(key, [*groups(), *keys], n=1, cutoff=0.75)):
        return f"; did you mean {near[0]}?"
    group = key.rpartition(".")[0]
    if group not in cfg:
        inside = [k for k in keys if k.endswith(f".{key}")]
        return f"; did you mean {' or '.join(inside)}?" if inside else "; `bptt show` lists all keys"
    here = [k for k in keys if k.startswith(f"{group}.")]
    chosen = next((o for o in others if o.startswith(f"{group}=")), f"the default {group}")
    has = f"has {', '.join(here)}" if here else "takes no options"
    others_have = f"; {group}={', '.join(owners)} {'has' if len(owners) == 1 else 'have'} {owner}" if owners else ""
    return f"; {chosen} {has}{others_have}"


def _choices_with(key: str) -> tuple[str, list[str]]:
    """The option of the choices in a group that is called like a key or nearly so, and which choices have it."""
    group = key.partition(".")[0]
    if group == "study" or group not in groups():
        return "", []
    having = {name: [option.key for option in options(group, name)] for name in choices(group)}
    near = difflib.get_close_matches(key, {option for of_one in having.values() for option in of_one}, n=1, cutoff=0.75)
    return (near[0], [name for name, of_one in having.items() if near[0] in of_one]) if near else ("", [])


def flat_keys(cfg: DictConfig, prefix: str = "") -> list[str]:
    """The dotted keys that hold values, such as 'clip.threshold'; keys that begin with '_' are left out."""
    keys = []
    for name, value in cfg.items_ex(resolve=False):
        key = str(name)
        if isinstance(value, DictConfig):
            keys += flat_keys(value, f"{prefix}{key}.")
        elif not key.startswith("_"):
            keys.append(f"{prefix}{key}")
    return keys
