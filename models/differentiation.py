"""Backpropagation by autograd through a cell's `step`, for cells without written-out backward equations."""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.utils.parametrize import cached

from models.cell import Cell, InputSequence, State
from models.contributions import Bounds, Parts
from models.recursion import Gradient, Trajectory, Unrolled, accumulate


class DetachedState(RuntimeError):
    """The gradient of a state or parameter does not exist, because autograd's graph has no path to it from the loss."""


class NoJacobian(RuntimeError):
    """The Jacobian of a timestep is not defined, because the cell draws random numbers or changes buffers in it."""


class Differentiated(Unrolled):
    """A layer whose `step` is unrolled in autograd's graph.

    Each window has its own aliases of the parameters. The gradient of an alias is the window's part in the gradient of
    the parameter. This is the only place that needs the windows before it backpropagates: autograd adds up the parts of
    all timesteps that share a tensor.

    Args:
        cell: Cell with a `step`.
        x: Input of the layer.
        state: State before timestep 1.
        windows: Windows of timesteps.
    """

    def __init__(self, cell: Cell, x: InputSequence, state: State, windows: Bounds) -> None:
        self._cell = cell
        self._unread: set[str] = set()
        self._weights: list[dict[str, Tensor]] = []
        # A state may be handed on unchanged, so the first one is in the graph as well.
        states = [
            tuple(tensor.detach().requires_grad_(tensor.is_floating_point() or tensor.is_complex()) for tensor in state)
        ]
        handed_on = [states[0]]
        with torch.enable_grad():
            self._x = x.detach().requires_grad_()
            for first, last in windows:
                aliases = {name: weight.detach().requires_grad_() for name, weight in cell.named_parameters()}
                named = {f"cell.{name}": alias for name, alias in aliases.items()}
                steps = functional_call(_Window(cell), named, (self._x[first - 1 : last], handed_on[-1]))
                states += [state for state, _ in steps]
                handed_on += [state for _, state in steps]
                self._weights.append(aliases)
        self._states = dict(zip(cell.state_names, zip(*states, strict=True), strict=True))
        self._handed_on = dict(zip(cell.state_names, zip(*handed_on, strict=True), strict=True))
        self.states = {name: torch.stack([one.detach() for one in steps]) for name, steps in self._states.items()}
        with torch.no_grad():
            self.gates = cell.all_gates(x.detach(), tuple(steps[:-1] for steps in self.states.values()))

    def backward(self, direct: Trajectory) -> Gradient:
        if direct.dim() == self.states["h"].dim():
            return self._backward({"h": direct, **self.further})
        losses = [self._backward({"h": one}) for one in direct.unbind(1)]
        states = {name: torch.stack([one.states[name] for one in losses], dim=1) for name in self.states}
        return Gradient(states, {}, lambda: torch.stack([one.input() for one in losses], dim=1))

    def _backward(self, direct: Mapping[str, Trajectory]) -> Gradient:
        read = [
            (state, part)
            for name, parts in direct.items()
            for state, part in zip(self._states[name][1:], parts.unbind(), strict=True)
            if state.requires_grad
        ]
        if not read:
            raise DetachedState("state h: it depends on no parameter and no input in autograd's graph")
        states = [
            (name, t, state, self._handed_on[name][t])
            for name, steps in self._states.items()
            for t, state in enumerate(steps)
            if t
        ]
        weights = [weight for aliases in self._weights for weight in aliases.values()]
        in_graph = [tensor for *_, state, later in states if state.requires_grad for tensor in (state, later)]
        inputs = [self._x, *weights, *in_graph]
        outputs, grad_outputs = zip(*read, strict=True)
        found = iter(torch.autograd.grad(outputs, inputs, grad_outputs, retain_graph=True, allow_unused=True))
        x = next(found)
        by_window = [{name: next(found) for name in aliases} for aliases in self._weights]
        gradients = {name: torch.zeros_like(steps[1:]) for name, steps in self.states.items()}
        for name, t, state, _ in states:
            gradient, by_later = (next(found), next(found)) if state.requires_grad else (None, None)
            if gradient is not None:
                gradients[name][t - 1] = gradient
            if by_later is None:
                self._check_that_nothing_depends_on(name, t)
        contributions = {
            name: Parts(torch.stack([_zero_if_none(window[name], weight) for window in by_window]))
            for name, weight in self._cell.named_parameters()
            if any(window[name] is not None for window in by_window)
        }
        return Gradient(gradients, contributions, lambda: _zero_if_none(x, self._x))

    def along_gates(self, direct: Trajectory) -> dict[str, Trajectory]:
        along = {}
        for name, gate in self._cell.kept_by.items():
            kept = self.gates.get(gate.removeprefix("1 - "))
            reaching = direct if name == "h" else self._through_h(name, direct)
            if kept is not None and reaching is not None and kept.shape == reaching.shape:
                along[name] = accumulate(1 - kept if gate.startswith("1 - ") else kept, reaching)
        return along

    def _through_h(self, name: str, direct: Trajectory) -> Trajectory | None:
        """What reaches a state through h of the same timestep, (time, batch, size); None if h never reads it there."""
        found = [
            torch.autograd.grad(h, state, d, retain_graph=True, allow_unused=True)[0] if h.requires_grad else None
            for h, state, d in zip(self._states["h"][1:], self._states[name][1:], direct.unbind(), strict=True)
        ]
        if all(part is None for part in found):
            return None
        return torch.stack([_zero_if_none(part, like) for part, like in zip(found, self.states[name][1:], strict=True)])

    @torch.no_grad()
    def jacobians(self, first: int, last: int) -> Float[Tensor, "time batch state state"]:
        sizes = [(steps.shape[-1], steps.is_complex()) for steps in self.states.values()]

        def step(state: Tensor, x: Tensor) -> Tensor:
            return pack(
                part[0] for part in self._cell.step(x[None], tuple(part[None] for part in unpack(state, sizes)))
            )

        before = pack(steps[first - 1 : last] for steps in self.states.values())
        x = self._x.detach()[first - 1 : last]
        try:
            jacobians: Tensor = vmap(jacrev(step))(before.flatten(0, 1), x.flatten(0, 1))
        except RuntimeError as error:
            name = type(self._cell).__name__
            if "random" in str(error):
                raise NoJacobian(
                    f"{name} draws random numbers in its step; a probe needs a step that does not"
                ) from error
            if "in-place" in str(error) or "inplace" in str(error):
                raise NoJacobian(f"{name} changes a buffer in its step; a probe needs a step that does not") from error
            raise
        return jacobians.view(*before.shape, before.shape[-1])

    @torch.no_grad()
    def _check_that_nothing_depends_on(self, name: str, timestep: int) -> None:
        """Check that no gradient comes back to a state because the next timestep does not read it.

        Raises:
            DetachedState: The next timestep reads the state, but outside autograd's graph.
        """
        if timestep == len(self._x) or name in self._unread:
            return
        before = {each: steps[timestep] for each, steps in self.states.items()}
        outcomes = []
        for shift in (0.0, 1.0, -1.0):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                state = {**before, name: before[name] + shift * (1 + before[name].abs())}
                outcomes.append(self._cell.step(self._x[timestep], tuple(state.values())))
        plain, *shifted = outcomes
        if any(not _same(a, b) for other in shifted for a, b in zip(plain, other, strict=True)):
            raise DetachedState(
                f"state {name}, timestep {timestep}: the next timestep reads it outside autograd's graph, so its "
                "gradient is not known"
            )
        self._unread.add(name)  # what holds for one timestep is taken to hold for all: each costs three steps


