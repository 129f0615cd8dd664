"""What findings say of a watched run in the user's own words: its layers and parameters, and what its watch records."""

import pandas as pd

from experiments.store.studies import Run


def is_watched(run: Run) -> bool:
    """Whether a run is the user's own loop, watched."""
    return "watched" in run.info


def layer_name(run: Run, number: int) -> str:
    """Name a layer, such as 'layer 0', or 'layer encoder' where the user's model has a name for it."""
    names = run.info.get("watched") or []
    return f"layer {names[number] if number < len(names) else number}"


def timesteps_of(run: Run, number: int) -> int:
    """Number of timesteps of a layer; those of a watched model may differ, as in an encoder and a decoder."""
    gradients = run.table("gradients") if is_watched(run) else pd.DataFrame()
    rows = gradients[gradients["layer"] == number] if len(gradients) else gradients
    return int(rows["timestep"].max()) if len(rows) else int(run.info["timesteps"])


def parameter_name(run: Run, name: str) -> str:
    """The user's own name of a parameter or a gate's block of it: 'encoder.weight_hh_l0[forget]'."""
    parameter, bracket, gate = name.partition("[")
    names: dict[str, str] = run.info.get("parameter_names", {})
    return names.get(parameter, parameter) + bracket + gate


def losses_add_up(run: Run) -> str:
    """Say why the reach of the gradient is not known for a task with a loss at several timesteps, and what would do."""
    number = run.info["readout_steps"]
    if not is_watched(run):
        return f"reach unknown: the gradients of {number} losses add up (record.lags=true records them apart)"
    what = f"reach unknown: the gradients of {number} outputs add up"
    if run.info.get("lags_possible", True):
        return f"{what} (lags=True, or bptt watch --lags, records them apart)"
    return (
        f"{what}, and they cannot be recorded apart in cells, packed or bidirectional layers, and several calls a step"
    )
