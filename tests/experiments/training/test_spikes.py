"""spikes.csv of runs in which an outlier was planted, and of runs that diverge."""

import math

import pandas as pd
import pytest
import torch

from experiments.analysis.advice import describe_spikes
from experiments.config.composing import compose
from experiments.store.studies import read_runs
from experiments.sweeps.rerecording import replace_record
from experiments.tasks.adding import Adding
from experiments.training.run import run
from models.initialization import orthogonal
from tests.experiments.training.test_overflow import EXPLODING

SPIKE, TIMESTEP, SAMPLE, BATCH = 60, 7, 5, 8
DRAWS = SPIKE + 1  # theory looks at a batch before the training
OPTIONS = [
    *("task.length=12", "model.hidden_size=6", f"batch_size={BATCH}", "steps=70", "record.every=30"),
    *("record.evaluate_samples=20", "record.evaluate_every=100", "record.windows=3", "checkpoint_seconds=0"),
    *("optimizer=sgd", "optimizer.lr=1e-6"),
]


def small_inputs(cell):
    """Weights so small that an outlier in the input does not saturate the cell."""
    orthogonal(cell, gain=1.0)
    cell.weight_ih.mul_(1e-3)


@pytest.fixture
def planted(monkeypatch, tmp_path):
    """A healthy training with one batch, the same in every run, that has an input 3000 times as large as all others."""
    draw, batch = Adding.draw, []

    def draw_outlier(task, batch_size, generator):
        drawn = draw(task, batch_size, generator)
        if batch_size == BATCH:
            if len(batch) < DRAWS:
                batch.append(drawn.inputs.clone())
            if torch.equal(drawn.inputs, batch[-1]) and len(batch) == DRAWS:
                drawn.inputs[TIMESTEP - 1, SAMPLE, 0] = 3000.0
        return drawn

    monkeypatch.setattr(Adding, "draw", draw_outlier)

    def configured(folder, *options):
        config = compose([*OPTIONS, f"results_dir={tmp_path / folder}", *options])
        init = {"name": "small", "_target_": f"{__name__}.small_inputs", "_partial_": True}
        return config.model_copy(update={"init": init})

    return configured


def files_of(folder):
    return {path.name: path.read_bytes() for path in (*folder.glob("*.csv"), folder / "network.pt")}


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_step_the_timestep_and_the_sequence_of_a_planted_outlier_are_found(planted, cell):
    bare = run(planted("bare", f"cell={cell}"))
    result = run(planted("spikes", f"cell={cell}", "record.spikes=true", "record.spike_batches=true"))
    assert (result.status, result.error) == ("completed", None)
    (row,) = pd.read_csv(result.folder / "spikes.csv").itertuples()
    norms = pd.read_csv(result.folder / "metrics.csv").set_index("step")["grad_norm"]
    assert (row.step, row.timestep, row.layer, row.sample) == (SPIKE, TIMESTEP, 0, SAMPLE)
    assert (row.grad_norm, row.parameter) == (norms[SPIKE], "layers.0.weight_ih")
    assert row.median_grad_norm == pytest.approx(norms[: SPIKE - 1].median(), rel=1e-12)
    assert row.z_score > 6
    assert min(row.sample_share, row.parameter_share) > 0.9
    saved = torch.load(result.folder / "spikes" / f"{SPIKE}.pt", weights_only=True)
    assert saved["inputs"][TIMESTEP - 1, SAMPLE, 0] == 3000
    assert {"targets", "network"} < saved.keys()
    watched = files_of(result.folder)
    del watched["spikes.csv"]
    assert watched == files_of(bare.folder)  # nothing else is recorded at that step, and the training is the same

    found = next(one for one in read_runs(result.folder.parent.parent))
    words = describe_spikes(found)
    assert f"at step {SPIKE}: {norms[SPIKE] / row.median_grad_norm:.3g} times the running median" in words
    assert f"it leaves it at timestep {TIMESTEP} of 12, in layer 0, state " in words
    assert f"sequence {SAMPLE} of the batch, counted from 0, has " in words
    untraced = next(one for one in read_runs(bare.folder.parent.parent))
    assert describe_spikes(untraced).endswith("bptt replay RUN record.spikes=true shows where that comes from")


@pytest.mark.parametrize("at", [40, SPIKE])
def test_an_interrupted_run_finds_the_same(planted, cut_off, at):
    whole, broken = (planted(name, "record.spikes=true") for name in ("whole", "broken"))
    run(whole)
    cut_off(broken, at)
    run(broken)
    assert files_of(broken.run_folder) == files_of(whole.run_folder)
    assert "spikes.csv" in files_of(broken.run_folder)


def test_a_gradient_that_leaves_the_range_is_traced(tmp_path):
    """At the first step, when nothing is known about ordinary norms."""
    result = run(compose([*EXPLODING, "record=none", "record.spikes=true", f"results_dir={tmp_path}"]))
    assert result.status == "diverged"
    (found,) = read_runs(result.folder.parent.parent)
    (row,) = pd.read_csv(result.folder / "spikes.csv").to_dict("records")
    overflow = found.info["overflow"]
    assert (row["step"], row["grad_norm"], row["layer"], row["state"]) == (1, math.inf, 0, "h")
    assert pd.isna([row["median_grad_norm"], row["limit"], row["z_score"]]).all()
    assert 0 <= row["timestep"] - overflow["timestep"] < 5  # the parts of the weights are sums, so they leave it before
    assert f"not finite from timestep {row['timestep']:.0f} of" in describe_spikes(found)


def test_a_finished_run_gets_the_file_by_replay(planted, tmp_path):
    bare = run(planted("bare")).folder
    result = run(planted("again", "record.spikes=true", "record.spike_batches=true"))
    replace_record(bare, result.folder)
    assert files_of(bare) == files_of(result.folder)
    assert [path.name for path in (bare / "spikes").iterdir()] == [f"{SPIKE}.pt"]
    assert read_runs(bare.parent.parent).damaged == []
    replace_record(bare, run(planted("third")).folder)
    assert not (bare / "spikes").exists()
    assert not (bare / "spikes.csv").exists()
