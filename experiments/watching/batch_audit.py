"""`bptt.check`: the audit of the gradient of one batch, whose loss a function of the user's computes."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from experiments.errors import in_a_line
from experiments.watching.audit import Audit, Auditor
from experiments.watching.calls import Call
from experiments.watching.inputs import Change, changed_inputs, unmoved
from experiments.watching.reduction import Undecided, name_reduction
from experiments.watching.sequences import is_cell

Loss = Callable[[nn.Module, Any], Tensor]


class BatchAuditor(Auditor):
    """Computes the loss of a batch with a function of the user's.

    Args:
        model: Model; it is copied.
        batch: Whatever `loss_function` reads; its floating-point tensors become float64.
        loss_function: Computes the loss from the model and the batch.
    """

    def __init__(self, model: nn.Module, batch: Any, loss_function: Loss) -> None:
        try:
            self._model = copy.deepcopy(model).double()
        except Exception as error:
            raise ValueError(f"model: cannot be copied, which the check needs ({in_a_line(error)})") from None
        super().__init__(self._model)
        self._batch, self._loss_function = doubled(batch), loss_function
        self._buffers = {name: one.clone() for name, one in self._model.named_buffers()}
        self._random = torch.get_rng_state()

    def _reduction(self, loss: Tensor, calls: list[Call], numbers: Mapping[int, int]) -> str:
        """Whether the loss is a mean or a sum over time: the graph tells, or else a shorter batch."""
        try:
            return super()._reduction(loss, calls, numbers)
        except Undecided as error:
            module = calls[-1].module
            length = sum(
                1 if is_cell(module) else int(times.max()) + 1 for one, _, times, *_ in self._places if one is module
            )
            try:
                return name_reduction(calls, length, self._batch, self._calls_of)
            except Undecided:
                raise error from None

    def _calls_of(self, batch: Any) -> list[Call]:
        """The calls of the model with another batch, and the gradients that reach their outputs."""
        whole, self._batch = self._batch, batch
        self._calls.on, self._calls.kept = True, []
        try:
            loss = self._loss(unmoved, gradients=True)
            parameters = [one for one in self._model.parameters() if one.requires_grad]
            torch.autograd.grad(loss, parameters, allow_unused=True)
        finally:
            self._batch, self._calls.on = whole, False
        return self._calls.kept

    def _loss(self, change: Change, gradients: bool = False) -> Tensor:
        default = torch.get_default_dtype()
        with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(gradients):
            torch.set_rng_state(self._random)
            torch.set_default_dtype(torch.float64)
            try:
                for name, buffer in self._model.named_buffers():
                    buffer.data.copy_(self._buffers[name])
                with changed_inputs(self._calls.layers, change):
                    loss = self._loss_function(self._model, self._batch)
            except Exception as error:
                error.add_note(
                    "bptt.check calls loss_function with a copy of the model and with the batch, both in float64; "
                    "what else it reads must fit these"
                )
                raise LossFails(error) from None
            finally:
                torch.set_default_dtype(default)
        if not isinstance(loss, Tensor):
            raise ValueError(f"loss_function: must return a tensor, but returned a {type(loss).__name__}")
        return loss


def check(model: nn.Module, batch: Any, loss_function: Loss) -> Audit:
    """See `bptt.check`."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: must be a torch.nn.Module, but is a {type(model).__name__}")
    if not callable(loss_function):
        kind = type(loss_function).__name__
        raise TypeError(f"loss_function: must be a function of the model and the batch, but is a {kind}")
    try:
        return BatchAuditor(model, batch, loss_function).audit()
    except LossFails as error:
        raise error.raised.with_traceback(error.trace) from None


class LossFails(Exception):
    """The user's loss function raised an exception.

    Args:
        raised: The exception.
    """

    def __init__(self, raised: Exception) -> None:
        self.raised = raised
        self.trace = raised.__traceback__ and raised.__traceback__.tb_next  # without the frame that called the function


def doubled(batch: Any) -> Any:
    """A copy of a batch with float64 in place of all floating-point tensors, also in tuples, lists and dicts."""
    if isinstance(batch, Tensor):
        return batch.detach().double() if batch.is_floating_point() else batch
    if isinstance(batch, PackedSequence):
        return batch._replace(data=doubled(batch.data))
    if isinstance(batch, dict):
        return {key: doubled(one) for key, one in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(doubled, batch))
    if isinstance(batch, tuple | list):
        return type(batch)(map(doubled, batch))
    return batch
