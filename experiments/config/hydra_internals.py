"""All uses of Hydra's internals: how overrides are parsed, and how the user's YAML files are read.

Everything else in this project uses Hydra's public interface. `tests/experiments/config/test_hydra_internals.py` names
each internal, and says which one a new version of Hydra has moved.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import takewhile
from math import ceil, isfinite
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult

from experiments.config.user_folder import SCHEME


class UserFolderSource(FileConfigSource):
    """Hydra's source of YAML files, which also finds `# @package` below other comments.

    Hydra's own source reads that line only where no other comment stands above it.
    """

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        found = super().load_config(config_path)
        with open(os.path.join(self.path, self._normalize_file_name(config_path)), encoding="utf-8") as file:
            comments = takewhile(lambda line: not line.strip() or line.lstrip().startswith("#"), file.readlines())
        packages = [match[1] for line in comments if (match := re.fullmatch(r"\s*#\s*@package\s+(\S+)\s*", line))]
        found.header["package"] = packages[0] if packages else None
        return found


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
