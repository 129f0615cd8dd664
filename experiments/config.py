"""The configuration: composed by Hydra, checked whole, built into the parts of a run.

Hydra's DictConfig stops here: a `Config` is plain typed values, and everything after takes plain arguments.
"""

import hashlib
import inspect
import json
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Annotated, Any, Literal, get_type_hints

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    create_model,
    field_validator,
)

from experiments.composition import SCALE, composing, of_run
from experiments.errors import UsageError, in_a_line
from experiments.grammar import parse_value
from experiments.tasks.task import Task
from models.network import RecurrentNetwork

CHOICES = ("cell", "init", "task", "clip", "optimizer")
"""The groups whose choice is a Python object; the choice's name becomes the group's `name`."""


class Interpolated(str):
    """A text that an interpolation gave: `${oc.env:SEED}` is always text, also where it is meant as a number."""


class Section(BaseModel):
    """Typed values, taken as they are: '5' is no number, 5.0 no whole one, and no key is unknown.

    A text that an interpolation gave may also be read as an override's value is.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _read_interpolated(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(value)
        except ValidationError:
            if not isinstance(value, Interpolated):
                raise
            with suppress(HydraException):
                value = parse_value(value)
            return check(value)


class ModelConfig(Section):
    """`model`: the network's size."""

    hidden_size: PositiveInt
    num_layers: PositiveInt


class RecordConfig(Section):
    """`record`: what is measured, how often, and how finely."""

    every: PositiveInt
    windows: PositiveInt | Literal["all"]
    gradients: bool
    contributions: bool
    parameters: bool
    gates: bool
    evaluate_every: PositiveInt
    evaluate_samples: PositiveInt
    tensorboard: bool = False

    @field_validator("tensorboard")
    @classmethod
    def _is_installed(cls, wanted: bool) -> bool:
        if wanted and find_spec("tensorboard") is None:
            raise ValueError("false unless TensorBoard is installed: pip install 'bptt[tensorboard]'")
        return wanted


class ProbeConfig(Section):
    """`probe`: how much is looked at before training."""

    samples: PositiveInt
    batches: PositiveInt


class StudyConfig(Section):
    """`study`: the folder in results_dir that collects the runs."""

    name: str

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        if not re.fullmatch(r"[^/\\\0-\x1f]{1,80}", name) or name.startswith(".") or name != name.strip():
            raise ValueError("the name of a folder: 1 to 80 characters, no slash, no dot or blank in front")
        return name


class Config(Section):
    """One run, as it was asked for. The choices are dicts of `name`, `_target_` and the target's arguments."""

    cell: dict[str, Any]
    init: dict[str, Any]
    task: dict[str, Any]
    clip: dict[str, Any]
    optimizer: dict[str, Any]
    model: ModelConfig
    record: RecordConfig
    probe: ProbeConfig
    study: StudyConfig
    batch_size: PositiveInt
    steps: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    dtype: Literal["float32", "float64"]
    device: str
    threads: Annotated[int, Field(ge=1, le=1024)]
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    results_dir: Annotated[str, Field(min_length=1)]

    @field_validator("results_dir")
    @classmethod
    def _with_home(cls, results_dir: str) -> str:
        return os.path.expanduser(results_dir)

    @field_validator("device")
    @classmethod
    def _is_here(cls, device: str) -> str:
        here = ["cpu"] + ["cuda"] * torch.cuda.is_available() + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        here += ["mps"] * torch.backends.mps.is_available()
        if device not in here:
            raise ValueError(f"a device of this machine: {', '.join(here)}")
        return device

    @property
    def study_folder(self) -> Path:
        """Where the study's runs are collected."""
        return Path(self.results_dir) / self.study.name

    @property
    def run_folder(self) -> Path:
        """Where this run is written."""
        return self.study_folder / "runs" / self.run_id

    @property
    def run_id(self) -> str:
        """A readable name, and the hash of all that the results depend on: the same for the same run, in any study."""
        identity = self.model_dump(exclude={"study": True, "results_dir": True, "checkpoint_seconds": True})
        del identity["record"]["tensorboard"]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.cell['name']}-{self.task['name']}-{self.clip['name']}-seed{self.seed}-{digest}"


@dataclass(frozen=True)
class Parts:
    """What a run is made of."""

    network: RecurrentNetwork
    task: Task
    clip: Callable[..., float]
    make_optimizer: Callable[..., torch.optim.Optimizer]


