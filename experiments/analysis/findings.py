"""The findings of single runs: what their numbers say, in words, with what was measured and at which step."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from experiments.analysis.advice import (
    describe_safe_threshold,
    describe_scale,
    describe_spikes,
    describe_truncation,
    say_watched_clipping,
)
from experiments.analysis.data_findings import data_reading, describe_data
from experiments.analysis.gain_and_horizon import (
    Horizon,
    Profile,
    arriving,
    fate_of,
    gradient_profiles,
    horizon,
    overflow_lag,
)
from experiments.analysis.nonfinite_findings import say_never_finite, say_nonfinite
from experiments.analysis.remedy_findings import say_remedy
from experiments.analysis.run_tables import add_kept_states
from experiments.analysis.single_losses import average_over_losses, gradients_by_lag, has_several_losses
from experiments.analysis.summary import NORMS, can_underflow, reachable, smallest_normal
from experiments.analysis.update_norms import describe_updates
from experiments.analysis.watched_runs import is_watched, layer_name, losses_add_up
from experiments.store.studies import Run
from experiments.store.unseen import say_unseen
from experiments.wording import counted, percent

FALSE_ALARM = 0.00135
"""Probability that a run at chance is called better than chance: that of a normal value 3 deviations out."""

MIN_STEPS = 20
"""Least number of steps for a finding on the distribution of the gradient norm."""


def describe_run(run: Run, outcome: Mapping[str, Any]) -> str:
    """Describe one run: how it ended, how its gradient flowed back, its error, its gradient norms and updates.

    Args:
        run: The run.
        outcome: Row of the run in summary.csv.
    """
    if run.info["status"] == "failed" and not is_watched(run):
        return f"failed: {run.info['error']}"
    of_gradient = [_flow(run), describe_truncation(run), _underflow(run), describe_data(run)]
    of_steps = [say_nonfinite(run), _norms(run, outcome), describe_spikes(run), describe_updates(run)]
    advice = [describe_safe_threshold(run), say_remedy(run, outcome)]
    sentences = [
        _ended(run),
        say_unseen(run.info),
        say_never_finite(run),
        *of_gradient,
        _error(run, outcome),
        *of_steps,
        *advice,
    ]
    return "; ".join(filter(None, sentences)) or "no gradient and no error was recorded"


def _ended(run: Run) -> str:
    """Say how a run ended, or how far it is; empty if it completed all its steps."""
    status = run.info["status"]
    if status == "completed":
        stopped = run.info.get("stopped")
        if stopped == "hopeless":
            stopped = f"hopeless, no error below {run.config['stop.below']:g} of chance by step {run.config['stop.by']}"
        return f"stopped at step {run.info['stopped_at_step']} of {run.config['steps']}: {stopped}" if stopped else ""
    metrics = run.table("metrics")
    error = f": {run.info['error']}" if status == "failed" else ""
    if metrics.empty:
        return f"{status} before the first step{error}"
    last = metrics.iloc[-1]
    if status == "diverged":
        return f"diverged at step {last['step']:.0f}: loss {last['loss']:.3g}, gradient norm {last['grad_norm']:.3g}"
    return f"{status} after step {last['step']:.0f}{error}"


def _flow(run: Run) -> str:
    """Say how the gradient flows back at the last recorded step, in the state with the largest horizon."""
    length, several, by_lag = run.info["timesteps"], has_several_losses(run), gradients_by_lag(run)
    if by_lag.empty and run.table("gradients").empty:
        return ""
    overflow = run.info.get("overflow") or {}
    if overflow.get("timestep") is not None:
        state = f"{overflow['state']} in layer {overflow['layer']}"
        where = f"at timestep {overflow['timestep']} of {length}"
        return f"the gradient of {state} leaves the range of {run.config.get('dtype')} {where}"
    if several and by_lag.empty:
        return losses_add_up(run)
    # h is first, so it is named unless the horizon of another state is larger.
    states = list(dict.fromkeys(["h", *by_lag["state"].unique()]))
    within = reachable(run)
    profiles = {state: gradient_profiles(by_lag, state=state)[1].within(within) for state in states}
    smallest = smallest_normal(run)
    reaches = {state: horizon(profile, within, smallest) for state, profile in profiles.items()}
    state = max(states, key=lambda state: reaches[state].lag or 0)
    dtype = run.config.get("dtype", "float32")
    if several:
        losses = LossesByLag.at_last_step(by_lag, state)
        how = _how_single_losses_flow(profiles[state], reaches[state], within, losses, dtype)
    else:
        how = _how_it_flows(profiles[state], reaches[state], length, dtype, within)
    when = kind_of_network(run) if run.is_probe else f"at step {by_lag['step'].max()}"
    flow = how and f"{when}, {gradient_of(run, state)} {how}"
    return "; ".join(filter(None, [say_truncated(run), flow]))


def say_truncated(run: Run) -> str:
    """Say after how many timesteps the gradient was cut; empty if it was not. The Jacobians of a probe never are."""
    within, length = reachable(run), run.info["timesteps"]
    if within == length:
        return ""
    if is_watched(run):
        return f"the loop cuts the gradient {within} timesteps before the end of {length}"
    but = ", but ds_T/ds_t was not" if run.is_probe else ""
    return f"the gradient was cut after {within} of {length} timesteps (truncation){but}"


def _underflow(run: Run) -> str:
    """Say what share of the gradient's entries was too small for the dtype, over all recorded steps."""
    gradients = run.table("gradients")
    if gradients.empty:
        return ""
    shares = gradients["underflow"][can_underflow(run, gradients)].dropna()
    if not shares.any():
        return ""
    steps = gradients["step"].nunique()
    at = f"{steps} recorded steps" if steps > 1 else f"step {gradients['step'].iloc[0]}"
    return say_too_small(run, f"{percent(shares.mean())} of the gradient's entries at {at}")


