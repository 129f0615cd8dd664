"""Gates: whether the mean forget gate is also the gain with torch's own weights, and after training."""

import pandas as pd

from experiments.analysis.gain_and_horizon import gain_per_timestep, gradient_profiles
from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.published.forget_gate_is_gain import gain_over_gate, mean_forget_gate
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "The gain of the cell state is the mean forget gate also with torch's own recurrent weights, and after training"
)
SOURCE = "a literal reading of Gers, Schmidhuber, Cummins 2000, section 3; no paper claims it so baldly"
PREDICTION = (
    "the two have a ratio within 5 % of 1, and so have its two factors: the gain along c alone, through the forget "
    "gates, over the mean forget gate, and the whole gain over that along c alone"
)
REFUTED_BY = "a gain of c that differs from the mean forget gate by more than 5 %, before or after training"
CONTROL = "the claim forget_gate_is_gain: in the same study, the two are compared where no other path exists"
NULL = noise("gates", "mean")
REMARK = (
    "The two factors say where a difference comes from. If the whole gain is larger than that along c alone, the "
    "gradient also flows back through h and the gates. If the gain along c alone is larger than the mean forget gate, "
    "the gates differ between units or sequences: equal gates would give a ratio of 1."
)
FIGURE = "gates"
VIEW = {"compare": "init", "where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the gain of c over the mean forget gate, and its two factors."""
    runs = tables.summary[tables.summary["init"] == "default"]["run_id"]
    along_c = _gains_along_c(tables, runs)
    quantities = []
    for when, column, step in (
        ("before training", "gain_at_init", "first"),
        ("after training", "gain_per_timestep", "last"),
    ):
        over_gate = gain_over_gate(tables, column, step).reindex(runs)
        along_over_gate = along_c[step].reindex(runs) / mean_forget_gate(tables, step).reindex(runs)
        for what, ratios in (
            ("gain of c over forget gate", over_gate),
            ("gain along c alone over forget gate", along_over_gate),
            ("gain of c over gain along c alone", over_gate / along_over_gate),
        ):
            quantities.append(over_seeds(f"{when}: {what}", ratios, at_least=0.95, at_most=1.05))
    return quantities


def _gains_along_c(tables: RunTables, runs: "pd.Series[str]") -> pd.DataFrame:
    """The gain of `grad_norm_direct` of c in layer 0, at the first and the last recorded step of each run."""
    gradients = tables["gradients"]
    profiles = {
        run: gradient_profiles(gradients[gradients["run_id"] == run], state="c", column="grad_norm_direct")
        for run in runs
    }
    gains = {run: [gain_per_timestep(profile) for profile in both] for run, both in profiles.items()}
    return pd.DataFrame.from_dict(gains, orient="index", columns=["first", "last"], dtype=float)
