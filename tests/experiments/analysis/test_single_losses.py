"""Single losses by lag: means that no large loss decides, and agreement with linear recurrences and with autograd."""

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.run_tables import RunTables
from experiments.analysis.single_losses import average_over_losses
from experiments.analysis.summary import FLOW, summarize_runs
from experiments.config.composing import compose
from experiments.store.studies import read_runs
from experiments.sweeps.replay import prepare_replay
from experiments.sweeps.rerecording import replace_record
from experiments.training.probe import probe

LINEAR = ("task=copy", "task.length=8", "cell=rnn", "cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.9",
          "model.hidden_size=6", "dtype=float64", "steps=2", "record.windows=all", "record.every=1",
          "record.lags=true")  # fmt: skip


def lags(*losses, **columns):
    """Rows of lags.csv: each loss is its timestep and its norms at lags 0, 1, ..."""
    rows = [
        {"loss_timestep": t, "lag": lag, "grad_norm": norm} for t, norms in losses for lag, norm in enumerate(norms)
    ]
    return pd.DataFrame(rows).assign(**{"step": 1, "layer": 0, "state": "h", **columns})


def test_each_loss_counts_the_same_and_the_unit_is_that_of_a_norm():
    averaged = average_over_losses(lags((2, [1.0, 0.5]), (3, [100.0, 1.0, 2.0])))
    assert averaged["lag"].tolist() == [0, 1, 2]
    assert averaged["losses"].tolist() == [2, 2, 1]
    mean = (1.0 + 100.0) / 2
    np.testing.assert_allclose(averaged["grad_norm"], mean * np.array([1, (0.5 + 0.01) / 2, 0.02]), rtol=1e-14)
    np.testing.assert_allclose(averaged["lowest"], mean * np.array([1, 0.01, 0.02]), rtol=1e-14)
    np.testing.assert_allclose(averaged["highest"], mean * np.array([1, 0.5, 0.02]), rtol=1e-14)


@pytest.mark.parametrize("nothing", [0.0, np.inf, np.nan])
def test_a_loss_without_a_gradient_at_lag_0_is_left_out(nothing):
    with_it = average_over_losses(lags((2, [1.0, 0.5]), (3, [nothing, 7.0, 7.0])))
    pd.testing.assert_frame_equal(with_it, average_over_losses(lags((2, [1.0, 0.5]))), check_dtype=False)


def test_where_all_losses_are_left_out_every_lag_is_kept_as_unknown():
    averaged = average_over_losses(pd.concat([lags((3, [1.0, 1.0])), lags((3, [0.0, 1.0]), step=9)]))
    assert averaged["step"].tolist() == [1, 1, 9, 9]
    assert averaged["grad_norm"].isna().tolist() == [False, False, True, True]
    assert averaged["losses"].tolist() == [1, 1, 0, 0]


def test_a_norm_that_is_nan_or_inf_is_not_averaged_away():
    averaged = average_over_losses(lags((2, [1.0, np.nan, np.inf]), (3, [1.0, 1.0, 1.0])))
    np.testing.assert_array_equal(averaged["grad_norm"], [1, np.nan, np.inf])


def test_runs_steps_layers_and_states_are_kept_apart_and_in_order():
    parts = [
        lags((2, [scale, scale * gain]), run_id=run, step=step, layer=layer, state=state)
        for scale, (run, step, layer, state, gain) in enumerate(
            [
                ("b", 1, 0, "h", 0.1),
                ("b", 1, 0, "c", 0.2),
                ("b", 1, 1, "h", 0.3),
                ("b", 51, 0, "h", 0.4),
                ("a", 1, 0, "h", 0.5),
            ],
            start=1,
        )
    ]
    table = pd.concat(parts, ignore_index=True).astype({"run_id": "category", "state": "category"})
    averaged = average_over_losses(table)
    assert averaged["run_id"].tolist() == ["b"] * 8 + ["a"] * 2
    np.testing.assert_allclose(averaged["grad_norm"], table["grad_norm"])
    assert average_over_losses(pd.DataFrame()).empty


def test_a_linear_recurrence_loses_its_gain_a_timestep_whatever_the_loss(make_run):
    run = make_run(*LINEAR)
    summary, _ = summarize_runs([run])
    assert summary["gain_at_init"].item() == pytest.approx(0.9, rel=1e-9)
    averaged = average_over_losses(run.table("lags"))
    first = averaged[averaged["step"] == 1]
    np.testing.assert_allclose(first["grad_norm"] / first["grad_norm"].iloc[0], 0.9 ** first["lag"], rtol=1e-9)
    np.testing.assert_allclose(first["lowest"], first["highest"], rtol=1e-9)
    assert first["losses"].iloc[0] == 8
    assert first["losses"].iloc[-1] == 1
    sums = run.table("gradients")
    assert sums.loc[sums["step"] == 1, "grad_norm"].iloc[0] > 2 * first["grad_norm"].iloc[-1]


def test_the_tables_of_figures_agree_with_the_summary_of_files(make_run):
    runs = [make_run(*LINEAR), make_run(*LINEAR, "seed=1"), make_run("steps=2", "task.length=9")]
    of_files = summarize_runs(runs)
    tables = RunTables(runs)
    pd.testing.assert_frame_equal(tables.summary_csv, of_files[0])
    pd.testing.assert_frame_equal(tables["states"], of_files[1])
    assert tables.summary_csv["gain_at_init"].notna().all()


def test_the_sentence_keeps_its_promise_a_replay_gives_a_finished_run_its_reach(make_run, tmp_path):
    run = make_run(*LINEAR[:-1])
    assert summarize_runs([run])[0][[*FLOW]].isna().all(axis=None)
    again = prepare_replay(run.folder, tmp_path / "again", ["record.lags=true"])
    again.run()
    replace_record(run.folder, again.folder)
    (run,) = read_runs(run.folder.parents[1])
    summary, states = summarize_runs([run])
    for table in (summary, states):
        assert table["gain_at_init"].item() == pytest.approx(0.9, rel=1e-9)
        assert table["horizon_at_init"].item() == run.info["timesteps"] - 1


def test_a_probe_has_the_gain_of_single_losses_beside_that_of_its_jacobians(make_run, tmp_path):
    probed = probe(compose([*LINEAR, "probe.batches=1", "probe.samples=1", f"results_dir={tmp_path}"]))
    (run,) = read_runs(probed.folder.parents[1])
    (row,) = summarize_runs([run])[0].to_dict("records")
    assert row["gain_at_init"] == pytest.approx(0.9, rel=1e-9)
    assert row["gain_per_timestep"] == pytest.approx(0.9, rel=1e-9)


def test_lags_without_gradients_are_enough(make_run):
    run = make_run(*LINEAR, "record.gradients=false")
    summary, states = summarize_runs([run])
    assert summary["gain_at_init"].item() == states["gain_at_init"].item() == pytest.approx(0.9, rel=1e-9)
