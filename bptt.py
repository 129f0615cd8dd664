"""`import bptt` in your own training loop: `bptt.watch` records how the gradient flows through its recurrent layers.

Our packages have common names (`models`, `experiments`, ...), which your project may use as well. Here they are
imported as `bptt.models`, `bptt.experiments` and so on, beside your own packages, whichever are imported first. None is
imported before `watch` is called.
"""

import builtins
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from experiments.watching.audit import Audit
    from experiments.watching.watch import Watch

__all__ = ["check", "watch"]
__path__: list[str] = []  # lets `bptt.models` be imported, although this is no folder

ROOT = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ("cli", "conf", "experiments", "models")


def watch(
    model: "nn.Module",
    folder: str | os.PathLike[str],
    *,
    every: int = 50,
    windows: int | Literal["all"] = 10,
    gradients: bool = True,
    contributions: bool = True,
    parameters: bool = True,
    gates: bool = True,
    activations: bool = False,
    lags: bool = False,
    truncation: bool = False,
    spikes: bool = False,
    spike_limit: float | None = None,
    spike_batches: bool = False,
    lag_samples: int | None = None,
    name: str | None = None,
    steps: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> "Watch":
    """Watch the recurrent layers of a model while your own loop trains it.

        watch = bptt.watch(model, "results/pump", every=50)
        ...
        loss.backward()
        watch.step(loss)  # before clipping and the optimiser's step

    With torch.amp.GradScaler, call `watch.step(loss)` at the same place, before or after `scaler.unscale_(optimizer)`,
    with the loss before `scaler.scale`. What is recorded is the gradient without the scale.

    Every nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell and nn.GRUCell inside the model is watched. The files are
    those of a run of `bptt`, so `bptt plot`, `bptt report` and `bptt status` read the folder. The
    training does not change: the weights stay bitwise the same.

    Args:
        model: Model that is trained. Its layers may be inside other modules.
        folder: Folder of the study, such as "results/pump". Each call of `watch` adds a run to it.
        every: Interval of the recorded steps, which are 1, 1 + every, 1 + 2 every, ...; metrics.csv has every step.
        windows: Number of windows that the timesteps are divided into; "all" records every timestep.
        gradients: Whether to write gradients.csv.
        contributions: Whether to write contributions.csv.
        parameters: Whether to write parameters.csv.
        gates: Whether to write gates.csv.
        activations: Whether to write activations.csv.
        lags: Whether to write lags.csv.
        truncation: Whether to write truncation.csv: how far the gradient is from the whole one if it is cut after K
            timesteps. If the loop detaches states, K is also the number of timesteps in its own pieces.
        spikes: Whether to write spikes.csv: where a gradient norm that leaves its running distribution, or is not
            finite, comes from. The norm of every step is looked at, and the layers' calls are kept until `step`.
        spike_limit: Standard deviations of the norm's logarithm above which a step is a spike; None means 6. It goes
            with `spikes=True`.
        spike_batches: Whether to save what the layers read at a spike, and the weights, to spikes/STEP.pt in the run's
            folder. It goes with `spikes=True`.
        lag_samples: Number of timesteps whose losses lags.csv takes apart; None means 8. It goes with `lags=True`.
        name: Name of the run; None takes run1, run2, ... in turn.
        steps: Number of steps that the training will take, if you know it, so that `bptt status` shows how far it is.
        settings: Settings of your training, such as {"lr": 0.01, "seed": 3}. Figures compare runs by them.

    Returns:
        The watch. Call its `step` once after each backward pass. Its `close`, or the end of the program, ends the run.

    Raises:
        ValueError: An argument has a wrong value, or the model has no recurrent layer that can be watched.
        TypeError: An argument has a wrong type.
    """
    choices = {
        "gradients": gradients,
        "contributions": contributions,
        "parameters": parameters,
        "gates": gates,
        "activations": activations,
        "lags": lags,
        "truncation": truncation,
        "spikes": spikes,
    }
    module: Any = importlib.import_module("bptt.experiments.watching.watch")
    watching: Watch = module.Watch(
        model,
        folder,
        every=every,
        windows=windows,
        measures=choices,
        spike_limit=spike_limit,
        spike_batches=spike_batches,
        lag_samples=lag_samples,
        name=name,
        steps=steps,
        settings=settings,
    )
    return watching


def check(model: "nn.Module", batch: Any, loss_function: "Callable[[nn.Module, Any], Tensor]") -> "Audit":
    """Audit the gradient of one batch: is it what finite differences in float64 say, at each timestep?

        print(bptt.check(model, (x, target), lambda model, batch: mse_loss(model(batch[0]), batch[1])))

    It also says where a state is detached or starts anew, which timesteps' inputs do not reach the loss, whether
    padding takes part, whether one sample has most of the gradient, and whether the loss is a mean or a sum over time.
    The model is copied and stays as it is.

    Args:
        model: Model with recurrent layers, as `watch` sees them.
        batch: Anything that `loss_function` reads. Its floating-point tensors become float64.
        loss_function: Computes the loss from the model and the batch; it must call the model that it is given.

    Returns:
        The audit, with `findings` in words and `table`, which has the derivative of each compared timestep.

    Raises:
        ValueError: The model has no recurrent layer or cannot be copied, or the loss is not one number, is not computed
            with the given model, or differs from call to call.
        TypeError: An argument has a wrong type.
        Exception: What `loss_function` raises, with a note that all is in float64.
    """
    module: Any = importlib.import_module("bptt.experiments.watching.batch_audit")
    audit: Audit = module.check(model, batch, loss_function)
    return audit


class _OwnLoader(SourceFileLoader):
    """Executes one of our modules such that its absolute imports find our packages under their names in `bptt`."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        super().exec_module(module)


class _OwnPackages(MetaPathFinder):
    """Finds `bptt.models`, `bptt.experiments` and so on beside this file."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        ours, _, inside = fullname.partition(".")
        package, _, module = inside.partition(".")
        if ours != __name__ or package not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path if module else [ROOT])
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _OwnLoader(spec.loader.name, spec.loader.path)
        return spec


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import as Python does; one of our packages, such as `models`, under its name here, `bptt.models`."""
    package = name.partition(".")[0]
    if level or package not in PACKAGES:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    found = builtins.__import__(f"{__name__}.{name}", globals, locals, fromlist or (), 0)
    return found if fromlist else sys.modules[f"{__name__}.{package}"]


_BUILTINS = {**vars(builtins), "__import__": _import}

sys.meta_path.insert(0, _OwnPackages())
