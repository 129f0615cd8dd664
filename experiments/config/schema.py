"""The schema of a configuration, which checks what Hydra composed before the parts of a run are built from it.

Hydra's DictConfig stops here: a `Config` contains plain typed values, and all later code takes plain arguments.
"""

import math
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field, PositiveInt, field_validator

from experiments.config import identity
from experiments.config.optional_packages import how_to_install
from experiments.config.typed_values import Section

CHOICES = ("cell", "init", "task", "clip", "optimizer", "schedule", "remedy", "nonfinite", "stop")
"""Groups whose choice is a Python object. The name of the choice becomes the `name` of the group."""

CONSTANT = {"name": "constant", "_target_": "experiments.schedules.constant", "_partial_": True}
NO_REMEDY = {"name": "none", "_target_": "experiments.remedies.Remedy"}
DIVERGE = {"name": "stop", "_target_": "experiments.nonfinite.Diverge"}
NO_STOP = {"name": "none", "_target_": "experiments.stopping.NoStop"}


class ModelConfig(Section):
    """`model`: the size of the network."""

    hidden_size: PositiveInt
    num_layers: PositiveInt


class RecordConfig(Section):
    """`record`: what is measured, how often, and at how many timesteps. Every further key switches on a measure."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool]

    every: PositiveInt
    windows: PositiveInt | Literal["all"]
    evaluate_every: PositiveInt
    evaluate_samples: PositiveInt
    lag_samples: PositiveInt = 8
    spike_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 6.0
    spike_batches: bool = False
    tensorboard: bool = False

    @property
    def measures(self) -> list[str]:
        """Names of the measures that are switched on."""
        return [name for name, switched_on in self.__pydantic_extra__.items() if switched_on]

    def beyond(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that ask for more than a run has recorded: another measure, more steps or more windows.

        Args:
            recorded: Settings that the run was recorded with.
        """
        more: dict[str, Any] = {name: True for name in self.measures if not recorded.get(name)}
        if self.measures and self.every < recorded["every"]:
            more["every"] = self.every
        if self.measures and _number(self.windows) > _number(recorded["windows"]):
            more["windows"] = self.windows
        if "lags" in self.measures and self.lag_samples != recorded.get("lag_samples"):
            more["lag_samples"] = self.lag_samples
        for key, default in (("spike_limit", 6.0), ("spike_batches", False)):
            if "spikes" in self.measures and getattr(self, key) not in (recorded.get(key, default), False):
                more[key] = getattr(self, key)
        if self.tensorboard and not recorded.get("tensorboard"):
            more["tensorboard"] = True
        return more

    @field_validator("tensorboard")
    @classmethod
    def _is_installed(cls, wanted: bool) -> bool:
        if wanted and find_spec("tensorboard") is None:
            raise ValueError(f"false unless TensorBoard is installed: {how_to_install('tensorboard')}")
        return wanted


def _number(windows: int | str) -> float:
    """The number of windows as a number that can be compared; 'all' is more than any other."""
    return math.inf if windows == "all" else int(windows)


class ProbeConfig(Section):
    """`probe`: how many samples and batches a probe uses."""

    samples: PositiveInt = 16
    batches: PositiveInt = 20


class StudyConfig(Section):
    """`study`: the folder in results_dir that contains the runs."""

    name: str

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        if not re.fullmatch(r"[^/\\\0-\x1f]{1,80}", name) or name.startswith(".") or name != name.strip():
            raise ValueError("the name of a folder: 1 to 80 characters, without a slash, a leading dot or outer spaces")
        return name


class Config(Section):
    """The configuration of one run. A choice is a dict of `name`, `_target_` and the arguments of the target."""

    cell: dict[str, Any]
    init: dict[str, Any]
    task: dict[str, Any]
    clip: dict[str, Any]
    optimizer: dict[str, Any]
    schedule: dict[str, Any] = CONSTANT
    remedy: dict[str, Any] = NO_REMEDY
    nonfinite: dict[str, Any] = DIVERGE
    stop: dict[str, Any] = NO_STOP
    model: ModelConfig
    record: RecordConfig
    probe: ProbeConfig
    study: StudyConfig
    truncation: PositiveInt | None = None
    batch_size: PositiveInt
    steps: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    dtype: Literal["float32", "float64"]
    flush_denormals: bool = False
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
        """Whether training rounds denormal numbers to 0. Only float32 is flushed; float64 does not get that small."""
        return self.flush_denormals and self.dtype == "float32"

    @property
    def study_folder(self) -> Path:
        """Folder of the study."""
        return Path(self.results_dir) / self.study.name

    @property
    def run_folder(self) -> Path:
        """Folder of this run; an existing one that version 1 made if there is one."""
        earlier = self.study_folder / "runs" / identity.run_id(self, earlier=True)
        return earlier if earlier.is_dir() else earlier.with_name(self.run_id)

    @property
    def run_id(self) -> str:
        """The id of the run, which names its folder; see `experiments.config.identity`."""
        return identity.run_id(self)
