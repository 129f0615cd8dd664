"""From KEY=VALUE overrides to what Hydra composes of them, and from Hydra's errors to one line."""

import copy
import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import takewhile
from pathlib import Path
from unittest.mock import patch

import yaml
from hydra import compose, initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, OverrideParseException
from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.catalogue.choices import check_files, choices, groups
from experiments.catalogue.measures import measures
from experiments.config.extras import how_to_install
from experiments.config.grammar import parse_overrides
from experiments.config.hydra_keys import is_of_hydra, refuse_in_study
from experiments.errors import UsageError

OF_STUDIES = ("hydra", "scale", "scales", "claims")
"""The keys of a configuration that say which runs there are, and what is claimed of them."""

SCALE = "small"
"""That every study has."""

PLUGINS = {"optuna": "optuna", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""The extra that brings a launcher or sweeper."""


class Composer:
    """Composes overrides within `composing`.

    Args:
        config_dir: a folder with the user's own groups and choices.
    """

    def __init__(self, config_dir: Path | None) -> None:
        self.config_dir = config_dir

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Hydra's configuration, its own node `hydra` included.

        Raises:
            UsageError: what Hydra does not accept.
        """
        overrides = [*search_path(self.config_dir), *name_study(overrides, self.config_dir)]
        with explained(overrides):
            return compose("config", overrides, return_hydra_config=True)

    def compose_all(self, points: Iterable[Sequence[str]]) -> Iterator[tuple[DictConfig, Mapping[str, str]]]:
        """What `of_run` is of each point's configuration, and its choices; what points share is composed once.

        Hydra composes the choices, then sets values in what came of it; this does no other, but the first part, which
        takes nearly all of the time, only once for the same choices.

        Raises:
            UsageError: what Hydra does not accept.
        """
        composed: dict[tuple[str, ...], tuple[DictConfig, Mapping[str, str]]] = {}
        known = set(groups(self.config_dir))
        parse = cache(lambda override: self.parse([override]))
        for point in points:
            parsed = [o for override in point for o in parse(override)]
            values = [o for o in parsed if o.type is OverrideType.CHANGE and o.key_or_group not in known]
            values = [o for o in values if o.package is None and not is_of_hydra(o.key_or_group)]
            rest = [str(o.input_line) for o in parsed if o not in values]
            if not all(override.partition("=")[0] in known for override in rest):
                values, rest = [], list(point)  # '+x=1', '~clip' and the like: their order counts
            if tuple(rest) not in composed:
                cfg = self.compose(rest)
                composed[tuple(rest)] = of_run(cfg), cfg.hydra.runtime.choices
            common, chosen = composed[tuple(rest)]
            cfg = copy.deepcopy(common)
            with explained(point):
                ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
            yield cfg, chosen

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """The overrides as Hydra's grammar reads them, lists and ranges not yet expanded.

        Raises:
            UsageError: one that is not of the grammar.
        """
        overrides = name_study(overrides, self.config_dir)
        with explained(overrides):
            return parse_overrides(overrides, GlobalHydra.instance().config_loader())


def of_run(cfg: DictConfig) -> DictConfig:
    """The part of a configuration that a single run depends on, which is much the smaller one."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in OF_STUDIES])
    OmegaConf.set_struct(own, True)
    return own


@contextmanager
def composing(config_dir: Path | None = None) -> Iterator[Composer]:
    """Keep Hydra set up to compose, which costs more than composing once."""
    if config_dir is not None:
        check_files(config_dir)
    switches = dict.fromkeys(measures(config_dir), False)
    ConfigStore.instance().store(group="measures", name="off", node=switches, package="record")
    header = patch.object(ConfigSource, "_get_header_dict", staticmethod(_read_header))
    with initialize_config_module("conf", version_base="1.3"), header:
        yield Composer(config_dir)


_read_hydras_header = ConfigSource._get_header_dict


def _read_header(text: str) -> dict[str, str | None]:
    """The `# @package` line of a YAML file, which Hydra itself reads only where no other comment is above it."""
    above = takewhile(lambda line: not line.strip() or line.lstrip().startswith("#"), text.splitlines())
    return _read_hydras_header("\n".join(line for line in above if re.match(r"\s*#\s*@package\s", line)))


def search_path(config_dir: Path | None) -> list[str]:
    """The override that lets Hydra find the user's own choices."""
    return [] if config_dir is None else [f"hydra.searchpath=['file://{config_dir.resolve()}']"]


def extend_path(config_dir: Path | None) -> None:
    """Let Python find the user's own modules, beside or in their config folder, after ours."""
    if config_dir is not None:
        sys.path += [
            folder for folder in map(str, (config_dir.resolve(), config_dir.resolve().parent)) if folder not in sys.path
        ]


def name_study(overrides: Sequence[str], config_dir: Path | None) -> list[str]:
    """Let `study=NAME` name a study of the user's own: where it is no choice of the group, it becomes `study.name`.

    Raises:
        UsageError: a name that is nearly one of the choices, or several names.
    """
    studies = choices("study", config_dir)
    named = []
    for override in map(_with_home, map(_adding, overrides)):
        key, _, value = override.partition("=")
        name = value.strip("'\"")
        if key == "study" and name in studies:
            refuse_in_study(studies[name])
        is_quoted = key == "study.name" and re.fullmatch(r"(['\"]).*\1", value)
        if key not in ("study", "study.name") or is_quoted or (key == "study" and name in studies):
            named.append(override)
            continue
        if "," in name:
            raise UsageError(f"{override}: a study has one name")
        meant = [study for study in studies if study != "none"]
        if key == "study" and (near := difflib.get_close_matches(name, meant, n=1, cutoff=0.75)):
            raise UsageError(f"{override}: did you mean study={near[0]}? To call your own study so: study.name={name}")
        named.append(f"study.name={quoted(name)}")
    return named


def _adding(override: str) -> str:
    """An axis of a grid in Hydra's own words, hydra.sweeper.params.KEY=..., whether or not the study has it."""
    return re.sub(r"^\+?(?=hydra\.sweeper\.params\b)", "++", override)


def _with_home(override: str) -> str:
    """KEY=~/x as bash reads it: other shells leave the ~, which Hydra's grammar does not have."""
    key, _, value = override.partition("=")
    return f"{key}={quoted(os.path.expanduser(value))}" if value.startswith("~/") or value == "~" else override


def quoted(text: str) -> str:
    """A text as Hydra's grammar reads it, whatever is in it."""
    return "'" + text.replace("'", r"\'") + "'"


@contextmanager
def explained(overrides: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra has to say of overrides into a UsageError."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError) as error:
        raise UsageError(_explain(error, overrides)) from None


def _explain(error: Exception, overrides: Sequence[str]) -> str:
    """One line: key=value, and what would do."""
    message = str(error)
    if found := re.search(r"Could not find 'hydra/(launcher|sweeper)/(\w+)'", message):
        part, name = found.groups()
        if name in PLUGINS:
            return f"hydra/{part}={name}: is not installed; {how_to_install(PLUGINS[name])}"
        return f"hydra/{part}={name}: there is no such {part}"
    if found := re.search(r"Could not find '(\w+)/(.*)'\n\nAvailable options in '\w+':\n((?:\t.*\n)*)", message):
        group, choice, options = found.groups()
        return f"{group}={choice}: there is no such {group}; choose from {', '.join(options.split())}"
    if found := re.search(r"Could not override '([^']*)'", message):
        key = found[1]
        override = next((o for o in overrides if re.match(rf"\+*{re.escape(key)}=", o)), key)
        return f"{override}: there is no such key{_suggestion(key, [o for o in overrides if o != override])}"
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
        return f"{found[1]}: cannot be deleted whole; delete what is in it, such as {found[1].strip()}.KEY"
    if nameless := next((override for override in overrides if override.startswith("=")), ""):
        return f"{nameless}: has no key in front"
    if isinstance(error, OverrideParseException):
        if str(error.override).endswith("\r"):
            return f"{error.override}: ends with a carriage return; save the script with Unix line endings"
        return (
            f"{error.override}: is not of the form KEY=VALUE; quote a value with blanks or other signs: KEY='\"a b\"'"
        )
    lines = message.splitlines() or [type(error).__name__]
    lines = [line.strip() for line in lines if line.strip(" ^")]
    return " ".join(line for line in lines if not line.startswith(("See http", "full_key:", "object_type=")))


def _suggestion(key: str, others: Sequence[str]) -> str:
    """What may have been meant by a key that does not exist; of Hydra's own there are too many."""
    if is_of_hydra(key):
        return ""
    try:
        cfg = compose("config", list(others))
    except (HydraException, OmegaConfBaseException, ValueError):
        return ""
    keys = flat_keys(cfg)
    if near := difflib.get_close_matches(key, [*groups(), *keys], n=1, cutoff=0.75):
        return f"; did you mean {near[0]}?"
    group = key.rpartition(".")[0]
    if group not in cfg:
        inside = [k for k in keys if k.endswith(f".{key}")]
        return f"; did you mean {' or '.join(inside)}?" if inside else "; `bptt show` prints them"
    options = [k for k in keys if k.startswith(f"{group}.")]
    chosen = next((o for o in others if o.startswith(f"{group}=")), f"the default {group}")
    return f"; {chosen} has {', '.join(options)}" if options else f"; {chosen} takes no options"


def flat_keys(cfg: DictConfig, prefix: str = "") -> list[str]:
    """The keys that hold values, such as 'clip.threshold'; what begins with '_' is no key of ours."""
    keys = []
    for name, value in cfg.items_ex(resolve=False):
        key = str(name)
        if isinstance(value, DictConfig):
            keys += flat_keys(value, f"{prefix}{key}.")
        elif not key.startswith("_"):
            keys.append(f"{prefix}{key}")
    return keys
