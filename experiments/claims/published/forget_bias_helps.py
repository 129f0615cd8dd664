"""Memory: a large forget bias lets an LSTM learn a task that the default does not learn, or learns later."""

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.outcomes import with_outcomes
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = "With a forget bias, an LSTM learns what the default LSTM does not learn, or learns later"
SOURCE = "Jozefowicz, Zaremba, Sutskever 2015"
PREDICTION = (
    "temporal order: most runs solve it with a bias of 3, and less than half by default; adding: the default takes at "
    "least a tenth more steps than a bias of 1"
)
REFUTED_BY = "the default solves temporal order in half of the runs or more, or needs as few steps in adding"
CONTROL = (
    "the same search of the learning rate for each bias, on the tuning seeds; an unsolved run counts as its budget"
)
NULL = shuffled("cell.forget_bias")
FIGURE = "training"
VIEW = {"compare": "cell.forget_bias", "facet": "task", "where": ("cell=lstm",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the solved shares in temporal order, and in adding the ratio of steps until solved, default to bias 1."""
    runs = with_outcomes(tables)
    runs = runs[runs["cell"] == "lstm"]
    runs = runs.assign(bias=runs["cell.forget_bias"].fillna(0))
    order = runs[runs["task"] == "temporal_order"]
    return [
        share("temporal order, default: solved", order.loc[order["bias"] == 0, "learned"], at_most=0.5),
        share("temporal order, bias 3: solved", order.loc[order["bias"] == 3, "learned"], at_least=0.5),
        over_seeds("adding: steps by default over steps with a bias of 1", _ratios(runs), at_least=1.1),
    ]


def _ratios(runs: pd.DataFrame) -> "pd.Series[float]":
    """The ratio of steps for each seed; a run that did not solve the task needs more than its budget, which counts."""
    adding = runs[runs["task"] == "adding"]
    adding = adding.assign(steps_needed=adding["steps_needed"].clip(upper=adding["steps"]))
    steps = adding.pivot_table(index="seed", columns="bias", values="steps_needed", observed=True)
    steps = steps.reindex(columns=[0, 1])
    ratios: pd.Series[float] = steps[0] / steps[1]
    return ratios