def say_too_small(run: Run, what: str) -> str:
    """Say that some entries were 0, such as those of an inactive relu unit, or below the smallest normal number."""
    return f"{what} were 0 or below {smallest_normal(run):.1e}"


def kind_of_network(probe: Run) -> str:
    """Say which network a probe looked at, 'trained' or 'untrained'."""
    return "trained" if probe.info.get("checkpoint") else "untrained"


def gradient_of(run: Run, state: str) -> str:
    """Name the gradient of one state of layer 0; the output h is not named."""
    in_layer = f" in {layer_name(run, 0)}" if int(run.config.get("model.num_layers") or 1) > 1 else ""
    if has_several_losses(run):
        of_state = "" if state == "h" else f" with respect to the state {state}"
        return f"the gradient of a single timestep's loss{of_state}{in_layer}"
    of_state = "" if state == "h" else f" of the state {state}"
    return f"the gradient{of_state}{in_layer}"


def _how_it_flows(profile: Profile, reach: Horizon, length: int, dtype: Any, within: int) -> str:
    """Describe one profile as the rest of a sentence; empty if it shows nothing.

    Args:
        profile: Norm by lag.
        reach: Horizon of the profile.
        length: Number of timesteps of the sequence.
        dtype: Data type of the gradient.
        within: Number of timesteps that the gradient can reach.
    """
    left = arriving(profile)
    if left is None or reach.lag is None or reach.resolution is None:
        return ""
    if (beyond := overflow_lag(profile)) is not None:
        before = int(profile.lag[profile.lag < beyond].max())
        return f"leaves the range of {dtype} between timesteps {length - before} and {length - beyond} of {length}"
    fate = fate_of(reach.lag, left, within)
    if fate == "vanishes":
        return (
            f"vanishes: timesteps before {length - reach.lag} of {length} get less than a thousandth of what the last "
            f"one gets (horizon {reach.lag}{recorded_every(reach.resolution)})"
        )
    earliest = length - int(profile.lag[-1])
    before_cut = " before the cut" if within < length else ""
    recorded = f" of {length}, the earliest recorded{before_cut}," if earliest > 1 else ""
    return f"{fate}: at timestep {earliest}{recorded} its norm is {number(left)} times that at timestep {length}"


