"""Made-up studies: their planned runs, with CSV files as if all claims were true, or with doctored ones."""

import json
import math
from functools import cache

import pandas as pd
import yaml

from experiments.store.files import to_csv
from experiments.sweeps.plan import plan

SIZES = {"rnn": 4000, "lstm": 16000, "gru": 12000}

WEIGHTS = 8.0
"""Norm of all weights before training."""

ANY_SEED = "SEED"
"""Stands for the seed in the texts that runs have in common."""


def facts_of(config):
    """What a run of this configuration shows if everything is as published."""
    cell, gain = config.cell["name"], config.init.get("gain")
    bias = config.cell.get("forget_bias")
    facts = {
        "gain": 1 / math.sqrt(3) if gain is None else gain * {"orthogonal": 0.97}.get(config.init["name"], 1),
        "trained_gain": 0.9, "theory": gain, "h_over_c": 0.05, "forget": None, "trained_forget": None,
        "closing": 0.3, "solved_at": None, "leap": 0.5, "update": 0.01, "saturated": 0.1, "last_share": 0.4, "sum": 1.0,
        "finite": True, "through_h": 1.0, "trained_through_h": 1.0, "parameters": SIZES[cell], "ms_per_timestep": 0.05,
        "power": 1.0, "batch_power": 0.2, "follows": True, "trained_output": 0.4,
    }  # fmt: skip
    if cell == "lstm":
        forget = 1 / (1 + math.exp(-(bias or 0.0)))
        facts |= {"gain": forget if bias != 3 else 0.99, "forget": forget if bias != 3 else 0.99}
        facts |= {"trained_gain": 0.99, "trained_forget": 0.99}
    if cell == "gru":
        of_rnn = 1.3 if gain and gain < 1 else 0.8
        facts |= {"gain": 0.65 if gain is None else of_rnn * gain, "trained_gain": 0.98, "solved_at": 500}
    of_study = {"vanishing": _vanishing, "exploding": _exploding, "lstm_memory": _lstm_memory}.get(config.study.name)
    return facts | (of_study(config, facts["gain"]) if of_study else {})


def _vanishing(config, gain):
    within = config.task["length"] <= math.log(1000) / -math.log(gain)
    return {"solved_at": 400 if within and config.truncation is None else None}


def _exploding(config, gain):
    threshold = config.clip.get("threshold", math.inf)
    is_explosion, is_relu = gain > 1, config.cell["nonlinearity"] == "relu"
    return {
        "leap": 1e6 if is_relu and is_explosion and threshold > 30 else 1.5,
        "update": 3.0 if is_explosion and math.isinf(threshold) else 0.01,
        "saturated": 0.9 if is_explosion else 0.1,
        "solved_at": 400 if 0.3 <= threshold <= 30 else None,
    }


def _lstm_memory(config, gain):
    cell, bias = config.cell["name"], config.cell.get("forget_bias")
    facts = {"parameters": 4600}
    if cell == "lstm":
        facts["solved_at"] = 900 if bias is None else 600
        if config.task["name"] == "temporal_order" and bias is None:
            facts["solved_at"] = None
        if bias is None:
            facts["through_h"] = 1.1
    return facts


def make_up(study, folder, doctor=None):
    """Write the planned runs of a study.

    Args:
        study: Name of the study.
        folder: Results folder.
        doctor: Function from the configuration and the facts of a run to the facts that are to be different.

    Returns:
        Folder of the study, and the seed of each planned run by its id.
    """
    configs = [config.model_copy(update={"results_dir": str(folder)}) for config in planned(study)]
    texts = {}  # runs that differ only in their seeds have the same
    for config in configs:
        facts = facts_of(config)
        facts |= doctor(config, facts) if doctor else {}
        like = config.model_dump_json(exclude={"seed"}), str(facts)
        if like not in texts:
            texts[like] = texts_of(config, facts)
        write_run(config.run_folder, config.seed, texts[like])
    return configs[0].study_folder, {config.run_id: config.seed for config in configs}


@cache
def planned(study):
    """The runs of a study at its small scale."""
    return plan([f"study={study}", "scale=small"]).configs


def write_run(folder, seed, texts):
    (folder / ".hydra").mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text.replace(ANY_SEED, str(seed)))


def texts_of(config, facts):
    """The files of a run by their names, with ANY_SEED for its seed."""
    length = config.task["length"]
    per_step = 1e-3 * facts["ms_per_timestep"] * length ** facts["power"] * config.batch_size ** facts["batch_power"]
    seconds = 0.05 + config.steps * (per_step + 0.002)
    info = {
        "status": "completed" if facts["finite"] else "diverged", "timesteps": length,
        "readout_steps": 1, "started": "2026-01-01T00:00:00+00:00",
        "parameters": facts["parameters"], "diverged_at_step": None if facts["finite"] else 2,
        "seconds": seconds, "processor_seconds": seconds,
        "theory": {"state": "h", "gain": facts["theory"], "bound": None} if facts["theory"] else None,
    }  # fmt: skip
    values = config.model_dump() | {"seed": ANY_SEED}
    configuration = yaml.dump(values, Dumper=yaml.CSafeDumper, sort_keys=False)
    tables = {f"{name}.csv": text for name, text in tables_of(config, facts).items()}
    return {".hydra/config.yaml": configuration, "run.json": json.dumps(info), **tables}


