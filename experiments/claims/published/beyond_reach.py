"""Vanishing: whether inputs beyond the reach of the gradient train the network."""

import math

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.outcomes import with_outcomes
from experiments.claims.published.length_follows_horizon import solved_cases
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = "Inputs that the gradient does not reach do not train the network"
SOURCE = "Bengio, Simard, Frasconi 1994; Hochreiter et al. 2001, section 2"
PREDICTION = (
    "tasks within the reach (the timesteps after which a thousandth of the gradient remains) are solved; of all tasks "
    "longer than the reach at most a tenth is; and a network that solves a task whole does not solve it if its "
    "gradient is cut off before the symbols"
)
REFUTED_BY = "more than a tenth of the tasks beyond the reach are solved, or tasks whose symbols lie beyond the cut"
CONTROL = (
    "the cut: truncated backpropagation leaves weights, inputs and forward pass as they are, and takes only the "
    "gradient away; gain and start change with the initialisation, not with the cut"
)
NULL = shuffled("init.gain", "truncation")
FIGURE = "success"
VIEW = {"compare": "truncation", "where": ("init.gain=1.0",)}

REMAINDER = 1e-3
"""Share of the gradient that remains at the end of its reach."""


def measure(tables: RunTables) -> list[Quantity]:
    """Measure what is solved within and beyond the reach, and with the gradient cut off."""
    cases = solved_cases(tables)
    within = cases["timesteps"] <= cases["gain"].map(reach)
    cut = truncated(tables)
    return [
        over_seeds("solved, of the tasks within reach", _shares(cases[within]), at_least=0.5),
        over_seeds("solved, of all tasks beyond the reach", _shares(cases[~within]), at_most=0.1),
        share("solved with the whole gradient", cut.loc[cut["truncation"].isna(), "learned"], at_least=0.5),
        *(
            share(f"solved with the gradient of the last {last:g} timesteps", runs["learned"], at_most=0.5)
            for last, runs in cut.groupby("truncation")
        ),
    ]


def reach(gain: float) -> float:
    """The timesteps after which a thousandth of the gradient remains."""
    return math.log(REMAINDER) / math.log(gain) if gain < 1 else math.inf


def truncated(tables: RunTables) -> pd.DataFrame:
    """The runs at the settings at which some are truncated, also those that are not."""
    runs = with_outcomes(tables)
    setting = ["init", "init.gain", "timesteps", "optimizer.lr"]
    cut = runs[runs["truncation"].notna()]
    return runs.merge(cut[setting].drop_duplicates(), on=setting)


def _shares(cases: pd.DataFrame) -> "pd.Series[float]":
    return cases.groupby("seed")["learned"].mean()