class LossesByLag(NamedTuple):
    """How many losses the mean norm at each recorded lag is taken over.

    Attributes:
        lag: Recorded lags, increasing.
        losses: Number of losses at each lag.
    """

    lag: np.ndarray
    losses: np.ndarray

    @classmethod
    def at_last_step(cls, by_lag: pd.DataFrame, state: str) -> "LossesByLag":
        """Read the numbers at the last recorded step of layer 0 from the table of `average_over_losses`."""
        rows = by_lag[
            (by_lag["layer"] == 0) & (by_lag["state"] == state) & (by_lag["step"] == by_lag["step"].max())
        ].sort_values("lag")
        return cls(rows["lag"].to_numpy(), rows["losses"].to_numpy())

    def mean_over(self, lag: int) -> str:
        """Say which losses the mean at a lag, or at the next recorded one, is taken over."""
        total, there = int(self.losses[0]), int(self.losses[np.searchsorted(self.lag, lag)])
        if total == 1:
            return "for the loss of one timestep"
        if there == total:
            return f"mean over {total} losses"
        if there == 1:
            return f"for the only one of {total} losses with as many timesteps before it"
        return f"mean over the {there} of {total} losses with as many timesteps before them"


def losses_averaged(averaged: pd.DataFrame, state: str, end: Literal["min", "max"] = "max") -> str:
    """Say over how many losses means are taken, such as 'mean over 8 losses, at the largest lag over 1'.

    Args:
        averaged: Table of `average_over_losses`, with a column `run_id`.
        state: Name of the state in layer 0.
        end: Whether the first (min) or the last (max) recorded step of each run counts.
    """
    rows = averaged[(averaged["layer"] == 0) & (averaged["state"] == state)]
    rows = rows[rows["step"] == rows.groupby("run_id", observed=True)["step"].transform(end)]
    by_run = rows[rows["losses"] > 0].sort_values("lag").groupby("run_id", observed=True)["losses"]
    everywhere, farthest = (
        "" if of_runs.empty else "{} to {}".format(*ends) if len(ends) > 1 else str(ends[0])
        for of_runs in (by_run.first(), by_run.last())
        for ends in [sorted({of_runs.min(), of_runs.max()})]
    )
    if not everywhere:
        return "but no loss has a norm at lag 0 that is finite and above 0"
    words = f"mean over {everywhere} {'loss' if everywhere == '1' else 'losses'}"
    return words if everywhere == farthest else f"{words}, at the largest lag over {farthest}"


def _how_single_losses_flow(profile: Profile, reach: Horizon, length: int, losses: LossesByLag, dtype: Any) -> str:
    """Describe the mean profile of single losses as the rest of a sentence; empty if it shows nothing."""
    left = arriving(profile)
    if left is None or reach.lag is None or reach.resolution is None:
        return ""
    if (beyond := overflow_lag(profile)) is not None:
        before = int(profile.lag[profile.lag < beyond].max())
        where = f"between {before} and {beyond} timesteps before that loss"
        return f"leaves the range of {dtype} {where} ({losses.mean_over(beyond)})"
    fate = fate_of(reach.lag, left, length)
    if fate == "vanishes":
        return (
            f"vanishes: more than {counted(reach.lag, 'timestep')} before that loss, its norm is less than a "
            f"thousandth of that at the loss (horizon {reach.lag}{recorded_every(reach.resolution)}, "
            f"{losses.mean_over(reach.lag + 1)})"
        )
    farthest = int(profile.lag[-1])
    recorded = ", the largest recorded lag," if farthest < length - 1 else ""
    return (
        f"{fate}: {counted(farthest, 'timestep')} before that loss{recorded} its norm is {number(left)} times that at "
        f"the loss ({losses.mean_over(farthest)})"
    )


def recorded_every(apart: float) -> str:
    """Add to a horizon how many timesteps apart its recorded neighbours are, if it is interpolated between them."""
    return f", recorded {apart:.0f} timesteps apart" if apart > 1 else ""


def _error(run: Run, outcome: Mapping[str, Any]) -> str:
    """Describe the best held-out error compared with chance, when it was reached, and the error at the end."""
    error = outcome["best_error"]
    if error is None or pd.isna(error):
        return ""
    evaluation = run.table("evaluation")
    verdict = against_chance(error, outcome["chance_error"], outcome["evaluation_samples"], evaluations_of(run))
    words = f"best error {error:.1%}"
    if len(evaluation):
        steps, errors = (evaluation[column].to_numpy() for column in ("step", "error"))
        words += f" at step {steps[np.nanargmin(errors)]}"
        if errors[-1] > error:
            words += f" and {errors[-1]:.1%} at step {steps[-1]}"
    solved = f"; solved at step {outcome['solved_at_step']:.0f}" if outcome["solved"] else ""
    return f"{words}, chance {percent(outcome['chance_error'])}: {verdict}{solved}"


