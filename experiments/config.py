"""The configuration: composed by Hydra, checked whole, built into the parts of a run.

Hydra's DictConfig stops here: a `Config` is plain typed values, and everything after takes plain arguments.
"""

import hashlib
import json
import os
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, PositiveInt, field_validator

from experiments.composition import SCALE, composing, of_run
from experiments.errors import UsageError, in_a_line, is_out_of_memory
from experiments.extras import how_to_install
from experiments.hydra_keys import refuse_in_run
from experiments.targets import check_arguments, find_target
from experiments.tasks.task import Task
from experiments.typed import Interpolated, Section, fit, one_line
from models.network import RecurrentNetwork

CHOICES = ("cell", "init", "task", "clip", "optimizer")
"""The groups whose choice is a Python object; the choice's name becomes the group's `name`."""

OWN_OPTIMIZERS = "experiments.optimizers."


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
            raise ValueError(f"false unless TensorBoard is installed: {how_to_install('tensorboard')}")
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
    flush_denormals: bool = False  # of runs that were made before there was a choice
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
    def flushes_denormals(self) -> bool:
        """Whether training rounds numbers below the smallest normal one to 0: only float32 comes that low."""
        return self.flush_denormals and self.dtype == "float32"

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
        if not self.flushes_denormals:
            del identity["flush_denormals"]
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


def draft(config: Config) -> Parts:
    """As `build`, but the network takes no memory: to check a configuration, and to count its parameters.

    Raises:
        UsageError: As `build` does.
    """
    try:
        return _construct(config, "meta")
    except Exception:  # also of a user's cell that looks into its parameters
        return build(config)


def build(config: Config) -> Parts:
    """The objects of a run; the network's parameters are drawn from the run's seed.

    Raises:
        UsageError: what a constructor refuses, or fails at: every choice may be the user's own.
        MemoryError, RuntimeError: There is not enough memory.
    """
    try:
        return _construct(config, "cpu")
    except HydraException as error:
        cause = " ".join(str(error.__cause__ or "").split())
        if str(error).startswith("Error locating"):
            raise UsageError(f"{cause} If it is your own, give --config-dir.") from error
        raise UsageError(f"{str(error).splitlines()[0].rstrip(':')}: {cause}") from error
    except UsageError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _refused(config, ("cell", "init", "task"), error) from error


def _construct(config: Config, device: str) -> Parts:
    chosen = {group: {k: v for k, v in getattr(config, group).items() if k != "name"} for group in CHOICES}
    parts = instantiate(chosen, _convert_="all")
    task: Task = parts["task"]
    with torch.random.fork_rng(devices=[]), torch.device(device):
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
    if not config.optimizer["_target_"].startswith(OWN_OPTIMIZERS):  # of ours, the annotations say all
        try:
            parts["optimizer"](network.parameters())
        except Exception as error:
            raise _refused(config, ("optimizer",), error) from error
    network = network if device == "meta" else network.to(config.device)
    return Parts(network, task, parts["clip"], parts["optimizer"])


def _refused(config: Config, groups: Sequence[str], error: Exception) -> UsageError:
    asked = " ".join(f"{group}={getattr(config, group)['name']}" for group in groups)
    frames = traceback.extract_tb(error.__traceback__)[1:] or traceback.extract_tb(error.__traceback__)
    where = ([frame for frame in frames if "site-packages" not in frame.filename] or frames)[-1]
    return UsageError(f"{asked}: {in_a_line(error)} ({Path(where.filename).name}, line {where.lineno})")


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
