"""GRU: its gradient explodes only with larger recurrent weights."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "The gates damp the explosion: at the same gain of initialisation, a GRU's gradient grows less than an RNN's"
)
SOURCE = "the closed form dh_t/dh_{t-1} = z + ..., of which only (1 - z) is the RNN's"
PREDICTION = "at each gain of initialisation, the GRU's gain per timestep is below the RNN's"
REFUTED_BY = "at some gain of initialisation, the GRU's gradient grows as fast as the RNN's"
NULL = shuffled("cell")
FIGURE = "gradient_flow"
VIEW = {"compare": "cell", "facet": "init.gain", "where": ("init=orthogonal",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the GRU's gain over the RNN's before training, by gain of initialisation."""
    runs = tables.summary[tables.summary["init"] == "orthogonal"]
    gains = runs.pivot_table(index=["init.gain", "seed"], columns="cell", values="gain_at_init", observed=True)
    gains = gains.reindex(columns=["gru", "rnn"])
    return [
        *(
            over_seeds(f"init.gain={gain:g}: gain of gru over rnn", rows["gru"] / rows["rnn"], at_most=0.99)
            for gain, rows in gains.groupby(level="init.gain")
        ),
    ]
