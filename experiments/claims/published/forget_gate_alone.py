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
SOURCE = "Hochreiter, Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000, taken literally"
PREDICTION = (
    "the two are equal within 5 %, and so is the gain of the gradient that came along c alone, through the forget "
    "gates; if they are not, the gates of some units are near 1 nevertheless"
)
REMARK = (
    "The gain over the forget gate is the product of two factors: the gain along c alone over the forget gate, and the "
    "whole gain over that along c alone. Before training, the first is near 1, and the second makes the difference: "
    "the gradient also flows back through h and the gates. After training, the second is near 1, and the first makes "
    "the difference: the gradient flows back along c alone, but the mean hides how units differ. A few forget gates "
    "above 0.9, where none was before, carry nearly all of it."
)
REFUTED_BY = "the gain of c differs by more than 5 % from the mean forget gate"
NULL = noise("gates", "mean")
FIGURE = "gates"
VIEW = {"compare": "init", "where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the gain of c over the mean forget gate, its two factors, and the share of gates near 1."""
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
    gates = tables["gates"]
    forget = gates[gates["run_id"].isin(runs) & (gates["gate"] == "forget") & (gates["layer"] == 0)]
    shares = forget.groupby(["run_id", "step"], observed=True)["saturated_high"].mean()
    last = shares.groupby("run_id", observed=True).last()
    return [*quantities, over_seeds("after training: share of forget gates above 0.9", last, at_least=0.01)]


def _gains_along_c(tables: RunTables, runs: "pd.Series[str]") -> pd.DataFrame:
    """The gain of `grad_norm_direct` of c in layer 0, at the first and the last recorded step of each run."""
    gradients = tables["gradients"]
    profiles = {
        run: gradient_profiles(gradients[gradients["run_id"] == run], state="c", column="grad_norm_direct")
        for run in runs
    }
    gains = {run: [gain_per_timestep(profile) for profile in both] for run, both in profiles.items()}
    return pd.DataFrame.from_dict(gains, orient="index", columns=["first", "last"], dtype=float)
