"""A step whose gradient is not finite: it ends the training, is skipped, or shrinks the recurrent matrices."""

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.analysis.configuration_findings import describe_configurations
from experiments.analysis.findings import describe_run
from experiments.analysis.nonfinite_findings import say_never_finite, say_nonfinite
from experiments.analysis.summary import summarize_runs
from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.errors import UsageError
from experiments.nonfinite import Skip
from experiments.store.csv_columns import COLUMNS
from experiments.store.studies import Run, read_runs
from experiments.training.run import run
from models.rnn import RNN

EXPLODING = [
    *("task.length=140", "model.hidden_size=3", "steps=8", "optimizer=sgd", "optimizer.lr=1", "batch_size=3"),
    *("record.evaluate_samples=5", "record.every=100"),
]


class AtRest(RNN):
    """A tanh network at rest, h = 0 and W = 2 I, whose gradient doubles with every timestep and overflows float32."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            self.weight_hh.copy_(2 * torch.eye(hidden_size))


FIRST = 2 * torch.eye(3)


def trained(tmp_path, *overrides):
    config = compose([*EXPLODING, *overrides, f"results_dir={tmp_path}"])
    cell = {"name": "rest", "_target_": f"{__name__}.AtRest", "_partial_": True}
    result = run(config.model_copy(update={"cell": cell}))
    assert result.error is None
    weight = torch.load(result.folder / "network.pt", weights_only=True)["layers.0.weight_hh"]
    return result.status, pd.read_csv(result.folder / "metrics.csv"), weight


def test_the_default_ends_the_training(tmp_path):
    status, metrics, weight = trained(tmp_path)
    assert (status, len(metrics), metrics["grad_norm"].iloc[-1]) == ("diverged", 1, np.inf)
    assert torch.equal(weight, FIRST)


def test_skipped_steps_change_nothing_and_are_recorded(tmp_path):
    status, metrics, weight = trained(tmp_path, "nonfinite=skip")
    assert (status, len(metrics)) == ("completed", 8)
    assert np.isinf(metrics["grad_norm"]).all()
    assert metrics[["clipped_grad_norm", "clip_scale", "clip_share"]].isna().all(axis=None)
    assert torch.equal(weight, FIRST)


@pytest.mark.parametrize(("rule", "done"), [("skip", "skipped"), ("rescue", "rescued")])
def test_the_finding_says_how_many_steps_went_on(tmp_path, rule, done):
    trained(tmp_path, f"nonfinite={rule}", "nonfinite.in_a_row=3", "study=s", "task.length=200")
    (of_study,) = read_runs(tmp_path / "s")
    summary, states = summarize_runs([of_study])
    assert summary["nonfinite_steps"].tolist() == [4]  # three go on, and the fourth ends the training
    (outcome,) = summary.to_dict("records")
    finding = describe_run(of_study, outcome)
    assert f"; nonfinite={rule}: 3 of 4 steps {done} (first step 1, last step 3)" in finding
    assert "; step 4 ended the training: one more in a row than nonfinite.in_a_row=3" in finding
    assert "; no step had a finite gradient, so no update followed the gradient; " in finding
    (words,) = describe_configurations([of_study, of_study], pd.concat([summary, summary]), states).values()
    assert f"nonfinite={rule}: 4 steps of a run not finite, and in 2 of 2 runs no step was finite" in words


@pytest.mark.parametrize(
    ("nans", "said"), [(8, "no step had a finite loss, so no update followed the gradient"), (7, "")]
)
def test_a_completed_run_without_a_finite_loss_does_not_read_as_if_it_went_well(tmp_path, nans, said):
    metrics = pd.DataFrame(1.0, index=range(8), columns=COLUMNS["metrics"])
    metrics["step"] = range(1, 9)
    metrics.loc[: nans - 1, ["loss", "grad_norm", "clip_scale"]] = np.nan
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    one = Run(tmp_path, {"nonfinite": "skip"}, {"status": "completed"})
    assert say_never_finite(one) == said
    assert say_nonfinite(one) == f"nonfinite=skip: {nans} of 8 steps skipped (first step 1, last step {nans})"
    assert say_never_finite(Run(tmp_path, {}, {"status": "completed", "watched": 1})) == ""


def test_adam_skips_as_well(tmp_path):
    status, _, weight = trained(tmp_path, "nonfinite=skip", "optimizer=adam")
    assert status == "completed"
    assert torch.equal(weight, FIRST)


def test_too_many_in_a_row_end_the_training(tmp_path):
    status, metrics, _ = trained(tmp_path, "nonfinite=skip", "nonfinite.in_a_row=3")
    assert (status, len(metrics)) == ("diverged", 4)


def test_a_finite_step_in_between_starts_the_count_again():
    network, rule = build(compose(["model.hidden_size=2"])).network, Skip(in_a_row=2)
    assert [rule.goes_on(step, network) for step in (1, 2, 4, 5, 6)] == [True, True, True, True, False]
    resumed = Skip(in_a_row=2)
    resumed.load_state_dict({"last": 5, "seen": 2})
    assert not resumed.goes_on(6, network)


def test_parameters_that_are_not_finite_end_the_training():
    network = build(compose(["model.hidden_size=2"])).network
    with torch.no_grad():
        network.readout.bias.fill_(torch.nan)
    assert not Skip().goes_on(1, network)


def test_the_rescue_shrinks_the_recurrent_matrix(tmp_path):
    status, metrics, weight = trained(tmp_path, "nonfinite=rescue", "nonfinite.share=0.1", "steps=1")
    rescued = int(np.isinf(metrics["grad_norm"]).sum())
    assert status == "completed"
    assert rescued == 1
    torch.testing.assert_close(weight, FIRST * 0.9, rtol=1e-6, atol=0)


def test_training_goes_on_after_a_rescue(tmp_path):
    status, metrics, _ = trained(
        tmp_path, "nonfinite=rescue", "nonfinite.share=0.6", "clip=norm", "clip.threshold=1e-6"
    )
    finite = np.isfinite(metrics["grad_norm"]).tolist()
    assert status == "completed"
    assert finite == [False] + [True] * 7


def test_a_cell_without_recurrent_matrices_cannot_be_rescued():
    network = build(compose(["nonfinite=rescue"])).network
    network.cells[0].recurrent_blocks = list
    from experiments.nonfinite import Rescue

    with pytest.raises(ValueError, match="RNN names none; use nonfinite=skip"):
        Rescue().attach(network)


def test_a_rule_of_another_kind_is_refused():
    config = compose([]).model_copy(update={"nonfinite": {"name": "toy", "_target_": "builtins.dict"}})
    with pytest.raises(UsageError, match=r"^nonfinite=toy: must be a subclass of experiments\.nonfinite\.Diverge$"):
        build(config)
