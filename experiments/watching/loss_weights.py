"""Is a loss a mean or a sum over time? The weights of its terms tell."""

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from experiments.watching.reduction import Undecided
from experiments.watching.terms import CLOSE, MOST, Graph, Term, spread


def name_weights(graph: Graph, batch: int) -> str:
    """Say whether the loss is a mean or a sum over time, and the weights that tell.

    Args:
        graph: Graph of the loss.
        batch: Number of samples.

    Raises:
        Undecided: It is neither, or cannot be known.
    """
    if len(graph.send()[0]) < 2:
        raise Undecided("the loss reads the last layer's output at a single timestep")
    graph.find_terms(through=True)
    try:
        return _name_terms(graph, batch)
    except Undecided:
        graph.find_terms(through=False)
        return _name_terms(graph, batch)


def _name_terms(graph: Graph, batch: int) -> str:
    weights: dict[Term, Tensor] = {}
    graph.send(weights=weights)
    said: dict[str, str] = {}
    for group in _groups(graph, [term for term in graph.terms if term in weights]):
        verdict, why = _of_group(graph, group, weights, batch)
        said.setdefault(verdict, why)
    if not said:
        raise Undecided("its terms are not found in autograd's graph")
    if len(said) == 2:
        return f"the loss is a sum over time in one part ({said['sum']}) and a mean in another ({said['mean']})"
    ((verdict, why),) = said.items()
    grows = ", so the gradient grows with the number of timesteps" if verdict == "sum" else ""
    return f"the loss is a {verdict} over time: {why}{grows}"


def _groups(graph: Graph, terms: Sequence[Term]) -> Iterable[list[Term]]:
    """Terms of one kind together, unless some of them belong to the same timesteps as others."""
    for name in dict.fromkeys(term.name for term in terms):
        own = [term for term in terms if term.name == name]
        reached = [graph.send([term])[0] for term in spread(own, MOST)]
        if sum(map(len, reached)) == len(set().union(*reached)):
            if any(reached):
                yield own
        elif len(own) > MOST:
            raise Undecided(f"it has {len(own)} parts ({name}), and several of them read the same timestep")
        else:
            yield from ([term] for term, labels in zip(own, reached, strict=True) if labels)


def _of_group(graph: Graph, group: list[Term], weights: dict[Term, Tensor], batch: int) -> tuple[str, str]:
    """Mean or sum, and why."""
    for term in spread(group, MOST):
        graph.check_elements(term)
    labels, rows = graph.send(group)
    found = [term.weights(weights[term]) for term in group]
    total, number = sum(one[0] for one in found), sum(one[1] for one in found)
    each = {round(one[0] / one[1], 12) for one in found if one[1]} if all(one[2] for one in found) else set()
    timesteps, factor = len(labels), group[0].factor
    if timesteps < 2:
        raise Undecided("a part of the loss reads a single timestep")
    features = number // rows if number % rows == 0 else 1
    others = {batch, features, batch * features, 1}
    of = f"its {number} terms at {timesteps} timesteps ({group[0].name})"
    for by in dict.fromkeys((1.0, factor)):
        times = "" if by == 1 else f", times {by:.3g}"
        is_mean = any(math.isclose(total / by, one, rel_tol=CLOSE) for one in others)
        is_sum = math.isclose(total / by, timesteps, rel_tol=CLOSE)
        if len(each) == 1:
            is_sum |= any(math.isclose(total / number / by * one, 1, rel_tol=CLOSE) for one in others)
        if is_sum and any(term.is_weighted for term in group):
            raise Undecided(f"the loss adds up terms that it multiplies by numbers that differ ({group[0].name})")
        if is_sum and by != 1 and math.isclose(1 / by / timesteps, max(round(1 / by / timesteps), 1), rel_tol=CLOSE):
            raise Undecided(f"the loss adds up {of} and divides by {1 / by:.4g}, a multiple of {timesteps}")
        if 1 < len(group) < timesteps and math.isclose(total / by, len(group), rel_tol=CLOSE):
            raise Undecided(f"the loss adds up {len(group)} parts, each of which is a mean over its own timesteps")
        if is_mean and is_sum and not math.isclose(total / by, 1, rel_tol=CLOSE):
            raise Undecided(f"the weights of {of} add up to {total / by:.4g}, which is the size of two axes")
        if is_mean:
            return "mean", f"the weights of {of} add up to {total / by:.4g}{times}"
        if is_sum:
            return "sum", f"the weights of {of} add up to {total / by:.4g}{times}"
    raise Undecided(f"the weights of {of} add up to {total:.4g}, which fits neither")
