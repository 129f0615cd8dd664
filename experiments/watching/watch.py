"""What `bptt.watch` returns: it counts the steps of the user's loop and has the measures write their tables."""

import atexit
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from experiments.errors import in_a_line
from experiments.measures.measure import Measure, Row, check_rows, find_measure
from experiments.spike_detector import Spike
from experiments.store.status import Status
from experiments.watching.arguments import check_arguments
from experiments.watching.audit import Audit
from experiments.watching.batch_audit import check
from experiments.watching.calls import FUSED, Call, Calls, NotSeen, not_seen
from experiments.watching.folder import RunFolder
from experiments.watching.fused import names_of
from experiments.watching.metrics import WatchedMetrics, norm_of, norms_in_range
from experiments.watching.readings import Reading
from experiments.watching.redone import Redone, redo
from experiments.watching.scaling import Scaling, divide, scale_of
from experiments.watching.spikes import COLUMNS, WatchedSpikes, named_parameters, save_spike, trace_spike
from experiments.watching.trace import OneLayer, WatchedTrace
from experiments.watching.truncation import WatchedTruncation, losses_of
from experiments.watching.weights import kind_of, user_names
from models.contributions import Bounds
from models.trace import cut

SPECTRA_EVERY = 10
"""Interval of the recorded steps with the spectra of the recurrent matrices, which change slowly and take long."""

LAG_SAMPLES = 8
"""Number of timesteps whose losses lags.csv takes apart, unless the user gives another one."""

SPIKE_LIMIT = 6.0
"""The z-score above which a step is a spike, unless the user gives another one."""


LAGS_NEED = "it needs an nn.RNN, nn.LSTM or nn.GRU that is called once a step, not bidirectional and not packed"
"""Why lags.csv has no rows of a layer."""


