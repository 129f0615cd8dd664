"""GRU: before training it keeps half of its state per timestep, and its gradient vanishes like an RNN's."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "Before training, the gradient of a GRU vanishes, too, a little later than an RNN's; after training it does not"
)
SOURCE = "Cho et al. 2014, section 2.3; the notes"
PREDICTION = "a gain between the RNN's and 0.8 before training, and within 5 % of 1 after training"
REFUTED_BY = (
    "an untrained GRU whose gradient reaches as far as a trained one's, or a trained one whose gradient vanishes"
)
CONTROL = "an RNN with torch's initialisation, with the same seeds"
NULL = noise("gradients", "grad_norm")
FIGURE = "gradient_flow"
VIEW = {"compare": "cell", "where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the GRU's gain before and after training, and its ratio to the RNN's."""
    runs = tables.summary[tables.summary["init"] == "default"]
    gru, rnn = (runs[runs["cell"] == cell].set_index("seed") for cell in ("gru", "rnn"))
    return [
        over_seeds("gru before training: gain a timestep", gru["gain_at_init"], at_most=0.8),
        over_seeds("gru's over rnn's gain before training", gru["gain_at_init"] / rnn["gain_at_init"], at_least=1.0),
        over_seeds("gru after training: gain a timestep", gru["gain_per_timestep"], at_least=0.95, at_most=1.05),
    ]
