"""One backward pass: the gradient that training uses and, where it is wanted, the trace of every timestep."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.remedies import Remedy
from experiments.tasks.task import Batch, Task
from models.contributions import Bounds
from models.network import RecurrentNetwork
from models.trace import Trace, follow


class Pass(NamedTuple):
    """The outcome of a forward and backward pass; the gradients of the parameters are in their `grad`.

    Attributes:
        loss: Loss of the batch.
        penalty: Penalty of the remedy; None without one.
        trace: Trace of the layers; None if it was not asked for.
    """

    loss: float
    penalty: float | None
    trace: Trace | None


def backpropagate(
    network: RecurrentNetwork,
    task: Task,
    batch: Batch,
    *,
    remedy: Remedy | None = None,
    windows: Bounds | None = None,
    scale: float = 1.0,
    overflowed: bool = False,
) -> Pass:
    """Compute the loss and all gradients.

    The trace changes nothing: the gradients of the parameters and the random numbers that follow are the same with and
    without it.

    Args:
        network: Network; its gradients are set to zero first.
        task: Task that computes the loss.
        batch: Batch on which the loss is computed.
        remedy: Remedy whose penalties are added to the loss.
        windows: Windows of the trace; None computes no trace.
        scale: Factor by which the loss is multiplied before it is backpropagated.
        overflowed: Whether a nan in the trace means a value beyond the range of the dtype; see `Trace`.

    Raises:
        DetachedState: The trace finds a state outside autograd's graph.
    """
    network.zero_grad()
    traced = remedy is not None and remedy.reads_trace
    start = Start(network, batch.inputs.device) if traced or windows is not None else None
    hidden = network.hidden(batch.inputs, batch.starts)
    if start is not None:
        for h in hidden:
            h.retain_grad()  # the direct part of dL/dh_t: through the read-out or the layer above at timestep t
    outputs = network.read_out(hidden[-1])
    loss = task.losses(outputs, batch.targets).mean()
    penalty = None if remedy is None else _checked(remedy, remedy.penalty(network, outputs, hidden))
    whole = loss if penalty is None else loss + penalty
    torch.autograd.backward(whole if scale == 1 else whole * scale)
    trace = None
    if start is not None:
        with start.again():  # a cell with dropout draws the same numbers in the trace
            trace = follow(
                network.cells,
                batch.inputs,
                hidden,
                windows or [(1, len(batch.inputs))],
                overflowed=overflowed,
                penalized=penalty is not None or traced,
                truncation=network.truncation,
                starts=batch.starts,
            )
        trace.marked = task.marked(batch)
    if remedy is not None and traced and trace is not None:
        of_trace = _checked(remedy, remedy.trace_penalty(network, trace))
        if of_trace is not None:
            torch.autograd.backward(of_trace if scale == 1 else of_trace * scale)
            penalty = of_trace if penalty is None else penalty + of_trace
    return Pass(loss.item(), None if penalty is None else penalty.item(), None if windows is None else trace)


class Start:
    """What a pass starts from beside the parameters: torch's random number generators and the network's buffers.

    Args:
        network: Network, whose buffers may change in a pass, as running statistics do.
        device: Device of the network, whose generator counts as well.
    """

    def __init__(self, network: RecurrentNetwork, device: torch.device) -> None:
        self._network = network
        self._buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        self._devices = [device] if device.type == "cuda" else []
        self._cpu = torch.get_rng_state()
        self._cuda = [torch.cuda.get_rng_state(device) for device in self._devices]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Start from there again. Numbers drawn later, and the buffers afterwards, are not affected."""
        after = dict(self._network.named_buffers())
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self._cpu)
            for device, state in zip(self._devices, self._cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            self._set_buffers({name: self._buffers.get(name, buffer) for name, buffer in after.items()})
            try:
                yield
            finally:
                self._set_buffers(after)

    def _set_buffers(self, buffers: Mapping[str, Tensor]) -> None:
        for name, buffer in buffers.items():
            owner, _, own = name.rpartition(".")
            setattr(self._network.get_submodule(owner), own, buffer)


def _checked(remedy: Remedy, penalty: object) -> Tensor | None:
    """The penalty of a remedy, which must be one number that depends on the network."""
    if penalty is None:
        return None
    if isinstance(penalty, Tensor) and penalty.numel() == 1 and penalty.requires_grad:
        return penalty.reshape(())
    what = f"a tensor of shape {tuple(penalty.shape)}" if isinstance(penalty, Tensor) else repr(penalty)
    raise TypeError(
        f"{type(remedy).__name__}.penalty returned {what}; it returns None, or one number as a tensor that depends on "
        "the network"
    )