class Watch:
    """Records the recurrent layers of a model that the user's own loop trains; see `bptt.watch` for the arguments.

    As a context manager, it ends the run on leaving.

    Attributes:
        path: Folder of the run.
        number: Number of steps so far.
        layers: Names of the watched layers; their numbers are those in the column `layer`.
        not_seen: Why a layer was not seen, by its name.
        parameters: Parameters whose gradient is measured at every step.
        spikes: The judge of the gradient norms; None without `spikes=True`.
    """

    def __init__(
        self,
        model: nn.Module,
        folder: str | os.PathLike[str],
        *,
        every: int,
        windows: int | Literal["all"],
        measures: Mapping[str, bool],
        lag_samples: int | None,
        name: str | None,
        steps: int | None,
        settings: Mapping[str, Any] | None,
        spike_limit: float | None = None,
        spike_batches: bool = False,
        seen: Sequence[Call] = (),
        parameters: Sequence[Tensor] | None = None,
        sees_updates: bool = True,
        scaling: Scaling | None = None,
    ) -> None:
        check_arguments(
            model,
            {**measures, "spike_batches": spike_batches},
            settings,
            windows,
            spike_limit,
            every=every,
            lag_samples=lag_samples,
            steps=steps,
        )
        self._model = model
        lag_samples, spike_limit = lag_samples or LAG_SAMPLES, spike_limit or SPIKE_LIMIT
        self._calls = Calls(model)
        self._calls.kept += seen  # of the first step, if the model was called before it was watched
        self.not_seen: dict[str, str] = {}
        self.layers = [each for name, module in self._calls.layers.items() for each in _names(module, name)]
        if not self.layers:
            self._calls.close()
            why = not_seen(model)
            raise ValueError(
                f"model: has no nn.RNN, nn.LSTM, nn.GRU or cell of theirs that can be watched{why and f' ({why})'}"
            )
        self.number = 0
        self._every, self._windows, self._settings, self._steps = every, windows, dict(settings or {}), steps
        self._recorded: dict[str, Any] = {"every": every, "windows": windows, **measures, "lag_samples": lag_samples}
        self._recorded |= {"spike_limit": spike_limit, "spike_batches": spike_batches}
        by_layer = [name for name, wanted in measures.items() if wanted and name not in ("truncation", "spikes")]
        self._measures = [{name: _make(name, lag_samples) for name in by_layer} for _ in self.layers]
        self._truncation = WatchedTruncation() if measures.get("truncation") else None
        self.spikes = WatchedSpikes(spike_limit) if measures.get("spikes") else None
        self._saves = spike_batches
        self.parameters = list(model.parameters() if parameters is None else parameters)
        self._scaling = scaling or Scaling(say=lambda line: warnings.warn(f"bptt.watch: {line}", stacklevel=6))
        self._scaling.parameters = list(dict.fromkeys((*self.parameters, *model.parameters())))
        self._updating: list[tuple[int, int, Reading, dict[str, Measure]]] = []
        self._timesteps = self._readout_steps = 0
        self._is_zeroed = self._is_clipped = False
        self._pid = os.getpid()
        study = Path(folder).expanduser()
        try:
            self._folder = RunFolder(study, name)
        except BaseException:
            self._calls.close()
            raise
        self._study = study.name
        self.path = self._folder.path
        self._metrics = WatchedMetrics(self.parameters, lambda: self._folder.table("metrics"))
        self._seeing = register_optimizer_step_pre_hook(self.about_to_update) if sees_updates else None
        self._is_open = True
        atexit.register(self._at_exit)
        for name, reason in self._calls.refused.items():
            self._name_as_not_seen(name, reason)

    def step(self, loss: Tensor | float, grad_norm: Tensor | Sequence[Tensor] | None = None) -> None:
        """Count a step of the loop, and record it if it is due. Call it between the backward pass and the update.

        Args:
            loss: Loss of the step, one number.
            grad_norm: Norm of the gradient of all parameters, or the norms of its parts; None measures it now.

        Raises:
            TypeError: The loss is not one number.
            RuntimeError: The watch has been closed.
        """
        if not self._is_open:
            raise RuntimeError("watch.step: the watch is closed; call bptt.watch again for another training")
        loss = _one_number(loss)
        is_due = self.is_due
        self.number += 1
        given = [grad_norm] if isinstance(grad_norm, Tensor) else grad_norm
        if self._updating:
            self._after_update()
        with self._scaling.divided() if given is None else nullcontext():
            self._take(loss, given, is_due)
        self._calls.on, self._calls.keeps = self.is_due or self.spikes is not None, self.is_due

    def _take(self, loss: Tensor, given: Sequence[Tensor] | None, is_due: bool) -> None:
        """Measure a step, and record it if it is due, while each gradient is what it would be without GradScaler."""
        self._is_clipped = given is None and self._scaling.is_clipped
        calls = self._calls.take()
        has_gradient = self._is_well_placed(calls, is_due) if given is None else bool(given)
        norms = self._metrics.add(self.number, loss, given if has_gradient else [])
        scales = self._scaling.take_step()
        for call in calls if scales else ():
            if (scale := scale_of(call.module, scales)) is not None:
                call.gradients = {name: divide(one, scale) for name, one in call.gradients.items()}
        if is_due and (has_gradient or self._is_clipped):
            self._record(calls)
        if is_due and not self._folder.has_begun:
            self._start(None, 0)
        if has_gradient and self.spikes is not None:
            self._metrics.replace_norms(norms := norms_in_range(norms, self.parameters))
            if (spike := self.spikes.judge(norm_of(norms))) is not None:
                self._record_spike(spike, calls)
        self._metrics.write(now=is_due)

    def _is_well_placed(self, calls: Sequence[Call], is_due: bool) -> bool:
        """Whether the gradients are those of the loss; otherwise, the first step of this kind is named in a warning."""
        between = "call it between loss.backward() and"
        if all(one.grad is None for one in self.parameters):
            wrong = f"no parameter has a gradient at step {self.number}: {between} optimizer.zero_grad()"
        elif self._is_clipped:
            wrong = (
                f"the gradients are already clipped at step {self.number}, so grad_norm stays empty and parameters.csv "
                f"has no row: {between} the clipping"
            )
        else:
            if is_due:  # reading the gradients takes time
                reached = any(bool(one.any()) for call in calls for one in call.gradients.values())
                self._is_zeroed = reached and not any(
                    bool(one.grad.any()) for one in self.parameters if one.grad is not None
                )
            if not self._is_zeroed:
                return True
            wrong = f"all gradients are 0 at step {self.number}: {between} optimizer.zero_grad()"
        if "watch.step" not in self.not_seen:
            self.not_seen["watch.step"] = wrong
            warnings.warn(f"watch.step: {wrong}", stacklevel=3)
        return False

    @property
    def is_due(self) -> bool:
        """Whether the next step is recorded."""
        return self.number % self._every == 0

    def about_to_update(self, optimizer: Optimizer, *_: Any) -> None:
        """Measure what is left of the gradient before an optimizer's update. Each optimizer of torch calls it."""
        with self._scaling.divided():
            self._metrics.about_to_update(optimizer)

    def check(self, batch: Any, loss_function: Callable[[nn.Module, Any], Tensor]) -> Audit:
        """Audit the gradient of one batch, as `bptt.check` does with the watched model."""
        return check(self._model, batch, loss_function)

    def close(self, status: Status = "completed", error: str | None = None) -> None:
        """End the run: write all that is recorded and remove the hooks. Closing twice does nothing.

        Args:
            status: How the training ended, as in run.json.
            error: Error of a failed training in one line.
        """
        if not self._is_open:
            return
        self._is_open = False
        atexit.unregister(self._at_exit)
        has_calls = bool(self._calls.kept)
        self._calls.close()
        self._scaling.close()
        if self._seeing is not None:
            self._seeing.remove()
        if status == "completed":  # otherwise the last step may have made no update
            self._after_update()
        self._metrics.close()
        if not self.number:
            self.not_seen["watch.step"] = "it was never called"
        if not self._folder.has_begun:
            self._start(None, 0)
        if self._metrics.optimizer is not None:
            self._folder.update(optimizer=self._metrics.optimizer)
        self._folder.close(status, self.number, error)
        if has_calls and not self.number and status == "completed":
            warnings.warn("bptt.watch: nothing is recorded: watch.step was never called", stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(*_how_it_ended(error))

    def _at_exit(self) -> None:
        if os.getpid() == self._pid:  # not in a process that was forked from the user's
            raised = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
            try:
                self.close(*_how_it_ended(raised))
            except OSError as error:
                print(f"bptt.watch: {self.path}: {in_a_line(error)}", file=sys.stderr)

    @torch.no_grad()
    def _record(self, calls: Sequence[Call]) -> None:
        redone = self._redo(calls, self._cut)
        for name, (first, module) in redone.items():
            with self._naming(name):
                for number, reading in enumerate(module.layers, first):
                    self._measure(number, reading, losses_of(module.layers[-1]))
        self._updating = [one for one in self._updating if one[0] == self.number]
        if redone and (last := next(iter(redone.values()))[1].after_last_cut) is not None:
            self._folder.configure(truncation=last)
        if self._truncation is not None:
            with self._naming("truncation.csv"):
                others = [module for name, module in self._calls.layers.items() if name not in redone]
                if any(one.grad is not None for module in others for one in module.parameters()):
                    raise NotSeen("it needs all layers, and some are not seen")
                rows = self._truncation.rows(self.number, redone, self._cut)
                self._folder.table("truncation", self._truncation.columns).append(rows)
                if any(module.is_given_a_state for _, module in redone.values()):
                    self._folder.update(given_state=True)

    @torch.no_grad()
    def _record_spike(self, spike: Spike, calls: Sequence[Call]) -> None:
        """Trace a step that is a spike at every timestep."""
        redone = self._redo(calls, lambda length: cut(length, length))
        readings = {number: one for first, module in redone.values() for number, one in enumerate(module.layers, first)}
        with self._naming("spikes.csv"):
            row = trace_spike(self.number, spike, named_parameters(self._model, self.parameters), readings)
            self._folder.table("spikes", COLUMNS).append([row])
            if self._saves:
                names = {module: name for name, module in self._calls.layers.items()}
                save_spike(self.path, self.number, self._model, calls, names)

    def _redo(self, calls: Sequence[Call], windows: Callable[[int], Bounds]) -> dict[str, tuple[int, Redone]]:
        """Each module that is seen, by its name, with the number of its first layer."""
        first, redone = 0, {}
        for name, module in self._calls.layers.items():
            with self._naming(name):
                redone[name] = (
                    first,
                    redo(self.number, module, [call for call in calls if call.module is module], windows),
                )
            first += len(_names(module, name))
        return redone

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Name what cannot be seen of something; the user's training goes on."""
        try:
            yield
        except NotSeen as error:
            self._name_as_not_seen(name, str(error))
        except Exception as error:
            self._name_as_not_seen(name, in_a_line(error))

    def _measure(self, number: int, reading: Reading, readout_steps: int) -> None:
        """Have the measures write their rows on one layer.

        Args:
            number: Number of the layer.
            reading: What it read.
            readout_steps: Number of timesteps, counted from the end, whose output of the module reaches the loss.
        """
        if not self._timesteps:
            self._start(reading, readout_steps)
        if number == 0 and reading.timesteps > self._timesteps:
            self._timesteps = reading.timesteps
            self._folder.update(timesteps=self._timesteps)
        trace = WatchedTrace({0: reading}, self._cut(reading.timesteps))
        network: Any = OneLayer(reading, readout_steps)
        measures = dict(self._measures[number])
        if "lags" in measures and reading.of_losses is None:
            self._name_as_not_seen("lags.csv", LAGS_NEED)
        if self._is_clipped:
            measures.pop("parameters", None)
        for name, measure in measures.items():
            self._append(number, name, measure, measure.before_update(self.number, network, trace))
        self._updating.append((self.number, number, reading, measures))

    @torch.no_grad()
    def _after_update(self) -> None:
        """Let the measures see the weights after the update of the last recorded step."""
        updated, self._updating = self._updating, []
        for step, number, reading, measures in updated:
            network: Any = OneLayer(reading)
            try:
                for name, measure in measures.items():
                    self._append(number, name, measure, measure.after_update(step, network))
            except Exception as error:  # the user's training goes on
                self._name_as_not_seen(self.layers[number], in_a_line(error))

    def _append(self, number: int, name: str, measure: Measure, rows: Iterable[Row]) -> None:
        rows = check_rows(measure, rows)
        place = next((i for i, column in enumerate(measure.columns) if column in ("layer", "parameter")), None)
        if number and place is not None:
            rows = [(*row[:place], _renumbered(row[place], number), *row[place + 1 :]) for row in rows]
        self._folder.table(name, measure.columns).append(rows)

    def _cut(self, length: int) -> Bounds:
        return cut(length, length if self._windows == "all" else self._windows)

    def _start(self, reading: Reading | None, readout_steps: int) -> None:
        """Write run.json, now that the first batch says what the layers are, or at the end that none was seen."""
        self._timesteps = 0 if reading is None else reading.timesteps
        cell = None if reading is None else reading.cell
        kinds = list(dict.fromkeys(str(kind_of(module)) for module in self._calls.layers.values()))
        any_tensor = self.parameters[0] if reading is None else reading.direct
        config = {
            "cell": {"name": "+".join(kinds)},
            "task": {"name": "watched"},
            "model": {"hidden_size": None if cell is None else cell.hidden_size, "num_layers": len(self.layers)},
            "record": self._recorded,
            "study": {"name": self._study},
            "batch_size": None if reading is None else len(reading.lengths),
            "steps": self._steps or 0,
            "dtype": str(any_tensor.dtype).removeprefix("torch."),
            "device": str(any_tensor.device),
            **(self._settings or {"run": self.path.name}),
        }
        record = {
            "seed": self._settings.get("seed"),
            "threads": torch.get_num_threads(),
            "parameters": sum(parameter.numel() for parameter in self.parameters),
            "timesteps": self._timesteps,
            "readout_steps": readout_steps,
            "cell": {} if cell is None else {"states": list(cell.state_names), "kept_by": dict(cell.kept_by)},
            "record": self._recorded,
            "watched": self.layers,
            "parameter_names": user_names(self._model, self._calls.layers),
            "lags_possible": reading is not None and reading.of_losses is not None,
            "not_seen": self.not_seen,
        }
        self._folder.start(config, record)

    def _name_as_not_seen(self, name: str, reason: str) -> None:
        if name not in self.not_seen:
            self.not_seen[name] = reason
            warnings.warn(f"bptt.watch: {name} is not seen: {reason}", stacklevel=6)
            if self._folder.has_begun:
                self._folder.update(not_seen=self.not_seen)


def _renumbered(value: Any, number: int) -> Any:
    """A layer's number or a parameter's name with the number of the watched layer in place of 0."""
    return f"layers.{number}.{value.removeprefix('layers.0.')}" if isinstance(value, str) else number


def _names(module: nn.Module, name: str) -> list[str]:
    return names_of(module, name) if isinstance(module, FUSED) else [name]


def _make(name: str, lag_samples: int) -> Measure:
    make: Callable[..., Measure] = find_measure(name)
    options = {"lags": {"lag_samples": lag_samples}, "parameters": {"spectra_every": SPECTRA_EVERY}}
    return make(**options.get(name, {}))


def _one_number(loss: Any) -> Tensor:
    if isinstance(loss, Tensor) and loss.numel() == 1:
        return loss.detach()
    if isinstance(loss, int | float):
        return torch.tensor(loss)
    raise TypeError(f"watch.step: the loss must be one number, but is {type(loss).__name__}")


def _how_it_ended(raised: BaseException | None) -> tuple[Status, str | None]:
    """The status of a training, and its error in one line, from the exception that ended it."""
    if raised is None or (isinstance(raised, SystemExit) and not raised.code):
        return "completed", None
    if isinstance(raised, Exception):
        return "failed", in_a_line(raised)
    return "interrupted", None
