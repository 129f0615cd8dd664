"""Which entries of a cell's state the next timestep reads: the others are for the output alone."""

import torch
from jaxtyping import Bool
from torch import Tensor

from models.cell import Cell, State


def read_entries(cell: Cell, before: State) -> dict[str, Bool[Tensor, " size"]]:
    """Whether the next state depends on each entry of a state, by the state's name.

    An entry that is nan makes everything nan that is computed from it, whatever the weights are, so the cell makes one
    step from a state in which each row has another entry that is nan. The random numbers and the buffers of the cell
    stay as they were. If the step does not take nan, all entries count as read.

    Args:
        cell: Layer.
        before: A state that the cell was in, with at least one row.
    """
    like = next(cell.parameters())
    sizes = [one.shape[1] for one in before]
    rows = sum(sizes)
    spoiled = [one.detach()[:1].nan_to_num().repeat(rows, 1) for one in before]
    for start, one in zip([0, *torch.tensor(sizes).cumsum(0).tolist()], spoiled, strict=False):
        entries = torch.arange(one.shape[1], device=one.device)
        one[start + entries, entries] = torch.nan
    buffers = [(buffer, buffer.clone()) for buffer in cell.buffers()]
    devices = [like.device] if like.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            after = cell.step(like.new_zeros(rows, cell.input_size), tuple(spoiled))
        reached = torch.stack([one.isnan().any(dim=1) for one in after]).any(dim=0)
    except Exception:  # the step is the user's own
        reached = torch.ones(rows, dtype=torch.bool, device=like.device)
    finally:
        for buffer, saved in buffers:
            buffer.copy_(saved)
    return dict(zip(cell.state_names, torch.split(reached, sizes), strict=True))
