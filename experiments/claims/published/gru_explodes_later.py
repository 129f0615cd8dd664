"""GRU: its gradient explodes only with larger recurrent weights, and vanishes only with smaller ones."""

import numpy as np

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "The gates of a GRU damp both: at the same gain of initialisation, its gradient grows less than an RNN's if that "
    "explodes, and shrinks less if that vanishes"
)
SOURCE = "the closed form dh_t/dh_{t-1} = z + (1 - z) ..., of which the factor of 1 - z alone is the RNN's"
PREDICTION = (
    "before training, the GRU's gain a timestep is below the RNN's at each gain of initialisation from 1 on, and "
    "above it at each gain up to 0.6"
)
REFUTED_BY = (
    "a gain of initialisation from 1 on at which the GRU's gradient grows more, or up to 0.6 where it shrinks more"
)
CONTROL = "the same orthogonal matrices, scaled, with the same seeds"
NULL = shuffled("cell")
FIGURE = "gradient_flow"
VIEW = {"compare": "cell", "facet": "init.gain", "where": ("init=orthogonal",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the GRU's gain over the RNN's before training, by gain of initialisation."""
    runs = tables.summary[tables.summary["init"] == "orthogonal"]
    gains = runs.pivot_table(index=["init.gain", "seed"], columns="cell", values="gain_at_init", observed=True)
    gains = gains.reindex(columns=["gru", "rnn"])
    ratios = (gains["gru"] / gains["rnn"]).groupby(level="init.gain")
    return [
        over_seeds(
            f"init.gain={gain:g}: gain of gru over rnn",
            at_gain,
            at_least=-np.inf if gain >= 1 else 1.01,
            at_most=0.99 if gain >= 1 else np.inf,
        )
        for gain, at_gain in ((float(str(key)), one) for key, one in ratios)
    ]
