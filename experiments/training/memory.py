"""A check that a run fits in memory, made before the system would kill the process."""

from pathlib import Path

import torch

from experiments.config.parts import Parts
from experiments.config.schema import Config


def check_memory(config: Config, parts: Parts) -> None:
    """Compare the memory that training needs at least with the memory of the machine.

    Training needs at least the parameters, their gradients, one batch and its states. Only runs on the CPU are checked.

    Args:
        config: The run's configuration.
        parts: The parts of the run; the network may be on the meta device.

    Raises:
        MemoryError: The machine has less memory.
    """
    installed = _installed()
    if installed is None or config.device != "cpu":
        return
    parameters = sum(parameter.numel() for parameter in parts.network.parameters())
    width = parts.task.input_size + config.model.hidden_size * config.model.num_layers
    numbers = 2 * parameters + config.batch_size * parts.task.timesteps * width
    needed = numbers * torch.finfo(getattr(torch, config.dtype)).bits // 8
    if needed > installed:
        raise MemoryError(f"cannot allocate {needed} bytes")


def _installed() -> int | None:
    """Size of main memory and swap, in bytes; None if the system does not provide it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines)}
    return 1024 * (int(sizes["MemTotal"]) + int(sizes["SwapTotal"]))
