"""Gates: the input gate and the output gate learn to close against what the task does not need."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "Training closes the input gate against inputs that are not to be stored, and the output gate while no output is "
    "needed"
)
SOURCE = "Hochreiter, Schmidhuber 1997, section 4"
PREDICTION = (
    "on the adding problem, where all inputs but two are to be ignored, the means of both gates fall by 0.1 or more"
)
REFUTED_BY = "a gate's mean does not fall with training"
NULL = noise("gates", "mean")
FIGURE = "gate_means"
VIEW = {"where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure how each gate's mean over timesteps, units and sequences changes from the first to the last step."""
    runs = tables.summary[tables.summary["init"] == "default"]["run_id"]
    gates = tables["gates"]
    gates = gates[gates["run_id"].isin(runs) & (gates["layer"] == 0)]
    means = gates.groupby(["gate", "run_id", "step"], observed=True)["mean"].mean()
    ends = means.groupby(["gate", "run_id"], observed=True).agg(["first", "last"])
    change = ends["last"] - ends["first"]
    return [
        over_seeds(f"{gate} gate: change", change[change.index.get_level_values("gate") == gate], at_most=-0.1)
        for gate in ("input", "output")
    ]
