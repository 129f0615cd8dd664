"""The search space: which values Optuna may pick for each key, and the overrides that follow from its picks."""

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

from experiments.config.grid import OptionsByChoice
from experiments.errors import UsageError


class SearchSpace:
    """Keys with fixed values, and keys whose values Optuna picks from a list, a range or an interval.

    Args:
        overrides: One override for each key.
        cfg: Configuration that they build on.
        compose: Composes that configuration with one more choice.
        listed: Whether the sampler takes only lists of values, as Optuna's grid does.

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
        self._options = OptionsByChoice([[*self.fixed, *point] for point in choices or [one_of_each]], cfg, compose)

    def pick_point(self, trial: Trial) -> dict[str, Any]:
        """Let Optuna pick a value for each key, except options that the picked choices do not have."""
        picked: dict[str, Any] = {}
        for key, distribution in self.distributions.items():
            here = [*self.fixed, *(f"{k}={value}" for k, value in picked.items()), f"{key}={_first(distribution)}"]
            if len(self._options.trim(here)) == len(self._options.trim(here[:-1])):
                continue
            value = trial._suggest(key, distribution)
            if key in self._ranges and not isinstance(distribution, CategoricalDistribution):
                # Optuna computes the steps of a range in binary: 0.30000000000000004
                value = min(self._ranges[key], key=partial(_distance, value))
            picked[key] = value
        return picked

    def overrides_of(self, picked: Mapping[str, Any]) -> list[str]:
        """The overrides of the run at a picked point."""
        return self._options.trim([*self.fixed, *(f"{key}={value}" for key, value in picked.items())])

    def listed_values(self) -> dict[str, Sequence[Any]]:
        """All values of each key that Optuna picks.

        Raises:
            UsageError: A key has an interval, whose values cannot be listed.
        """
        for key, distribution in self.distributions.items():
            if not isinstance(distribution, CategoricalDistribution):
                raise UsageError(f"{key}: is an interval, but hydra/sweeper/sampler=grid takes only lists and ranges")
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
        raise UsageError(f"{override.input_line}: has no values; is a range empty?")
    if not isinstance(axis, RangeSweep) or axis.shuffle or listed or len(values) == 1:
        return CategoricalDistribution(values)
    kind: Any = IntUniformDistribution if isinstance(values[0], int) else DiscreteUniformDistribution
    low, high = sorted((values[0], values[-1]))
    steps: BaseDistribution = kind(low, high, abs(type(values[0])(axis.step)))
    return steps
