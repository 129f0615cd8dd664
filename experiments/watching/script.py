"""Watching the recurrent layers that a script trains, from outside: what `bptt watch` does in the script's process."""

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from experiments.errors import in_a_line
from experiments.watching.calls import Call, Calls
from experiments.watching.metrics import grad_norms, gradients_of, norm_of, norms_in_range
from experiments.watching.scaling import Scaling, divide
from experiments.watching.seeing import Seeing
from experiments.watching.watch import Watch

MEASURES = {
    "gradients": True,
    "contributions": True,
    "parameters": True,
    "gates": True,
    "activations": False,
}


def begin(task: Mapping[str, Any]) -> None:
    """Watch all that the script trains from now on.

    Args:
        task: `every`, `lags`, `truncation`, `spikes`, `spike_limit`, `spike_batches`, `folder` of the study, and
            `told`: the file that tells `bptt watch` the run's folder.
    """
    options = {name: task[name] for name in ("every", "lags", "truncation", "spikes", "spike_limit", "spike_batches")}
    ScriptWatch(task["folder"], options, Path(task["told"]))


class Models(nn.Module):
    """The models that a script trains, as one.

    Args:
        models: The models.
    """

    def __init__(self, models: list[nn.Module]) -> None:
        super().__init__()
        for number, model in enumerate(models, 1):
            self.add_module(type(model).__name__ + ("" if number == 1 else str(number)), model)


def quietly(of_training: Callable[..., None]) -> Callable[..., None]:
    """Make a method print its errors and warnings on stderr: the user's training goes on, unchanged."""

    @wraps(of_training)
    def method(self: "ScriptWatch", *args: Any) -> None:
        if self.is_over:
            return
        try:
            with warnings.catch_warnings(record=True) as caught, torch.no_grad():
                warnings.simplefilter("always")
                of_training(self, *args)
            for one in caught:
                say(str(one.message).removeprefix("bptt.watch: "))
        except Exception as error:
            self.is_over = True
            say(f"stops watching: {in_a_line(error)}")

    return method


class ScriptWatch:
    """Watches the models whose recurrent layers a script trains.

    A step is an update by an optimizer of torch.optim that trains one of the layers, after at least one backward pass.
    Its loss is the sum over its backward passes. The gradients are those right after the last of them, before they are
    clipped. What a GradScaler has multiplied is divided. An update that it leaves out is a step, too.

    Args:
        folder: Folder of the study.
        options: `every`, `lags`, `truncation`, `spikes`, `spike_limit` and `spike_batches` of `bptt.watch`.
        told: File that gets what `bptt watch` reports.
    """

    def __init__(self, folder: str, options: Mapping[str, Any], told: Path) -> None:
        self.is_over = False
        self._folder, self._options, self._told = folder, dict(options), told
        self._scaling = Scaling(say=say, skipped=self.skipped)
        self._models: dict[nn.Module, Calls] = {}
        self._watch: Watch | None = None
        self._loss: Tensor | float | None = None
        self._norms: Sequence[Tensor] = ()
        self._gradients: dict[Tensor, Tensor] = {}
        self._seeing = Seeing(self.called, self.went_back, self.about_to_update)

    @quietly
    def called(self, model: nn.Module) -> None:
        """See the calls of the layers of a model that is new."""
        known = {one for root in self._models for one in root.modules()}
        if model not in known:
            self._models[model] = Calls(model)
            self._tell()

    @quietly
    def went_back(self, starts: list[Tensor]) -> None:
        """Keep the loss and the gradients of a backward pass."""
        one = float("nan") if any(start.numel() != 1 for start in starts) else sum(start.detach() for start in starts)
        scale, watch = self._scaling.take_pass(), self._watch
        if scale is not None:
            one = divide(torch.as_tensor(one), scale)
        self._loss = one if self._loss is None else self._loss + one
        if watch is None:
            self._scaling.reached(leaves_of(starts), scale)
        parameters = self._scaling.parameters if watch is None else watch.parameters
        with self._scaling.divided():
            self._norms = grad_norms(gradients_of(parameters))
            is_due = watch is None or watch.is_due
            is_spike = False
            if watch is not None and watch.spikes is not None and self._norms:
                self._norms = norms_in_range(self._norms, parameters)
                is_spike = watch.spikes.is_spike(norm_of(self._norms))
            kept = self._scaling.parameters if is_due or is_spike else []
            self._gradients = {one: gradient.clone() for one in kept if (gradient := one.grad) is not None}

    @quietly
    def about_to_update(self, optimizer: Optimizer) -> None:
        """Count a step."""
        if self._count(optimizer) and self._watch is not None:
            self._watch.about_to_update(optimizer)

    @quietly
    def skipped(self, optimizer: Optimizer) -> None:
        """Count a step whose update a GradScaler leaves out, as a gradient is not finite."""
        self._count(optimizer)

    def _count(self, optimizer: Optimizer) -> bool:
        """Count a step, if there is one."""
        if self._loss is None:
            return False
        updated = [one for group in optimizer.param_groups for one in group["params"]]
        layers = [layer for calls in self._models.values() for layer in calls.layers.values()]
        trained = {one for layer in layers for one in layer.parameters()}
        if trained.isdisjoint(updated):
            return False
        is_first = self._watch is None
        if self._watch is None:
            self._watch = self._start(updated)  # only now is known which parameters are trained
        now = {one: one.grad for one in self._gradients}
        for one, gradient in self._gradients.items():
            one.grad = gradient
        try:
            self._watch.step(self._loss, grad_norms(gradients_of(updated)) if is_first else self._norms)
        finally:
            for one, current in now.items():
                one.grad = current
            self._loss, self._gradients = None, {}
        return True

    def _start(self, updated: list[Tensor]) -> Watch:
        self._seeing.all_models_known()
        within = {one for model in self._models for one in model.modules() if one is not model}
        roots = [model for model in self._models if model not in within]
        seen: list[Call] = []
        for root in roots:
            seen += self._models[root].kept
        for calls in self._models.values():
            calls.close()
        model = roots[0] if len(roots) == 1 else Models(roots)
        watch = Watch(
            model,
            self._folder,
            every=self._options["every"],
            windows=10,
            measures={**MEASURES, **{name: self._options[name] for name in ("lags", "truncation", "spikes")}},
            spike_limit=self._options["spike_limit"],
            spike_batches=self._options["spike_batches"],
            lag_samples=None,
            name=None,
            steps=None,
            settings=None,
            seen=seen,
            parameters=updated,
            sees_updates=False,
            scaling=self._scaling,
        )
        self._tell(watch.path)
        return watch

    def _tell(self, run: Path | None = None) -> None:
        called = [name for calls in self._models.values() for name in calls.layers]
        called += [f"{name} ({why})" for calls in self._models.values() for name, why in calls.refused.items()]
        self._told.write_text(json.dumps({"called": called, "run": None if run is None else str(run.absolute())}))


def leaves_of(starts: Iterable[Tensor]) -> list[Tensor]:
    """The tensors with a gradient that a backward pass from these tensors came to."""
    nodes: list[Any] = [one.grad_fn for one in starts]
    seen, leaves = set(nodes), []
    while nodes:
        node = nodes.pop()
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        new = {one for one, _ in getattr(node, "next_functions", ())} - seen
        seen |= new
        nodes += new
    return leaves


def say(line: str) -> None:
    """Print a line on stderr."""
    print(f"bptt watch: {line}", file=sys.stderr)
