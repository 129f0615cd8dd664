"""Gates: whether the mean forget gate is the gain also with torch's own weights, and after learning."""

from experiments.claims.forget_gate_is_gain import gain_over_gate
from experiments.quantities import Quantity, over_seeds
from experiments.tables import Tables

STATEMENT = "The same with torch's own recurrent weights, and after learning"
SOURCE = "as above, taken at its word"
PREDICTION = "the two are equal to 5 %"
REMARK = (
    "Before training the gradient also comes back through h and the gates, about a sixth more a timestep. After it the "
    "mean hides that units differ: those that store have gates near 1 and carry nearly all of the gradient."
)
FIGURE = "gates"
VIEW = {"compare": "init", "where": ("init=default",)}


def measure(tables: Tables) -> list[Quantity]:
    """Gain of c over mean forget gate, of the trained networks, before and after."""
    runs = tables.summary[tables.summary["init"] == "default"]["run_id"]
    return [
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
