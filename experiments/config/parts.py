"""TODO."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate

from experiments.config.schema import CHOICES, Config
from experiments.errors import UsageError, in_a_line, is_out_of_memory
from experiments.tasks.task import Task
from models.network import RecurrentNetwork

OWN_OPTIMIZERS = "experiments.optimizers."


@dataclass(frozen=True)
class Parts:
    """What a run is made of."""

    network: RecurrentNetwork
    task: Task
    clip: Callable[..., float]
    make_optimizer: Callable[..., torch.optim.Optimizer]


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
