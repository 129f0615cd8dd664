"""Vanishing: the gradient of a plain RNN shrinks by the same factor with each timestep back."""

import math
from collections.abc import Iterable

from experiments.analysis.gain_and_horizon import gradient_profiles, straightness
from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = "The gradient of a plain RNN shrinks exponentially towards the input"
SOURCE = "Bengio, Simard, Frasconi 1994; Pascanu, Mikolov, Bengio 2013, section 2.1"
PREDICTION = (
    "a gain per timestep below 1; with torch's initialisation it is near 1/sqrt(3) = 0.577, as its spread implies; "
    "the logarithm of the norm is a straight line"
)
REFUTED_BY = (
    "a gain of 1 or more, a gain that the spread of the weights does not imply, or a curve that is not straight"
)
CONTROL = "the closed form: 1/sqrt(3) follows from the spread of torch's initial weights alone"
NULL = noise("gradients", "grad_norm")
FIGURE = "gradient_flow"
VIEW = {"compare": "init", "where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure gain and straightness before training on the longest task, with torch's initialisation."""
    summary = tables.summary
    runs = summary[(summary["init"] == "default") & (summary["timesteps"] == summary["timesteps"].max())]
    return [
        over_seeds("gain a timestep", runs["gain_at_init"], at_most=0.99),
        over_seeds("gain over 1/sqrt(3)", runs["gain_at_init"] * math.sqrt(3), at_least=0.85, at_most=1.15),
        over_seeds("R² of the straight line", straightness_at_init(tables, runs["run_id"]), at_least=0.95),
    ]


def straightness_at_init(tables: RunTables, runs: Iterable[str]) -> list[float]:
    """R² of a straight line through ln grad_norm against lag before training, for each run."""
    gradients = tables["gradients"]
    return [straightness(gradient_profiles(gradients[gradients["run_id"] == run])[0]) for run in runs]
