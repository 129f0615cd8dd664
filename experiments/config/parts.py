"""The parts of a run, such as its network, task and optimiser, built from its configuration."""

import inspect
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from experiments.clipping import Clip
from experiments.config.identity import OWN
from experiments.config.schema import CHOICES, Config, RecordConfig
from experiments.config.targets import find_target
from experiments.errors import UsageError, in_a_line, is_out_of_memory
from experiments.measures.measure import Measure, find_measure
from experiments.nonfinite import Diverge
from experiments.remedies import Remedy
from experiments.stopping import Hopeless, Solved, SolvedOrHopeless, Stop
from experiments.tasks.task import Task
from models.cell import Cell
from models.network import RecurrentNetwork

SMALL = 512
"""Hidden units of all layers together up to which a network is built in a moment."""


@dataclass(frozen=True)
class Parts:
    """The parts of a run.

    Attributes:
        network: Network, with parameters drawn from the run's seed.
        task: Task.
        clip: Clipping rule.
        make_optimizer: Function that makes the optimiser from the network's parameters.
        make_schedule: Function that makes the learning-rate schedule from the optimiser.
        remedy: Remedy, attached to the network.
        nonfinite: What to do at a step whose loss or gradient is not finite.
        stop: Rule that may end the training early.
        measures: Measures that are switched on, by name.
    """

    network: RecurrentNetwork
    task: Task
    clip: Clip
    make_optimizer: Callable[..., torch.optim.Optimizer]
    make_schedule: Callable[..., LRScheduler]
    remedy: Remedy
    nonfinite: Diverge
    stop: Stop
    measures: dict[str, Measure]


def draft(config: Config) -> Parts:
    """Build the parts to check a configuration and to count the network's parameters.

    A small network is built as by `build`. A large one is built on the meta device, where it takes no memory, but where
    the first operation makes torch load its compiler, which takes more than a second. If that fails, the large network
    is built as by `build`, too.

    Raises:
        UsageError: A constructor rejects its arguments or fails.
        MemoryError, RuntimeError: There is not enough memory.
    """
    if config.model.hidden_size * config.model.num_layers <= SMALL:
        return build(config)
    try:
        return _construct(config, "meta")
    except Exception:  # such as from a user's cell that reads the values of its parameters
        return build(config)


def build(config: Config) -> Parts:
    """Build the parts of a run. The parameters of the network are drawn from the run's seed.

    Raises:
        UsageError: A constructor rejects its arguments or fails. Every choice may be the user's own class.
        MemoryError, RuntimeError: There is not enough memory.
    """
    try:
        return _construct(config, "cpu")
    except HydraException as error:
        if isinstance(error.__cause__, UsageError):  # such as a task's about the user's data file
            raise error.__cause__ from None
        cause = " ".join(str(error.__cause__ or "").split())
        if str(error).startswith("Error locating"):
            raise UsageError(f"{cause} If it is your own, pass --config-dir.") from error
        raise UsageError(f"{str(error).splitlines()[0].rstrip(':')}: {cause}") from error
    except UsageError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, ValueError) and re.match(r"(cell|init|model)\.\w+=", str(error)):
            raise UsageError(" ".join(str(error).split())) from error
        raise _refused(config, ("cell", "init", "task"), error) from error


def _construct(config: Config, device: str) -> Parts:
    """Construct all parts on a device. An initialisation with an argument `task` gets the task."""
    for group in CHOICES:
        find_target(f"{group}._target_", getattr(config, group)["_target_"])
    chosen = {group: {k: v for k, v in getattr(config, group).items() if k != "name"} for group in CHOICES}
    parts = instantiate(chosen, _convert_="all")
    task: Task = parts["task"]
    if not isinstance(parts["remedy"], Remedy):
        raise UsageError(f"remedy={config.remedy['name']}: must be a subclass of experiments.remedies.Remedy")
    if not isinstance(parts["nonfinite"], Diverge):
        raise UsageError(f"nonfinite={config.nonfinite['name']}: must be a subclass of experiments.nonfinite.Diverge")
    if not callable(parts["clip"]):
        raise UsageError(f"clip={config.clip['name']}: must be callable with the gradients and their norm")
    stop = parts["stop"]
    if not callable(stop):
        raise UsageError(f"stop={config.stop['name']}: must be callable with the evaluations so far")
    if isinstance(stop, Solved) and task.solved_below is None:
        raise UsageError(
            f"stop={config.stop['name']}: task={config.task['name']} has no criterion for being solved; "
            "use stop=hopeless or stop=none"
        )
    if isinstance(stop, Hopeless | SolvedOrHopeless) and stop.by >= config.steps:
        raise UsageError(f"stop.by={stop.by}: must be less than steps={config.steps}; otherwise it never ends a run")
    initialize = parts["init"]
    if "task" in inspect.signature(initialize).parameters:
        initialize = partial(initialize, task=task)
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(config.seed)
        network = RecurrentNetwork(
            parts["cell"],
            partial(_initialize, config, initialize),
            input_size=task.input_size,
            hidden_size=config.model.hidden_size,
            num_layers=config.model.num_layers,
            output_size=task.output_size,
            readout_steps=task.readout_steps,
            dtype=getattr(torch, config.dtype),
            truncation=config.truncation,
        )
    own = [group for group in ("optimizer", "schedule") if not getattr(config, group)["_target_"].startswith(OWN)]
    if own:  # the annotations of our own classes have been checked already
        try:
            schedule = parts["schedule"](parts["optimizer"](network.parameters()))
            if not isinstance(schedule, LRScheduler | ReduceLROnPlateau):
                raise TypeError(f"it builds {schedule!r}, not a scheduler of torch.optim.lr_scheduler")
        except Exception as error:
            raise _refused(config, own, error) from error
    network = network if device == "meta" else network.to(config.device)
    for group in ("clip", "remedy", "nonfinite"):
        if attach := getattr(parts[group], "attach", None):
            try:
                attach(network)
            except ValueError as error:
                raise UsageError(f"{group}={getattr(config, group)['name']}: {error}") from error
    measures = {name: _measure(name, config.record) for name in config.record.measures}
    make_optimizer, make_schedule = parts["optimizer"], parts["schedule"]
    return Parts(
        network, task, parts["clip"], make_optimizer, make_schedule, parts["remedy"], parts["nonfinite"], stop, measures
    )


def _initialize(config: Config, initialize: Callable[[Cell], None], cell: Cell) -> None:
    """Initialise a cell; an initialisation of our own says by a ValueError that it is not defined for the cell."""
    try:
        initialize(cell)
    except ValueError as error:
        if not config.init["_target_"].startswith(OWN) or str(error).startswith("init."):
            raise
        raise UsageError(f"init={config.init['name']} cell={config.cell['name']}: {error}") from error


def _measure(name: str, record: RecordConfig) -> Measure:
    """A measure, constructed with the keys of `record` that its constructor has as arguments."""
    measure = find_measure(name)
    wanted = inspect.signature(measure).parameters.keys() & RecordConfig.model_fields.keys()
    return measure(**{key: getattr(record, key) for key in wanted})


def _refused(config: Config, groups: Sequence[str], error: Exception) -> UsageError:
    asked = " ".join(f"{group}={getattr(config, group)['name']}" for group in groups)
    frames = traceback.extract_tb(error.__traceback__)[1:] or traceback.extract_tb(error.__traceback__)
    where = ([frame for frame in frames if "site-packages" not in frame.filename] or frames)[-1]
    return UsageError(f"{asked}: {in_a_line(error)} ({Path(where.filename).name}, line {where.lineno})")
