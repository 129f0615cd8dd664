"""The memory that a run needs at least: more than the machine has is refused before the system kills the process."""

from pathlib import Path

import torch

from experiments.config.parts import Parts
from experiments.config.schema import Config


def check_memory(config: Config, parts: Parts) -> None:
    """Compare what training certainly needs with the machine's memory: parameters, gradients, one batch and its states.

    Args:
        config: The run's configuration.
        parts: The parts of the run; the network may be on the meta device.

    Raises:
        MemoryError: The machine has less memory than that.
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
    """Main memory and swap, in bytes; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines)}
    return 1024 * (int(sizes["MemTotal"]) + int(sizes["SwapTotal"]))