def against_chance(error: float, chance: float, samples: float, tries: int) -> str:
    """Say whether the smallest of several errors is better or worse than that of a network that guesses.

    Args:
        error: Smallest of the errors.
        chance: Expected error of guessing.
        samples: Number of sequences that each error is averaged over.
        tries: Number of errors: the smallest of many is more likely to be small by chance.
    """
    deviations = NormalDist().inv_cdf(1 - FALSE_ALARM / max(tries, 1))
    noise = deviations * math.sqrt(max(chance * (1 - chance), 0.0) / samples)
    if error > chance + noise:
        return "worse than chance"
    if error < chance - noise:
        return "better than chance"
    if chance == 0:
        return "nothing to beat, as the answer without memory has no error either (loss and chance_loss may differ)"
    return f"no better than chance on {counted(int(samples), 'sequence')}"


def evaluations_of(run: Run) -> int:
    """The largest number of errors that a run's best error can be the smallest of."""
    steps, every = run.config.get("steps") or 1, run.config.get("record.evaluate_every") or 1
    return math.ceil((int(steps) - 1) / int(every)) + 1


def _norms(run: Run, outcome: Mapping[str, Any]) -> str:
    """Describe how the gradient norm was distributed over the training steps, and what clipping cut."""
    metrics = run.table("metrics")
    steps = 0 if metrics.empty else int(metrics["grad_norm"].notna().sum())
    if steps < MIN_STEPS or run.is_probe:
        return ""
    would_cut = f"a threshold of {number(outcome['p90_grad_norm'])} would cut at most 10% of the steps"
    clipped = outcome["clipped_fraction"]  # not known if no step had a finite norm
    cut = "" if clipped is None else cut_by(run, f"{percent(clipped)} of the steps{describe_scale(run)}")
    cut = cut or say_watched_clipping(run) or would_cut
    return f"{norm_with_penalty(run)} over {steps} steps: {quantiles(outcome)}; {cut}"


def norm_with_penalty(run: Run) -> str:
    """Name the norm in metrics.csv, which is that of the loss and of the penalty if a remedy such as omega adds one."""
    metrics = run.table("metrics")
    has_penalty = "penalty" in metrics and metrics["penalty"].notna().any()
    return "gradient norm of loss and penalty together" if has_penalty else "gradient norm"


def quantiles(norms: Mapping[str, Any]) -> str:
    """Format the quantiles of the gradient norm in summary.csv."""
    median, p90, p99, largest = (number(norms[name]) for name in NORMS)
    return f"median {median}, 90% up to {p90}, 99% up to {p99}, largest {largest}"


def cut_by(run: Run, share: str) -> str:
    """Say what share of the steps the run's own clipping cut; empty if it does not clip."""
    clip, threshold = run.config.get("clip"), run.config.get("clip.threshold")
    if clip in (None, "none"):
        return ""
    fixed = threshold is not None and run.config.get("clip.warmup") is None  # after a warm-up, thresholds move
    return f"clip={clip}{f' at {threshold:g}' if fixed else ''} cut {share}"


class Reading(NamedTuple):
    """A number that a probe measured, and what it means."""

    name: str
    value: str
    meaning: str


