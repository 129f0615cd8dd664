"""Gates: whether the mean forget gate is also the gain with torch's own weights, and after training."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.published.forget_gate_is_gain import gain_over_gate
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "The gain of the cell state is the mean forget gate also with torch's own recurrent weights, and after training"
)
SOURCE = "Hochreiter, Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000, taken literally"
PREDICTION = "the two are equal within 5 %; if they are not, the gates of some units are near 1 nevertheless"
REMARK = (
    "Before training, the gradient also flows back through h and the gates. After training, the mean hides how units "
    "differ: a few forget gates above 0.9, where none was before, carry nearly all of the gradient."
)
FIGURE = "gates"
VIEW = {"compare": "init", "where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the gain of c over the mean forget gate, before and after training, and the share of gates near 1."""
    runs = tables.summary[tables.summary["init"] == "default"]["run_id"]
    ratios = [
        over_seeds(
            f"{when}: gain of c over forget gate",
            gain_over_gate(tables, column, step).reindex(runs),
            at_least=0.95,
            at_most=1.05,
        )
        for when, column, step in (
            ("before training", "gain_at_init", "first"),
            ("after training", "gain_per_timestep", "last"),
        )
    ]
    gates = tables["gates"]
    forget = gates[gates["run_id"].isin(runs) & (gates["gate"] == "forget") & (gates["layer"] == 0)]
    shares = forget.groupby(["run_id", "step"], observed=True)["saturated_high"].mean()
    last = shares.groupby("run_id", observed=True).last()
    return [*ratios, over_seeds("after training: share of forget gates above 0.9", last, at_least=0.01)]