class _Window(nn.Module):
    """The steps of one window as the `forward` of a module, as `functional_call` needs it.

    It returns each state twice: as the cell returns it, and as it is handed on to the next timestep, which is another
    tensor in the graph.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: InputSequence, state: State) -> list[tuple[State, State]]:
        states = []
        with cached():
            for x_t in x:
                new = told_apart(self.cell.step(x_t, state), state)
                state = tuple(tensor.view_as(tensor) for tensor in new)
                states.append((new, state))
        return states


def told_apart(state: State, before: State) -> State:
    """The state with a tensor of its own for each that a cell returns twice, or hands on from the timestep before."""
    seen = [id(tensor) for tensor in (*state, *before)]
    return tuple(tensor.view_as(tensor) if seen.count(id(tensor)) > 1 else tensor for tensor in state)


def pack(state: Iterable[Tensor]) -> Tensor:
    """Concatenate the tensors of a state to one real vector; a complex number takes two entries."""
    return torch.cat(
        [torch.stack([one.real, one.imag], dim=-1).flatten(-2) if one.is_complex() else one for one in state], dim=-1
    )


def unpack(vector: Tensor, sizes: list[tuple[int, bool]]) -> tuple[Tensor, ...]:
    """Undo `pack`, from the size of each tensor of the state and whether it is complex."""
    parts = torch.split(vector, [2 * size if is_complex else size for size, is_complex in sizes], dim=-1)
    return tuple(
        torch.complex(part[..., 0::2], part[..., 1::2]) if is_complex else part
        for part, (_, is_complex) in zip(parts, sizes, strict=True)
    )


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal; a nan is equal to a nan."""
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def _zero_if_none(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient
