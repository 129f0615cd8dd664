"""All uses of Hydra's internals and plugin classes: parsing overrides, and reading the user's YAML files.

Everything else in this project uses Hydra's public functions. `tests/experiments/config/test_hydra_internals.py` names
each part that is used, and says which one a new version of Hydra has moved.
"""

import builtins
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import takewhile
from math import ceil, isfinite
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from experiments.config.user_folder import SCHEME


class UserFolderSource(ConfigSource):
    """Hydra's source of the user's YAML files, which also finds `# @package` below other comments.

    Hydra's own source of files reads that line only where no other comment stands above it.
    """

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if not file.is_file():
            raise ConfigLoadError(f"Config not found: {file}")
        header = {"package": _package(file.read_text(encoding="utf-8"))}
        return ConfigResult(self.provider, self.full_path(), OmegaConf.load(file), header)

    def is_group(self, config_path: str) -> bool:
        return Path(self.path, config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path).is_file()

    def available(self) -> bool:
        return self.is_group("")

    def list(self, config_path: str, results_filter: ObjectType | None) -> builtins.list[str]:
        found = [*Path(self.path, config_path).iterdir()]
        groups = {path.name for path in found if path.is_dir() and path.name != "__pycache__"}
        configs = {path.stem for path in found if path.is_file() and path.suffix == ".yaml"}
        wanted = {ObjectType.GROUP: groups, ObjectType.CONFIG: configs}
        return sorted(groups | configs if results_filter is None else wanted.get(results_filter, set()))

    def _file(self, config_path: str) -> Path:
        return Path(self.path, config_path if config_path.endswith(".yaml") else f"{config_path}.yaml")


def _package(text: str) -> str | None:
    """The package in the comments at the top of a YAML file, such as '_global_'."""
    comments = takewhile(lambda line: not line.strip() or line.lstrip().startswith("#"), text.splitlines())
    packages = [match[1] for line in comments if (match := re.fullmatch(r"\s*#\s*@package\s+(\S+)\s*", line))]
    return packages[0] if packages else None


def register_user_folder_source() -> None:
    """Let Hydra read the folders of its search path whose scheme is `SCHEME`."""
    Plugins.instance().register(UserFolderSource)


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Parse KEY=VALUE overrides; lists and ranges are not yet expanded.

    A range of floats has the values that one would write: 0.1, 0.2, 0.3.

    Raises:
        hydra.errors.OverrideParseException: An override does not follow the grammar.
        ValueError: A range has no end.
    """
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    sort = parser.functions.functions["sort"]

    def sort_ranges_too(*args: Any, reverse: bool = False, **named: Any) -> Any:
        (found,) = args if len(args) == 1 else [named.get("sweep")]
        return _sort(found, reverse) if isinstance(found, RangeSweep) else sort(*args, reverse=reverse, **named)

    parser.functions.functions["sort"] = sort_ranges_too
    parsed = parser.parse_overrides(list(overrides))
    return [replace(o, _value=_exact(o)) if isinstance(o._value, RangeSweep) else o for o in parsed]


def parse_value(text: str) -> Any:
    """Parse the value of an override: '7' is a number, 'true' a boolean.

    Raises:
        hydra.errors.HydraException: The text does not follow the grammar.
    """
    return OverridesParser.create().parse_override(f"key={text}").value()


def _exact(override: Override) -> RangeSweep:
    """Let a range of floats count in decimal: in binary, 0.1 + 0.2 is 0.30000000000000004."""
    found = override._value
    assert isinstance(found, RangeSweep)
    numbers: list[Any] = [found.start, found.stop, found.step]
    if not all(map(isfinite, numbers)) or not found.step:
        raise ValueError(f"{override.input_line}: a range needs finite bounds and a step other than 0")
    if any(isinstance(number, float) for number in numbers):
        numbers = [Decimal(str(number)) for number in numbers]
    start, stop, step = numbers
    return replace(found, start=start, stop=stop, step=step)


def _sort(found: RangeSweep, reverse: bool) -> RangeSweep:
    """Sort a range by its values. Hydra 1.3 sorts by the bounds, so range(1,6,3) becomes 3 and 0."""
    start, stop, step = (Decimal(str(number)) for number in (found.start, found.stop, found.step))
    if not step or not all(map(isfinite, (start, stop, step))) or (step < 0) == reverse:
        return found
    number = ceil((stop - start) / step)
    kind = int if isinstance(found.start, int) and isinstance(found.step, int) else float
    turned = (start + (number - 1) * step, start - step, -step)
    return replace(found, start=kind(turned[0]), stop=kind(turned[1]), step=kind(turned[2]))