def tables_of(config, facts):
    """The CSV files of a run, as texts by their names."""
    length, steps = config.task["length"], sorted({1, min(2, config.steps), config.steps})
    rows = {
        "metrics": _metrics(config, facts),
        "evaluation": _evaluation(config, facts),
        "gradients": _gradients(config, facts, steps),
        "contributions": _contributions(length, facts, steps),
        "gates": _gates(length, facts, steps),
        "parameters": _parameters(steps),
        "activations": _activations(length, facts, steps),
    }
    written = [name for name in rows if name in ("metrics", "evaluation") or getattr(config.record, name)]
    return {name: to_csv(pd.DataFrame(rows[name])) for name in written if rows[name]}


def _metrics(config, facts):
    threshold = config.clip.get("threshold", math.inf)
    losses = {1: 1.0, 2: facts["leap"] if facts["finite"] else math.inf, config.steps: 0.1}
    norms = {2: facts["update"] * WEIGHTS / config.optimizer["lr"]} if math.isinf(threshold) else {}
    return [
        {
            "step": step, "loss": loss, "grad_norm": norms.get(step, 5.0),
            "clipped_grad_norm": min(norms.get(step, 5.0), threshold),
            "clip_scale": min(norms.get(step, 5.0), threshold) / norms.get(step, 5.0), "lr": config.optimizer["lr"],
        }
        for step, loss in losses.items()
        if step <= config.steps
    ]  # fmt: skip


def _parameters(steps):
    return [
        {
            "step": step,
            "parameter": name,
            "grad_norm": 1.0,
            "weight_norm": weight,
            "update_norm": 0.01,
            "spectral_radius": 1.0,
            "sigma_max": 1.0,
        }
        for step in steps
        for name, weight in (("layers.0.weight_hh", WEIGHTS), ("layers.0.weight_hh[candidate]", WEIGHTS))
    ]


def _activations(length, facts, steps):
    return [
        {
            "step": step, "layer": 0, "state": "h", "timestep": timestep, "mean": 0.0, "std": 0.5, "rms": 0.5,
            "saturated": facts["saturated"],
        }
        for step in steps
        for timestep in (length // 2, length)
    ]  # fmt: skip


def _evaluation(config, facts):
    solved_at, steps = facts["solved_at"], range(1, config.steps + 1, max(1, config.steps // 15))
    return [
        {
            "step": step,
            "loss": 1.0,
            "error": error,
            "solved": int(error < 0.01),
            "chance_loss": 1.0,
            "chance_error": 0.75,
            "samples": 1000,
        }
        for step in steps
        for error in [0.0 if solved_at and step >= solved_at else 0.7]
    ]


def _gradients(config, facts, steps):
    states = {"h": 1.0} if config.cell["name"] != "lstm" else {"h": facts["h_over_c"], "c": 1.0}
    length, rows = config.task["length"], []
    for step in steps:
        gain = facts["gain"] if step == 1 else facts["trained_gain"]
        through_h = facts["through_h"] if step == 1 else facts["trained_through_h"]
        for state, scale in states.items():
            for lag in range(0, length, max(1, length // 10)):
                norm = (scale if lag else 1.0) * gain**lag
                row = {
                    "step": step,
                    "layer": 0,
                    "state": state,
                    "timestep": length - lag,
                    "lag": lag,
                    "grad_norm": norm,
                }
                rows.append(row | {"grad_norm_direct": norm / through_h**lag if state == "c" else None})
    return rows


def _contributions(length, facts, steps):
    rest = (facts["sum"] - facts["last_share"]) / (length - 1)
    sizes = [facts["gain"] ** (length - timestep) for timestep in range(1, length + 1)]
    if not facts["follows"]:  # the parts are largest where the gradient is smallest
        sizes.reverse()
    return [
        {
            "step": step, "parameter": "layers.0.weight_hh", "first_timestep": timestep, "last_timestep": timestep,
            "grad_norm": size, "share": facts["last_share"] if timestep == length else rest,
        }
        for step in steps
        for timestep, size in enumerate(sizes, start=1)
    ]  # fmt: skip


def _gates(length, facts, steps):
    if facts["forget"] is None:
        return []
    marked = 2 / length
    return [
        {
            "step": step, "layer": 0, "gate": gate, "timestep": timestep,
            "mean": marked * at_marks + (1 - marked) * elsewhere,
            "std": 0.1, "saturated_low": 0.0, "saturated_high": 0.05,
            "marked": marked, "mean_marked": at_marks, "mean_unmarked": elsewhere,
        }
        for step in steps
        for timestep in range(1, length + 1)
        for gate, at_marks, elsewhere in _gate_means(facts, step == 1, timestep == length)
    ]  # fmt: skip


def _gate_means(facts, is_untrained, is_last):
    """Each gate's mean over the sequences that mark the timestep, and over the others."""
    if is_untrained:
        return [(gate, mean, mean) for gate, mean in (("forget", facts["forget"]), ("input", 0.5), ("output", 0.5))]
    output = facts["trained_output"] if is_last else 0.2
    return [
        ("forget", facts["trained_forget"], facts["trained_forget"]),
        ("input", 0.2 + facts["closing"], 0.2),
        ("output", output, output),
    ]
