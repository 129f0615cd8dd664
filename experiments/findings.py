"""What the numbers of a run say, in words. Reads the CSV files only."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from experiments.arrangement import rank
from experiments.profiles import gradient_profiles, horizon
from experiments.study import Run, compared_keys, shown

HORIZONS = ("horizon_at_init", "horizon")
OF_C = "_of_c"


def finding(run: Run, outcome: Mapping[str, Any]) -> str:
    """One sentence about a run: how it ended, how far its gradient reaches, whether it learned.

    Args:
        run: to speak of.
        outcome: its row of summary.csv.
    """
    status = run.info["status"]
    if status == "failed":
        return f"failed: {run.info['error']}"
    if status == "diverged":
        last = run.table("metrics").iloc[-1]
        loss, norm = (f"{last[column]:.3g}" for column in ("loss", "grad_norm"))
        return f"diverged at step {outcome['diverged_at_step']}: loss {loss}, gradient norm {norm}"
    parts = [_reach(run), _learned(outcome)]
    return "; ".join(part for part in parts if part) or f"{status}; nothing was recorded"


def _reach(run: Run) -> str:
    """How far back the gradient reaches at the last recorded step: by whichever state carries it furthest."""
    gradients, length = run.table("gradients"), run.info["timesteps"]
    profiles = {state: gradient_profiles(gradients, state=state)[1] for state in ("h", "c")}
    reaches = {state: horizon(profile, length) for state, profile in profiles.items()}
    state, reach = max(reaches.items(), key=lambda item: -1 if item[1] is None else item[1])
    lags, norms = profiles[state]
    if len(norms) < 2 or reach is None:
        return ""
    if run.info["readout_steps"] > 1:
        return "a loss at many timesteps, each with a gradient of its own: see contributions.csv for the reach"
    gradient = "gradient of the cell state" if state == "c" else "gradient"
    if reach < lags[-1]:
        lag = int(lags[lags > reach].min())
        return (
            f"{gradient} falls to 1e-3 of its size within {lag} steps back: "
            f"inputs before step {length - lag} of {length} do not train this network"
        )
    lag, left = int(lags[-1]), float(norms[-1] / norms[0])
    return f"{gradient} reaches back to step {length - lag} of {length}: {_number(left)} times its size at the end"


def _learned(outcome: Mapping[str, Any]) -> str:
    """The error beside what chance scores."""
    error, chance = outcome["best_error"], outcome["chance_error"]
    if error is None:
        return ""
    verdict = _against_chance(error, chance, outcome["evaluation_samples"])
    solved = f", solved at step {outcome['solved_at_step']}" if outcome["solved"] else ""
    return f"error {error:.1%}, where chance scores {chance:.0%}{solved}{verdict}"


def _against_chance(error: float, chance: float, samples: int) -> str:
    """What to add where the error is not below chance by three standard deviations of the mean over so many samples."""
    noise = 3 * math.sqrt(chance * (1 - chance) / samples)
    if error > chance + noise:
        return ": nothing was learned"
    return f": no learning shows in {samples} sample{'s' * (samples > 1)}" if error > chance - noise else ""


def _describe(runs: Sequence[Run], outcomes: pd.DataFrame) -> str:
    """One sentence about runs that differ in their seed only: medians, and from the smallest to the largest.

    Args:
        runs: of one configuration.
        outcomes: their rows of summary.csv, with the horizons of c beside those of h.
    """
    parts = [_flows(runs, outcomes), _learned_together(outcomes)]
    for status in ("diverged", "failed", "interrupted", "running"):
        if count := int((outcomes["status"] == status).sum()):
            parts.append(f"{count} of {len(runs)} {status}" if len(runs) > 1 else status)
    return "; ".join(part for part in parts if part) or "nothing was recorded"


def by_configuration(runs: Sequence[Run], outcomes: pd.DataFrame, states: pd.DataFrame) -> dict[str, str]:
    """A sentence about each configuration, by the keys that tell them apart, in the order of their values.

    Args:
        runs: of a study.
        outcomes: their rows of summary.csv, in the same order.
        states: the rows of states.csv.
    """
    of_c = states[(states["layer"] == 0) & (states["state"] == "c")].set_index("run_id")[list(HORIZONS)]
    of_c = of_c.drop([run.id for run in runs if run.is_probe], errors="ignore")  # theirs are of h and c together
    outcomes = outcomes.join(of_c.add_suffix(OF_C), on="run_id")
    keys = compared_keys(runs) or ["cell"]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault((*(rank(run.config.get(key)) for key in keys), run.is_probe), []).append(i)
    found = {}
    for (*_, probes), rows in sorted(groups.items()):
        name = ", ".join(f"{key} = {shown(runs[rows[0]].config.get(key))}" for key in keys)
        found[f"{name} (probe)" if probes else name] = _describe([runs[i] for i in rows], outcomes.iloc[rows])
    return found


def _flows(runs: Sequence[Run], outcomes: pd.DataFrame) -> str:
    """Where the gradient goes before training and after it, and how far back it reaches."""
    first, last = (outcomes[column].astype(float).median() for column in ("gain_at_init", "gain_per_timestep"))
    length = max(run.info["timesteps"] for run in runs)
    if pd.isna(last) or any(run.info["readout_steps"] > 1 for run in runs):
        return ""
    before, after = (outcomes[[name, name + OF_C]].astype(float).max(axis=1).median() for name in HORIZONS)
    fate = _fate(last, length, after)
    if all(run.is_probe for run in runs):
        flow = f"untrained, the gradient {fate} (gain {_gain(last)} a timestep)"
    elif pd.isna(first) or _fate(first, length, before) == fate:
        at_first = "" if pd.isna(first) else f"{_gain(first)} before training, "
        flow = f"the gradient {fate} (gain a timestep {at_first}{_gain(last)} after)"
    else:
        flow = (
            f"untrained, the gradient {_fate(first, length, before)} (gain {_gain(first)} a timestep); "
            f"trained, it {fate} ({_gain(last)})"
        )
    of_h, of_c = (outcomes[name].astype(float).median() for name in ("horizon", "horizon" + OF_C))
    if pd.isna(of_h) or of_h >= length - 1:
        return flow
    if of_c > of_h:
        return f"{flow}; a thousandth of h is left up to lag {of_h:.0f}, of the cell state up to lag {of_c:.0f}"
    return f"{flow}; a thousandth is left up to lag {of_h:.0f}"


def _gain(value: float) -> str:
    return f"{value:.3f}" if 0.01 < value < 100 else f"{value:.3g}"


def _fate(gain: float, length: int, reach: float = math.nan) -> str:
    """What becomes of the gradient over the whole sequence: a thousandfold, a thousandth, or neither.

    Args:
        gain: a timestep; it tells whether the gradient explodes.
        length: of the sequence.
        reach: the horizon, which tells whether it vanishes; nan where the gain has to tell that, too.
    """
    log_total = length * math.log(gain)
    if log_total > math.log(1e3):
        return "explodes"
    vanished = log_total < math.log(1e-3) if math.isnan(reach) else reach < length - 1
    return "vanishes" if vanished else "arrives at step 1"


def _learned_together(outcomes: pd.DataFrame) -> str:
    """The errors of several seeds, held against chance as one is, and how many of them solved the task."""
    known = outcomes[outcomes["best_error"].notna()]
    if known.empty:
        return ""
    errors = known["best_error"].astype(float)
    chance = float(known["chance_error"].iloc[0])
    spread = f" ({errors.min():.1%} to {errors.max():.1%} over {len(known)} seeds)" if len(known) > 1 else ""
    verdict = f"best error {errors.median():.1%}{spread}, where chance scores {chance:.0%}"
    verdict += _against_chance(float(errors.median()), chance, int(known["evaluation_samples"].iloc[0]))
    solved = known["solved"].dropna().astype(int)
    if len(solved) and solved.sum():
        verdict += f"; solved by {solved.sum()} of {len(solved)}" if len(solved) > 1 else "; solved"
    return verdict


class Reading(NamedTuple):
    """A number of a probe, and what it means."""

    name: str
    value: str
    meaning: str


def read_probe(run: Run, outcome: Mapping[str, Any]) -> list[Reading]:
    """What a probe found, a row a number.

    Args:
        run: the probe.
        outcome: its row of summary.csv.
    """
    length = run.info["timesteps"]
    gain, reach = outcome["gain_per_timestep"], outcome["horizon"]
    readings = [
        Reading("gain per timestep", _number(gain), _gain_meaning(gain, length)),
        Reading("gain of the gradient", _number(outcome["gain_at_init"]), "the same in the direction of the loss"),
    ]
    if reach is not None:
        meaning = f"the lag up to which a thousandth is left; the sequence has {length} timesteps"
        readings.append(Reading("horizon", str(reach), meaning))
    theory = run.info.get("theory")
    if theory and theory["gain"] is not None and not run.info.get("checkpoint"):
        alone = run.config.get("model.num_layers") == 1 and run.info["readout_steps"] == 1
        meaning = theory["law"] if alone else f"{theory['law']}; of layer 0's Jacobian, not of the gradient"
        readings.insert(1, Reading("gain in theory", _number(theory["gain"]), meaning))
    readings += _bounds(run)
    exponents = run.table("lyapunov")
    largest = float(exponents.loc[exponents["layer"] == 0, "exponent"].max()) if len(exponents) else math.nan
    if not math.isnan(largest):
        meaning = "nats a timestep; below 0 nearby states come together, above 0 they part: chaos"
        readings.append(Reading("largest Lyapunov exponent", _number(largest), meaning))
    readings.append(Reading("parameters", str(outcome["parameters"]), "trained numbers; does not depend on the length"))
    norms = run.table("metrics")["grad_norm"]
    mean = float(norms.mean())
    readings.append(
        Reading(
            "clipping threshold",
            f"{_number(0.5 * mean)} to {_number(10 * mean)}",
            f"to start from: 0.5 to 10 times the mean gradient norm, {_number(mean)} over {len(norms)} batches "
            "(Pascanu et al. 2013, sec. 3.2)",
        )
    )
    return readings


def _bounds(run: Run) -> list[Reading]:
    """What the first layer's own matrix or gates say about its gain."""
    gates, parameters = run.table("gates"), run.table("parameters")
    readings = []
    if len(gates):
        kept = gates[(gates["layer"] == 0) & gates["gate"].isin(["forget", "update"])]["mean"].mean()
        readings.append(
            Reading("gate that keeps", _number(kept), "what it keeps of the state a timestep, without detours")
        )
    if len(parameters) and run.config["cell"] == "rnn":
        sigma = parameters.set_index("parameter")["sigma_max"].get("layers.0.weight_hh")
        if sigma is not None and not pd.isna(sigma):
            meaning = "of layer 0's recurrent matrix: its Jacobian gains no more a timestep (Pascanu et al. 2013)"
            readings.append(Reading("largest singular value", _number(sigma), meaning))
    return readings


def _gain_meaning(gain: float | None, length: int) -> str:
    if gain is None:
        return "cannot be had: too few lags, or no gradient at all"
    log_total = length * math.log(gain)
    over = f"{math.exp(log_total):.1e} over {length} timesteps" if abs(log_total) < 700 else "beyond floats"
    return f"{_fate(gain, length)}: {over}"


def _number(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.3g}"
