"""Hydra set up once and asked many times: overrides are parsed and composed into configurations."""

import pickle
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from experiments.catalogue.choices import check_files, groups
from experiments.catalogue.measures import measures
from experiments.config.hydra_errors import explain, explain_unknown_key, explained
from experiments.config.hydra_internals import parse_overrides, register_user_folder_source
from experiments.config.overrides import key_of, normalize_overrides
from experiments.config.user_folder import search_path_override
from experiments.errors import UsageError

STUDY_KEYS = ("hydra", "scale", "scales", "claims")
"""The keys that belong to a study as a whole: which runs it has, and what it claims."""

DEFAULT_SCALE = "small"
"""The scale that every study has."""


class HydraComposer:
    """Parses and composes overrides; `open_composer` gives one.

    Args:
        config_dir: Folder with the user's own choices.
    """

    def __init__(self, config_dir: Path | None) -> None:
        self.config_dir = config_dir
        self._compose_choices = lru_cache(self._compose_own_part)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose Hydra's whole configuration, its own node `hydra` included.

        Raises:
            UsageError: Hydra does not accept an override.
        """
        overrides = [*search_path_override(self.config_dir), *normalize_overrides(overrides, self.config_dir)]
        with explained(overrides):
            return compose("config", overrides, return_hydra_config=True)

    def compose_all(self, points: Iterable[Sequence[str]]) -> Iterator[tuple[DictConfig, Mapping[str, str]]]:
        """Compose the configuration of each run, and the names of its choices.

        Hydra composes the choices first, which takes nearly all of the time, and then sets values in the result. Here
        the first part is done once for all points with the same choices, and kept.

        Args:
            points: Overrides of each run.

        Raises:
            UsageError: Hydra does not accept an override.
        """
        known = {"", *groups(self.config_dir)}  # an override without a key is for Hydra to refuse
        parse = cache(lambda override: self.parse([override]))
        for point in points:
            parsed = [o for override in point for o in parse(override)]
            values = [o for o in parsed if o.type is OverrideType.CHANGE and not o.is_sweep_override()]
            values = [o for o in values if o.package is None and o.key_or_group not in known]
            values = [o for o in values if re.split(r"[./]", o.key_or_group)[0] not in STUDY_KEYS]
            rest = [str(o.input_line) for o in parsed if o not in values]
            if not all(key_of(override) in known for override in rest):
                values, rest = [], list(point)  # the order of '+x=1', '~clip' and the like counts
            common, chosen = self._compose_choices(tuple(rest))
            cfg: DictConfig = pickle.loads(common)
            with explained(point):
                _set_values(cfg, values, point)
            yield cfg, chosen

    def _compose_own_part(self, overrides: Sequence[str]) -> tuple[bytes, Mapping[str, str]]:
        """Compose what the runs share. It is pickled: that copies it faster than `deepcopy`."""
        cfg = self.compose(overrides)
        return pickle.dumps(without_study_keys(cfg)), cfg.hydra.runtime.choices

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Parse overrides; lists and ranges are not yet expanded.

        Raises:
            UsageError: An override does not follow Hydra's grammar.
        """
        overrides = normalize_overrides(overrides, self.config_dir)
        with explained(overrides):
            return parse_overrides(overrides)


_OURS = HydraComposer(None)
"""It is kept, with what it has composed: our own YAML files stay as they are, the user's may change."""


@contextmanager
def open_composer(config_dir: Path | None = None) -> Iterator[HydraComposer]:
    """Keep Hydra set up while the context lasts: setting it up takes longer than composing once.

    Args:
        config_dir: Folder with the user's own choices.

    Raises:
        UsageError: A file in the user's folder would not be read.
    """
    if config_dir is not None:
        check_files(config_dir)
    switches = dict.fromkeys(measures(config_dir), False)
    ConfigStore.instance().store(group="measures", name="off", node=switches, package="record")
    with initialize_config_module("conf", version_base="1.3"):
        register_user_folder_source()
        yield _OURS if config_dir is None else HydraComposer(config_dir)


def without_study_keys(cfg: DictConfig) -> DictConfig:
    """Copy the part of a configuration that a single run depends on, which is by far the smaller one."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in STUDY_KEYS])
    OmegaConf.set_struct(own, True)
    return own


def _set_values(cfg: DictConfig, values: Iterable[Override], overrides: Sequence[str]) -> None:
    """Set values as Hydra does after it has composed the choices."""
    for override in values:
        try:
            OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except (ConfigAttributeError, ConfigKeyError):
            raise UsageError(explain_unknown_key(override.key_or_group, overrides)) from None
        except OmegaConfBaseException as error:
            raise UsageError(f"{override.input_line}: {explain(error, overrides)}") from None
