"""The words around the numbers: the table, the best of a search, the help of `bptt probe`."""

import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from cli.commands.sweep import print_best_trial
from cli.main import app
from cli.print_results import print_runs
from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.sweeps.search import SearchResult
from experiments.training.probe import probe

TINY = ["model.hidden_size=3", "batch_size=2", "steps=2", "task.length=20", "study=s", "record.evaluate_samples=10"]


@pytest.fixture
def runs(make_run):
    return [make_run(*TINY, f"seed={seed}") for seed in range(2)]


def test_the_table_has_the_horizon_and_how_far_the_recorded_lags_are_apart(runs, capsys):
    print_runs(runs[0].folder.parents[1], [run.id for run in runs])
    table = capsys.readouterr().out.partition("medians")[0]
    assert re.search(r"horizon +lag spacing", table)


def test_the_table_names_the_state_that_its_gain_and_horizon_are_of(make_run, capsys):
    runs = [make_run(*TINY, f"cell={cell}") for cell in ("rnn", "scrn")]
    print_runs(runs[0].folder.parents[1], [run.id for run in runs])
    out = capsys.readouterr().out
    states = pd.read_csv(runs[1].folder.parents[1] / "states.csv").set_index(["run_id", "state"])
    of_s = states.loc[(runs[1].id, "s")]
    row = next(line for line in out.splitlines() if line.startswith("scrn"))
    assert re.search(f" s +{of_s['gain_at_init']:.3f} +{of_s['gain_per_timestep']:.3f} +{of_s['horizon']:.0f} ", row)
    assert "gain and horizon are those of the state whose gradient" in out
    print_runs(runs[0].folder.parents[1], [runs[0].id])
    assert not re.search("^cell.* state|are those of the state", capsys.readouterr().out, re.MULTILINE)


def test_the_table_of_probes_has_the_gain_of_each_state_the_exponent_and_the_parameters(tmp_path, capsys):
    tiny = [*TINY, "probe.samples=1", "probe.batches=1", f"results_dir={tmp_path}"]
    folders = [probe(compose([*tiny, f"cell={cell}"])).folder for cell in ("rnn", "lstm")]
    print_runs(tmp_path / "s", [folder.name for folder in folders])
    states = pd.read_csv(tmp_path / "s" / "states.csv").set_index(["run_id", "state"])["gain_at_init"]
    of_rnn, of_lstm = (states[folder.name] for folder in folders)
    exponents = pd.read_csv(folders[1] / "lyapunov.csv")["exponent"]
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in reversed(lines) if line}
    assert any(line.startswith("cell = lstm (probe): untrained, ds_T/ds_t ") for line in lines)
    assert f"{of_rnn['h']:.3f}" in rows["rnn"]
    assert f"h={of_lstm['h']:.3f},c={of_lstm['c']:.3f}" in rows["lstm"]
    assert f"{exponents.max():.3f}" in rows["lstm"]
    assert str(sum(p.numel() for p in build(compose([*tiny, "cell=lstm"])).network.parameters())) in rows["lstm"]


def test_the_best_trial_of_a_search_stands_beside_chance(runs, capsys):
    study = runs[0].folder.parents[1]
    print_best_trial(SearchResult(study, [run.folder for run in runs], runs[1].folder, 0.6), "final_loss")
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"best of 2 runs: final_loss 0.6, {runs[1].folder}"
    assert second.startswith("its best error ")
    assert ", chance 63.6%: no better than chance on 10 sequences, as the smallest of " in second
    print_best_trial(SearchResult(study, [run.folder for run in runs], None, float("nan")), "solved_at_step")
    assert capsys.readouterr().out == "no run has a value of solved_at_step\n"


def test_the_help_of_probe_offers_no_clipping_threshold():
    text = " ".join(CliRunner().invoke(app, ["probe", "--help"]).output.replace("│", " ").split())
    assert "it cannot suggest a clipping threshold" in text
    assert "to start from" not in text
