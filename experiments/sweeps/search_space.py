"""The space of a search: what Optuna may pick for each key, and the overrides that follow from its picks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from omegaconf import DictConfig
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    DiscreteUniformDistribution,
    IntLogUniformDistribution,
    IntUniformDistribution,
    LogUniformDistribution,
    UniformDistribution,
)
from optuna.trial import Trial

from experiments.config.grid import Options
from experiments.errors import UsageError


class Space:
    """Keys with fixed values, and keys to be picked: a choice, a range without its end, an interval.

    Args:
        overrides: One for each key.
        cfg: What they build on.
        compose: The same with a choice.
        listed: Whether the sampler takes lists of values only, as Optuna's grid does.

    Raises:
        UsageError: A range is empty.
    """

    def __init__(
        self, overrides: Sequence[Override], cfg: DictConfig, compose: Callable[[str], DictConfig], *, listed: bool
    ) -> None:
        overrides = sorted(overrides, key=lambda o: o.key_or_group not in cfg.hydra.runtime.choices)
        self.fixed = [f"{o.get_key_element()}={o.get_value_element_as_str()}" for o in overrides if not _is_axis(o)]
        self.distributions: dict[str, Any] = {
            o.get_key_element(): _distribution(o, listed=listed) for o in overrides if _is_axis(o)
        }
        self._ranges: dict[str, list[Any]] = {
            o.get_key_element(): list(o.sweep_iterator()) for o in overrides if o.is_range_sweep()
        }
        one_of_each = [f"{key}={_first(distribution)}" for key, distribution in self.distributions.items()]
        choices = [
            [f"{key}={choice}" if one.startswith(f"{key}=") else one for one in one_of_each]
            for key, distribution in self.distributions.items()
            if isinstance(distribution, CategoricalDistribution)
            for choice in distribution.choices
        ]
        self._options = Options([[*self.fixed, *point] for point in choices or [one_of_each]], cfg, compose)

    def pick(self, trial: Trial) -> dict[str, Any]:
        """Let Optuna pick a value for each key that the choices picked before have."""
        picked: dict[str, Any] = {}
        for key, distribution in self.distributions.items():
            here = [*self.fixed, *(f"{k}={value}" for k, value in picked.items()), f"{key}={_first(distribution)}"]
            if len(self._options.trim(here)) == len(self._options.trim(here[:-1])):
                continue
            value = trial._suggest(key, distribution)
            if key in self._ranges and not isinstance(distribution, CategoricalDistribution):
                # Optuna steps through a range in binary: 0.30000000000000004
                value = min(self._ranges[key], key=partial(_distance, value))
            picked[key] = value
        return picked

    def point(self, picked: Mapping[str, Any]) -> list[str]:
        """The overrides of a run."""
        return self._options.trim([*self.fixed, *(f"{key}={value}" for key, value in picked.items())])

    def listed(self) -> dict[str, Sequence[Any]]:
        """All values of each key.

        Raises:
            UsageError: A key has an interval.
        """
        for key, distribution in self.distributions.items():
            if not isinstance(distribution, CategoricalDistribution):
                raise UsageError(f"{key}: has an interval, and hydra/sweeper/sampler=grid takes lists and ranges only")
        return {key: distribution.choices for key, distribution in self.distributions.items()}


def _distance(one: float, other: float) -> float:
    return abs(one - other)


def _is_axis(override: Override) -> bool:
    return override.is_sweep_override()


def _first(distribution: Any) -> Any:
    return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low


def _distribution(override: Override, *, listed: bool) -> BaseDistribution:
    axis: Any = override.value()
    if isinstance(axis, IntervalSweep):
        whole = isinstance(axis.start, int) and isinstance(axis.end, int)
        kinds: Any = {
            (False, False): UniformDistribution,
            (False, True): LogUniformDistribution,
            (True, False): IntUniformDistribution,
            (True, True): IntLogUniformDistribution,
        }
        found: BaseDistribution = kinds[whole, "log" in axis.tags](axis.start, axis.end)
        return found
    values: list[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
    if not values:
        raise UsageError(f"{override.input_line}: has no value; is a range empty?")
    if not isinstance(axis, RangeSweep) or axis.shuffle or listed or len(values) == 1:
        return CategoricalDistribution(values)
    kind: Any = IntUniformDistribution if isinstance(values[0], int) else DiscreteUniformDistribution
    low, high = sorted((values[0], values[-1]))
    steps: BaseDistribution = kind(low, high, abs(type(values[0])(axis.step)))
    return steps
