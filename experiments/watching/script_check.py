"""Checking the first training step of a script, from outside: what `bptt check` does in the script's process.

At the first call of a model the process forks. The original goes on to the first backward pass, in float64. The other
one waits at the call, and forks again for each loss with changed inputs: all of them repeat the script's own code.
"""

import gc
import json
import os
import pickle
import sys
from collections.abc import Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from experiments.errors import in_a_line
from experiments.watching.audit import Auditor
from experiments.watching.calls import Calls, not_seen
from experiments.watching.inputs import Change, changed_inputs
from experiments.watching.scaling import Scaling
from experiments.watching.seeing import Seeing, has_recurrent_layers

SHORTER = (torch.float32, torch.float16, torch.bfloat16)


def begin(task: Mapping[str, Any]) -> None:
    """Check the first training step of the script.

    Args:
        task: `told`: the file that tells `bptt check` the findings.
    """
    ScriptCheck(Path(task["told"]))


class InDouble(TorchFunctionMode):
    """Makes torch compute in float64 wherever a script asks for a shorter dtype, as long as it is on."""

    is_on = True

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.is_on:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map(_doubled, (args, kwargs or {}))
        shortens = func in (Tensor.float, Tensor.half, Tensor.bfloat16)
        return func(*args, **kwargs).double() if shortens else func(*args, **kwargs)


class ScriptAuditor(Auditor):
    """Has the script compute its loss.

    Args:
        model: Model in float64.
        pipe: Takes a change of inputs and gives the loss.
    """

    def __init__(self, model: nn.Module, pipe: Any) -> None:
        super().__init__(model)
        self._pipe = pipe
        self._first: Tensor | None = None
        self._hooks = changed_inputs(self._calls.layers, self._with_deltas)
        self._hooks.__enter__()

    def audit_step(self, loss: Tensor) -> list[tuple[str, str, bool]]:
        """Run the audit, now that the loss is known: the name of a layer, what was found, whether it is a fault."""
        self._first = loss
        called = {module for module, *_ in self._places}
        self._names = {module: name for module, name in self._names.items() if module in called}
        return [(one.layer, one.sentence, one.is_fault) for one in self.audit().findings]

    def _loss(self, change: Change, gradients: bool = False) -> Tensor:
        if gradients and self._first is not None:
            return self._first
        self._pipe.send_bytes(pickle.dumps(change))
        try:
            return torch.tensor(self._pipe.recv())
        except EOFError:
            raise ValueError("the step cannot be repeated: it fails the second time") from None


class ScriptCheck:
    """Checks the step that ends with the first backward pass of a script, then ends the script.

    Args:
        told: File that gets the findings.
    """

    def __init__(self, told: Path) -> None:
        self._told = told
        self._auditor: ScriptAuditor | None = None
        self._answer: Any = None  # in a process that repeats the step
        self._has_begun = False
        self._findings: list[tuple[str, str, bool]] | None = None
        self._goes_back: Any = torch.autograd.backward
        Seeing(self.first_call, lambda starts: None, lambda optimizer: self._end_step())
        torch.autograd.backward = self.backward
        self._scaling = Scaling(say=self._clips)

    def first_call(self, model: nn.Module) -> None:
        """Prepare the check, or end the script."""
        if self._has_begun:
            return
        self._has_begun = True
        if why := not_seen(model):
            self._end(error=f"none of its recurrent layers can be seen ({why})")
        try:
            self._fork()
        except Exception as error:
            self._end(error=in_a_line(error))

    def _fork(self) -> None:
        """Fork at the first call."""
        models = _models()
        tensors = [one for root in models.values() for one in (*root.parameters(), *root.buffers())]
        if any(one.device.type != "cpu" for one in tensors):
            self._end(error="the model is not on the CPU; run the script on the CPU, or use bptt.check in it")
        self._dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)  # threads do not survive a fork
        whole = nn.ModuleDict(models).double() if len(models) > 1 else next(iter(models.values())).double()
        self._in_double = InDouble()
        self._in_double.__enter__()  # type: ignore[no-untyped-call]
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fork():
            theirs.close()
            self._auditor = ScriptAuditor(whole, ours)
        else:
            ours.close()
            self._repeat(whole, theirs)

    def backward(self, tensors: Any, *args: Any, **kwargs: Any) -> None:
        """End the step in place of the first backward pass; if it is scaled, wait for the clipping or the update."""
        starts = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        if self._answer is not None:
            self._answer.send(float(starts[0].detach()))
            os._exit(0)
        if self._findings is not None:
            self._goes_back(tensors, *args, **kwargs)
        elif self._auditor is None:
            self._end(
                error="the first backward pass reaches no recurrent layer: none was called before it with gradients on"
            )
        elif len(starts) != 1 or starts[0].numel() != 1:
            self._end(error="the first backward pass starts at more than one number")
        else:
            try:
                self._findings = self._auditor.audit_step(starts[0])
            except Exception as error:
                self._end(error=in_a_line(error))
            if not self._scaling.is_used:
                self._end_step()
            self._tell(findings=self._findings)  # in case that neither clipping nor an update follows
            self._in_double.is_on = False  # GradScaler unscales in float32
            torch.set_default_dtype(self._dtype)
            self._goes_back(tensors, *args, **kwargs)

    def _clips(self, sentence: str) -> None:
        """End at the clipping of gradients that are still scaled."""
        if self._findings is not None:
            self._end(findings=[*self._findings, ("clipping", sentence, True)])

    def _end_step(self) -> None:
        """End at the update."""
        if self._findings is not None:
            self._end(findings=self._findings)

    def _repeat(self, whole: nn.Module, pipe: Any) -> None:
        """Wait for changes of inputs; return in a process of its own for each."""
        while True:
            try:
                change = pickle.loads(pipe.recv_bytes())
            except EOFError:
                os._exit(0)
            child = os.fork()
            if not child:
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, 1)
                os.dup2(nothing, 2)
                self._hooks = changed_inputs(
                    Calls(whole).layers, change
                )  # which would be removed if this were not kept
                self._hooks.__enter__()
                self._answer = pipe
                return
            if os.waitpid(child, 0)[1]:
                os._exit(1)

    def _end(self, **told: Any) -> None:
        """Tell `bptt check` what was found, and end the script before it writes anything."""
        self._tell(**told)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def _tell(self, **told: Any) -> None:
        self._told.write_text(json.dumps(told))


def _models() -> dict[str, nn.Module]:
    """The outermost modules with recurrent layers inside, by name."""
    found = [one for one in gc.get_objects() if issubclass(type(one), nn.Module)]
    found = [one for one in found if has_recurrent_layers(one)]
    within = {inner for one in found for inner in one.modules() if inner is not one}
    named: dict[str, nn.Module] = {}
    for one in found:
        if one not in within:
            name = type(one).__name__
            named[name + str(len(named) + 1) * (name in named)] = one
    return named


def _doubled(one: Any) -> Any:
    if isinstance(one, torch.dtype):
        return torch.float64 if one in SHORTER else one
    if not isinstance(one, Tensor) or one.dtype not in SHORTER:
        return one
    if one.grad_fn is not None:
        return one.double()
    one.data = one.data.double()  # in place, as the script may write into it
    return one