def compose(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """The checked configuration of one run.

    Raises:
        UsageError: the first thing that is wrong with it.
    """
    with composing(config_dir) as composer:
        cfg = composer.compose(overrides)
    for override in overrides:
        if override.startswith("scale=") and override != f"scale={SCALE}":
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
    with _one_line("", values):
        return Config(**values)


def from_saved(values: Mapping[str, Any]) -> Config:
    """A run's configuration from its own saved `.hydra/config.yaml`.

    Raises:
        UsageError: this version, or this machine, cannot make it.
    """
    with _one_line("", dict(values)):
        return Config(**values)


def build(config: Config) -> Parts:
    """The objects of a run; the network's parameters are drawn from the run's seed.

    Raises:
        UsageError: what a constructor refuses, or fails at: cells, initialisations and tasks may be the user's own.
    """
    try:
        return _construct(config)
    except HydraException as error:
        cause = " ".join(str(error.__cause__ or "").split())
        if str(error).startswith("Error locating"):
            raise UsageError(f"{cause} If it is your own, give --config-dir.") from error
        raise UsageError(f"{str(error).splitlines()[0].rstrip(':')}: {cause}") from error
    except Exception as error:
        asked = " ".join(f"{group}={getattr(config, group)['name']}" for group in ("cell", "init", "task"))
        frames = traceback.extract_tb(error.__traceback__)
        where = ([frame for frame in frames if "site-packages" not in frame.filename] or frames)[-1]
        raise UsageError(f"{asked}: {in_a_line(error)} ({Path(where.filename).name}, line {where.lineno})") from error


def _construct(config: Config) -> Parts:
    chosen = {group: {k: v for k, v in getattr(config, group).items() if k != "name"} for group in CHOICES}
    parts = instantiate(chosen, _convert_="all")
    task: Task = parts["task"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = RecurrentNetwork(
            parts["cell"],
            parts["init"],
            input_size=task.input_size,
            hidden_size=config.model.hidden_size,
            num_layers=config.model.num_layers,
            output_size=task.output_size,
            readout_steps=task.readout_steps,
            dtype=getattr(torch, config.dtype),
        )
    return Parts(network.to(config.device), task, parts["clip"], parts["optimizer"])


def _check_target(key: str, node: Any) -> dict[str, Any]:
    """Hold the arguments in a `_target_` node against the types in the target's signature; 1 for a float becomes 1.0.

    Arguments without an annotation pass. An argument may be missing where the node is `_partial_`.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise UsageError(f"{key}={node}: is a choice with a _target_; `bptt list {key}` shows them")
    try:
        target = locate(node["_target_"])
    except ErrorDuringImport as error:
        if isinstance(error.value, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise UsageError(f"{key}._target_={node['_target_']}: {error}") from error
    if not callable(target):
        where = "is it beside --config-dir, or on the path?"
        raise UsageError(f"{key}._target_={node['_target_']}: cannot be found; {where}")
    given = {name: value for name, value in node.items() if name not in ("_target_", "_partial_")}
    try:
        arguments = _arguments(target, frozenset(given), bool(node.get("_partial_")))
    except (NameError, TypeError, ValueError) as error:
        raise UsageError(f"{key}._target_={node['_target_']}: its arguments cannot be told: {error}") from error
    with _one_line(f"{key}.", given):
        checked = arguments(**given)
    return {**node, **{name: getattr(checked, name) for name in given}}


@lru_cache
def _arguments(target: Callable[..., Any], given: frozenset[str], partial: bool) -> type[Section]:
    """A model of the target's arguments: those that are given, and those that have to be. A sweep needs few of them."""
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        needed = parameter.default is parameter.empty and not partial
        if name in given or (needed and parameter.kind is parameter.POSITIONAL_OR_KEYWORD):
            fields[name] = (hints.get(name, Any), ...)
    return create_model("Arguments", __base__=Section, **fields)


def _marked(written: Any, resolved: Any) -> Any:
    """The resolved values, in which the texts that interpolations gave are `Interpolated`."""
    if isinstance(written, dict):
        return {key: _marked(written[key], value) for key, value in resolved.items()}
    if isinstance(written, str) and "${" in written and isinstance(resolved, str):
        return Interpolated(resolved)
    return resolved


@contextmanager
def _one_line(prefix: str, values: dict[str, Any]) -> Iterator[None]:
    """Turn pydantic's complaint about the first wrong value into a line: key=value: what would do."""
    try:
        yield
    except ValidationError as error:
        first, *others = error.errors()
        key = prefix + _key(first["loc"], values)
        if first["type"] == "missing":
            raise UsageError(f"{key}: needs a value") from None
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{key}: there is no such key") from None
        same = [first] + [other for other in others if prefix + _key(other["loc"], values) == key]
        wanted = dict.fromkeys(_wanted(part["msg"]) for part in same)
        given = first["input"]
        is_text = isinstance(given, str) and not isinstance(given, Interpolated) and given[:1].isdigit()
        raise UsageError(f"{key}={repr(given) if is_text else given}: must be {' or '.join(wanted)}") from None


def _key(location: tuple[int | str, ...], values: Any) -> str:
    """The key that pydantic means, without the member of a union that it tried."""
    names = [str(location[0])]
    for value, name in zip([values.get(location[0])], location[1:], strict=False):
        if isinstance(value, dict):
            names.append(str(name))
    return ".".join(names)


def _wanted(message: str) -> str:
    """What pydantic wanted, in words for a config file."""
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return (
        message.replace("valid integer", "whole number")
        .replace("valid number", "number")
        .replace("valid string", "text")
        .replace("String should have at least 1 character", "not empty")
    )
