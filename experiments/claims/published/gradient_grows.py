"""Exploding: with a gain above 1, the gradient grows backwards in time, as mean-field theory predicts."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.published.gradient_shrinks import straightness_at_init
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = "With a gain above 1, the gradient grows exponentially towards the input"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 2.1; Chen, Pennington, Schoenholz 2018, section 3"
PREDICTION = (
    "a gain per timestep above 1 and near that of mean-field theory; the logarithm of the norm is a straight line"
)
REFUTED_BY = "a gain of 1 or less, a gain that mean-field theory does not predict, or a curve that is not straight"
CONTROL = "mean-field theory: its gain follows from the weights' spread and the input's variance alone"
NULL = noise("gradients", "grad_norm")
FIGURE = "gradient_flow"
VIEW = {"compare": "init.gain", "where": ("init=gaussian", "steps=1")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the gain of untrained tanh networks, its ratio to theory, and how straight the line is."""
    runs = tables.summary[(tables.summary["init"] == "gaussian") & (tables.summary["steps"] == 1)]
    gradients = tables["gradients"]
    theory = gradients.groupby("run_id", observed=True)["theory_gain"].first().reindex(runs["run_id"]).to_numpy(float)
    return [
        over_seeds("gain a timestep", runs["gain_at_init"], at_least=1.01),
        over_seeds("gain over theory's", runs["gain_at_init"].to_numpy(float) / theory, at_least=0.9, at_most=1.1),
        over_seeds("R² of the straight line", straightness_at_init(tables, runs["run_id"]), at_least=0.95),
    ]
