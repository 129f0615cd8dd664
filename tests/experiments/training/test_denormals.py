"""flush_denormals: denormal numbers are rounded to 0 during training, and only then."""

import threading
from functools import partial

import pandas as pd
import pytest
import torch
import yaml

from experiments.clipping import ClipNorm
from experiments.config.composing import compose, from_saved
from experiments.config.identity import run_id
from experiments.errors import UsageError
from experiments.training.denormals import GRAIN, denormals
from experiments.training.probe import probe

SMALLEST = torch.finfo(torch.float32).tiny
VANISHING = [
    *("cell.nonlinearity=identity", "init=identity", "init.gain=0.5", "task.length=200", "model.hidden_size=8"),
    *("batch_size=4", "steps=1", "record.windows=all", "record.evaluate_samples=8"),
]


def keeps_denormals() -> bool:
    return bool((torch.tensor(1e-30) * 1e-10).item())


def gradients(make_run, *overrides):
    return make_run(*VANISHING, *overrides).table("gradients").sort_values("lag").set_index("lag")


def test_a_training_rounds_denormal_numbers_to_0_and_leaves_the_process_as_it_was(make_run):
    before = keeps_denormals()
    flushed = gradients(make_run)
    kept = gradients(make_run, "flush_denormals=false")
    assert before
    assert keeps_denormals()
    # The entries, about 0.1 * 0.5^lag, fall below 1.2e-38 between lags 115 and 130, and below 1.4e-45 23 lags later.
    assert not flushed["grad_norm"].between(0, SMALLEST / 100, inclusive="neither").any()
    assert kept["grad_norm"].between(0, SMALLEST / 100, inclusive="neither").sum() > 10
    pd.testing.assert_frame_equal(flushed.loc[:100], kept.loc[:100], check_exact=True)
    assert flushed["grad_norm"].iloc[-1] == kept["grad_norm"].iloc[-1] == 0


def test_underflow_is_the_share_of_the_gradient_that_is_denormal_or_0(make_run):
    flushed = gradients(make_run)
    kept = gradients(make_run, "flush_denormals=false")
    for line in (flushed, kept):
        assert (line["underflow"].loc[:100] == 0).all()
        assert (line["underflow"].loc[150:] == 1).all()
        assert (line["underflow"].diff().dropna() >= 0).all()  # each lag halves every entry
        assert line["underflow"].between(0, 1, inclusive="neither").any()
    assert (flushed["underflow"][flushed["grad_norm"] == 0] == 1).all()
    assert (kept["underflow"][kept["grad_norm"] < SMALLEST] == 1).all()
    assert (kept["underflow"][kept["grad_norm"] > 32 * SMALLEST] < 1).all()  # there are 4 samples and 8 units


def test_clipping_a_huge_gradient_leaves_the_threshold():
    """The factor 1 / 3e38 is denormal. If it were flushed to 0, training would stop."""
    gradient = torch.full((4,), 1.5e38)
    with denormals(flushed=True):
        clipped = ClipNorm(1.0)([gradient], 3e38)
    assert clipped == pytest.approx(1, rel=1e-6)
    assert clipped <= 1


def test_a_probe_keeps_tiny_gradients(make_run):
    found = probe(compose([*VANISHING, f"results_dir={make_run('steps=1').folder.parent}"]))
    lines = (found.folder / "gradients.csv").read_text().splitlines()[1:]
    assert min(float(line.split(",")[5]) for line in lines) == pytest.approx(0.5**199, rel=100)


def test_without_it_the_id_of_a_run_is_that_of_earlier_versions():
    overrides = ["cell=lstm", "task.length=30", "steps=1000", "optimizer.lr=0.001"]
    earlier = partial(run_id, earlier=True)
    assert earlier(compose([*overrides, "flush_denormals=false"])) == "lstm-adding-none-seed0-e9107beddb"
    assert earlier(compose([*overrides, "dtype=float64"])) == "lstm-adding-none-seed0-3b0df79626"
    assert earlier(compose(overrides)) != "lstm-adding-none-seed0-e9107beddb"
    assert compose([*overrides, "flush_denormals=false"]).run_id != compose(overrides).run_id


def test_a_run_of_an_earlier_version_is_replayed_without_flushing(make_run):
    saved = yaml.safe_load((make_run(*VANISHING).folder / ".hydra" / "config.yaml").read_text())
    assert saved.pop("flush_denormals") is True
    assert from_saved(saved).flushes_denormals is False


@pytest.mark.parametrize("flushed", [True, False])
def test_threads_with_the_opposite_setting_are_an_error(flushed):
    """A torch thread keeps the setting in force when it started. Each Python thread has its own torch threads."""
    said = []

    def compute():
        torch.set_num_threads(2)
        torch.set_flush_denormal(not flushed)
        torch.full((2 * GRAIN,), 1e-30) * 1e-10  # starts torch's threads
        try:
            with denormals(flushed=flushed):
                said.append("computed")
        except UsageError as error:
            said.append(str(error))
        with denormals(flushed=not flushed):
            said.append("computed")

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    refused, computed = said
    assert refused.startswith(f"flush_denormals={str(flushed).lower()}: ")
    assert "threads=1" in refused
    assert computed == "computed"
