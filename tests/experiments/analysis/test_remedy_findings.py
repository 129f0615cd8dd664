"""The finding on remedies says what the committed study measured, and nothing about another situation."""

import re

import pandas as pd
import pytest

from experiments.analysis import remedy_findings
from experiments.analysis.findings import describe_run, probe_readings
from experiments.analysis.remedy_findings import MEASURED, say_remedy
from experiments.store.studies import Run
from experiments.sweeps.plan import plan

STUDY = pd.read_csv(MEASURED, keep_default_na=False, na_values=[""])

SITUATIONS = [
    (gain, clip)
    for (gain, clip), runs in STUDY[STUDY["remedy"] == "none"].groupby(["init.gain", "clip"])
    if clip in ("none", "norm")
]


def of_study(gain, clip):
    """A run of the study without a remedy, with its row of summary.csv."""
    rows = STUDY[(STUDY["init.gain"] == gain) & (STUDY["clip"] == clip) & (STUDY["remedy"] == "none")]
    outcome = {str(key): value for key, value in rows.sort_values("arriving_at_init").iloc[-1].items()}
    config = {"cell": "rnn", "cell.nonlinearity": "tanh", "model.num_layers": 1, "clip": clip, "remedy": "none"}
    config |= {
        "task": outcome["task"],
        "task.length": outcome["task.length"],
        "init.gain": gain,
        "truncation": None,
        "optimizer": "sgd",
    }
    return config, outcome


def said(folder, config, outcome, **info):
    known = {"status": "completed", "timesteps": config["task.length"], "readout_steps": 1, "parameters": 1}
    return say_remedy(Run(folder, config, known | info), outcome)


@pytest.mark.parametrize(("gain", "clip"), SITUATIONS)
def test_it_names_what_solved_the_task_in_all_runs_where_none_did_without(tmp_path, gain, clip):
    config, outcome = of_study(gain, clip)
    sentence = said(tmp_path, config, outcome)
    runs = STUDY[STUDY["init.gain"] == gain]
    without = runs[(runs["clip"] == clip) & (runs["remedy"] == "none")]
    named = re.findall(r"((?:clip=\w+ ?|remedy=\w+ ?)+)\(median step (\d+)\)", sentence)
    if without["solved"].any():
        assert sentence == ""
    for options, step in named:
        chosen = {"clip": clip, "remedy": "none"} | dict(option.split("=") for option in options.split())
        those = runs[(runs["clip"] == chosen["clip"]) & (runs["remedy"] == chosen["remedy"])]
        assert sorted(those["seed"]) == sorted(without["seed"])
        assert those["solved"].tolist() == [1] * len(those)
        assert (those["horizon"] == those["task.length"] - 1).all()
        assert int(step) == int(those["solved_at_step"].median())
    if sentence:
        assert f"init.gain={gain:g}, clip={clip}, {without['seed'].nunique()} seeds" in sentence
        assert f"{without['best_error'].max():.0%}" in sentence


def test_it_speaks_about_the_study_itself():
    """Without this, every other test here could pass in silence."""
    assert any(said(MEASURED, *of_study(*situation)) for situation in SITUATIONS)


OTHERS = [
    ({"cell": "lstm"}, {}, {}),
    ({"cell.nonlinearity": "relu"}, {}, {}),
    ({"model.num_layers": 2}, {}, {}),
    ({"truncation": 5}, {}, {}),
    ({"task": "noise"}, {}, {}),
    ({"task": "noise"}, {}, {"kind": "probe"}),
    ({"remedy": "omega"}, {}, {}),
    ({"clip": "value"}, {}, {}),
    ({}, {"solved": 1}, {}),
    ({}, {"horizon_at_init": 29, "arriving_at_init": 0.5}, {}),
    ({}, {"horizon_at_init": None, "arriving_at_init": None}, {}),
    ({}, {}, {"readout_steps": 10}),
    ({}, {}, {"kind": "probe", "checkpoint": "run"}),
]


@pytest.mark.parametrize(("config", "outcome", "info"), OTHERS)
@pytest.mark.parametrize(("gain", "clip"), SITUATIONS)
def test_it_says_nothing_about_another_situation(tmp_path, gain, clip, config, outcome, info):
    same, measured = of_study(gain, clip)
    assert said(tmp_path, same | config, measured | outcome, **info) == ""


def test_what_the_summary_does_not_say_is_that_of_the_study():
    planned = plan(["study=remedies"]).configs
    assert {config.optimizer["name"] for config in planned} == {remedy_findings.OPTIMIZER}
    assert sorted(config.run_folder.name for config in planned) == sorted(STUDY["run_id"])


def test_it_says_what_was_not_measured(tmp_path):
    config, outcome = next(of_study(*one) for one in SITUATIONS if said(tmp_path, *of_study(*one)))
    assert "not measured" not in said(tmp_path, config, outcome)
    sentence = said(tmp_path, config | {"task": "adding", "task.length": 90, "optimizer": "adam"}, outcome)
    assert sentence.endswith(", but with task=adding task.length=90 optimizer=adam it was not measured")


@pytest.mark.parametrize("doctored", ["one without it solved", "one with it not solved", "one seed less", "no file"])
def test_it_holds_its_tongue_where_the_study_is_not_clear(tmp_path, monkeypatch, doctored):
    gain, clip = next(one for one in SITUATIONS if said(tmp_path, *of_study(*one)))
    path = tmp_path / "summary.csv"
    monkeypatch.setattr(remedy_findings, "MEASURED", path)
    study = STUDY.copy()
    is_without = (study["init.gain"] == gain) & (study["clip"] == clip) & (study["remedy"] == "none")
    is_first = study["seed"] == study["seed"].min()
    if doctored == "one without it solved":
        study.loc[is_without & is_first, "solved"] = 1
    elif doctored == "one with it not solved":
        study.loc[~is_without & is_first, "solved"] = 0
    elif doctored == "one seed less":
        study = study[is_without | ~is_first]
    if doctored != "no file":
        study.to_csv(path, index=False)
    assert said(tmp_path, *of_study(gain, clip)) == ""


def test_runs_and_probes_say_it(tmp_path):
    config, outcome = next(of_study(*one) for one in SITUATIONS if said(tmp_path, *of_study(*one)))
    known = {"status": "completed", "timesteps": config["task.length"], "readout_steps": 1, "parameters": 1}
    sentence = said(tmp_path, config, outcome)
    assert describe_run(Run(tmp_path, config, known), outcome).endswith(sentence)
    readings = probe_readings(Run(tmp_path, config, known | {"kind": "probe"}), outcome)
    assert [reading.meaning for reading in readings if reading.name == "remedy"] == [sentence]