def probe_readings(run: Run, outcome: Mapping[str, Any]) -> list[Reading]:
    """List the numbers that a probe measured.

    Args:
        run: The probe.
        outcome: Row of the probe in summary.csv.
    """
    length, of_loss = run.info["timesteps"], "fitted to the norm of dL/dh_t"
    if has_several_losses(run):
        by_lag = average_over_losses(run.table("lags"))
        of_loss = (
            losses_add_up(run)
            if by_lag.empty
            else f"{OF_SINGLE_LOSSES}, {losses_averaged(by_lag.assign(run_id=run.id), 'h')}"
        )
    cut = say_truncated(run)
    readings = [
        Reading("gain per timestep", number(outcome["gain_per_timestep"]), _jacobian(outcome, length)),
        Reading("gain of the gradient", number(outcome["gain_at_init"]), f"{of_loss}; {cut}" if cut else of_loss),
    ]
    if outcome["horizon"] is not None:
        apart = recorded_every(outcome["horizon_resolution"])
        meaning = f"largest lag, of {length - 1}, at which ds_T/ds_t has a thousandth of its size{apart}"
        readings.append(Reading("horizon", str(outcome["horizon"]), meaning))
    theory = run.info.get("theory")
    if theory and theory["gain"] is not None and not run.info.get("checkpoint"):
        alone = run.config.get("model.num_layers") == 1 and run.info["readout_steps"] == 1
        meaning = theory["law"] if alone else f"{theory['law']}; of layer 0's Jacobian, not of the gradient"
        readings.insert(1, Reading("gain in theory", number(theory["gain"]), meaning))
    readings += [Reading("reach of the data", *reading) for reading in data_reading(run)]
    readings += _bounds(run)
    exponents = run.table("lyapunov")
    largest = float(exponents.loc[exponents["layer"] == 0, "exponent"].max()) if len(exponents) else math.nan
    if not math.isnan(largest):
        meaning = "nats per timestep; below 0 nearby states converge, above 0 they diverge"
        readings.append(Reading("largest Lyapunov exponent", number(largest), meaning))
    readings.append(
        Reading("parameters", str(outcome["parameters"]), "number of trained parameters; the same for any length")
    )
    norms = f"median; {number(outcome['max_grad_norm'])} at most, over {len(run.table('metrics'))} batches"
    readings.append(Reading("gradient norm", number(outcome["median_grad_norm"]), f"{norms}, {kind_of_network(run)}"))
    if run.config.get("task") != "noise":  # whose training nobody needs advice on
        readings.append(Reading("clipping threshold", "not known", THRESHOLD))
    if remedy := say_remedy(run, outcome):
        readings.append(Reading("remedy", "measured", remedy))
    return readings


OF_SINGLE_LOSSES = "fitted to the norm of dL_t/dh_(t-k) by lag k, where L_t is the loss of a single timestep"
"""What a probe's gain of the gradient is fitted to for a task with a loss at several timesteps."""

THRESHOLD = "it depends on the norms while training: `bptt run` with these keys prints how they are distributed"
"""What a probe says about a clipping threshold."""


def _jacobian(outcome: Mapping[str, Any], length: int) -> str:
    """Say what ds_T/ds_t does from the last timestep back to the earliest recorded one."""
    reach, left = outcome["horizon"], outcome["arriving"]
    if reach is None or left is None:
        return "of ds_T/ds_t; not known: too few recorded timesteps, or no gradient"
    size = f"{number(left)} times as large at the earliest recorded timestep"
    return f"of ds_T/ds_t; {fate_of(reach, left, length)}: {size}"


def _bounds(run: Run) -> list[Reading]:
    """List what the gates and the recurrent matrix of layer 0 say about its gain."""
    gates, parameters = run.table("gates"), run.table("parameters")
    readings = []
    if len(gates):
        gates = add_kept_states(gates.assign(run_id=run.id), [run])
        keeping = gates[(gates["layer"] == 0) & (gates["keeps"] != "")]
        for gate, rows in keeping.groupby("gate", observed=True):
            meaning = f"by the {gate} gate in layer 0: mean over units and recorded timesteps"
            readings.append(Reading(f"share of {rows['keeps'].iloc[0]} kept", number(rows["kept"].mean()), meaning))
    bound = (run.info.get("theory") or {}).get("bound")
    if bound is not None and len(parameters):
        sigma = parameters.set_index("parameter")["sigma_max"].get("layers.0.weight_hh")
        if sigma is not None and not pd.isna(sigma):
            meaning = "of layer 0's recurrent matrix: its Jacobian gains no more per timestep (Pascanu et al. 2013)"
            readings.append(Reading("largest singular value", number(sigma), meaning))
    return readings


def number(value: float | None) -> str:
    """Format a number with three digits; a missing one is empty."""
    return "" if value is None or pd.isna(value) else f"{value:.3g}"


def spread(values: Sequence[float] | np.ndarray, form: str) -> str:
    """Format the median, and the smallest and largest value if they differ."""
    low, middle, high = (form.format(of(values)) for of in (np.min, np.median, np.max))
    return middle if low == high else f"{middle} ({low} to {high})"
