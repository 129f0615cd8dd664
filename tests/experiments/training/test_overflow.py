"""Gradients that overflow their dtype, and gradients that are nan for another reason."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.analysis.summary import write_summary
from experiments.config.composing import compose
from experiments.tasks.adding import Adding
from experiments.training.backpropagation import backpropagate
from experiments.training.overflow import Overflow, find_overflow, infinite_where_unknown
from experiments.training.probe import probe
from experiments.training.run import run
from models.gru import GRU
from models.initialization import gaussian
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
from models.trace import cut


def doubling(dtype, num_layers=1):
    """A tanh network at rest, h = 0 and W = 2 I, whose gradient doubles with every timestep backwards."""
    network = RecurrentNetwork(
        RNN, lambda cell: None, input_size=2, hidden_size=3, num_layers=num_layers, output_size=1, readout_steps=1,
        dtype=dtype,
    )  # fmt: skip
    with torch.no_grad():
        for cell in network.cells:
            for parameter in cell.parameters():
                parameter.zero_()
            cell.weight_hh.copy_(2 * torch.eye(3))
    return network


@pytest.mark.parametrize(("dtype", "length"), [(torch.float32, 200), (torch.float64, 1100)])
def test_the_timestep_at_which_the_range_is_left_is_exact(dtype, length):
    network, task = doubling(dtype), Adding(length)
    batch = task.draw(4, torch.Generator().manual_seed(0)).to(torch.device("cpu"), dtype)
    outputs = network(batch.inputs)
    at_end = 2 * (outputs - batch.targets) / 4 * network.readout.weight  # dL/dh_T
    doublings = math.floor(math.log2(torch.finfo(dtype).max) - math.log2(at_end.abs().max().item()))
    assert find_overflow(network, task, batch) == Overflow(length - doublings - 1, 0, "h")


def test_a_finite_gradient_has_no_overflow():
    network, task = doubling(torch.float32), Adding(100)
    assert find_overflow(network, task, task.draw(4, torch.Generator())) is None


def test_the_upper_layer_is_named_where_it_is_the_first():
    network, task = doubling(torch.float32, num_layers=2), Adding(200)
    found = find_overflow(network, task, task.draw(4, torch.Generator().manual_seed(0)))
    assert found is not None
    assert (found.layer, found.state) == (1, "h")


class Kinked(RNN):
    """Adds sqrt(0), which is 0, but its slope is infinite, and 0 times infinity is nan."""

    def step(self, x, state):
        (h,) = super().step(x, state)
        return (h + (0 * h).sqrt(),)


class Broken(RNN):
    """Outputs nan from timestep 1 on."""

    def forward(self, x, state):
        output, (h,) = super().forward(x, state)
        return output * math.nan, (h,)


def test_a_nan_of_another_cause_is_no_overflow():
    for dtype in (torch.float32, torch.float64):
        network = RecurrentNetwork(
            Kinked, lambda cell: None, input_size=2, hidden_size=3, num_layers=1, output_size=1, readout_steps=1,
            dtype=dtype,
        )  # fmt: skip
        task = Adding(10)
        batch = task.draw(4, torch.Generator()).to(torch.device("cpu"), dtype)
        assert network(batch.inputs).isfinite().all()
        assert find_overflow(network, task, batch) is None


EXPLODING = ["init=gaussian", "init.gain=3", "task.length=400", "steps=3", "record.evaluate_samples=1", "seed=1"]


@pytest.mark.parametrize("clip", ["none", "norm", "value"])
def test_an_exploded_gradient_is_recorded_as_inf(tmp_path, clip):
    result = run(compose([*EXPLODING, f"clip={clip}", "record.windows=20", f"results_dir={tmp_path}"]))
    assert result.status == "diverged"
    tables = {name: pd.read_csv(result.folder / f"{name}.csv") for name in ("metrics", "gradients", "parameters")}
    (step,) = tables["metrics"].to_dict("records")
    assert math.isfinite(step["loss"])
    assert step["grad_norm"] == math.inf
    norms = tables["gradients"].sort_values("lag")["grad_norm"].to_numpy()
    lost = np.isinf(norms)
    assert not np.isnan(norms).any()
    assert lost.any()
    assert lost[lost.argmax() :].all()  # from there on back to the first timestep
    assert tables["parameters"].set_index("parameter")["grad_norm"]["layers.0.weight_hh"] == math.inf
    contributions = (result.folder / "contributions.csv").read_text()
    assert "nan" not in contributions
    assert "layers.0.weight_hh,1,20,inf,\n" in contributions
    info = json.loads((result.folder / "run.json").read_text())
    timesteps = tables["gradients"].sort_values("lag")["timestep"].to_numpy()
    assert timesteps[lost.argmax()] <= info["overflow"]["timestep"] < timesteps[lost.argmax() - 1]
    assert (info["overflow"]["layer"], info["overflow"]["state"]) == (0, "h")
    (row,) = write_summary(tmp_path / "default")[0].to_dict("records")
    assert row["max_grad_norm"] == math.inf
    assert row["overflow_at_timestep"] == info["overflow"]["timestep"]
    assert row["gain_at_init"] == pytest.approx(1.36, rel=0.1)


@pytest.mark.parametrize("cell", [Kinked, Broken])
def test_a_nan_of_another_cause_stays_nan(tmp_path, cell):
    config = compose(["task.length=10", "steps=2", "record.evaluate_samples=1", f"results_dir={tmp_path}"])
    config = config.model_copy(
        update={"cell": {"name": "own", "_target_": f"{__name__}.{cell.__name__}", "_partial_": True}}
    )
    result = run(config)
    assert result.status == "diverged", result.error
    (step,) = pd.read_csv(result.folder / "metrics.csv").to_dict("records")
    assert math.isnan(step["grad_norm"])
    assert math.isnan(step["loss"]) == (cell is Broken)
    assert pd.read_csv(result.folder / "gradients.csv")["grad_norm"].isna().any()
    assert json.loads((result.folder / "run.json").read_text())["overflow"] is None
    assert write_summary(tmp_path / "default")[0]["overflow_at_timestep"].isna().all()


def test_a_probe_records_an_overflow_of_float64(tmp_path):
    options = [
        "init=gaussian",
        "init.gain=30",
        "task.length=1200",
        "batch_size=2",
        "probe.batches=1",
        "probe.samples=1",
    ]
    result = probe(compose([*options, f"results_dir={tmp_path}"]))
    assert result.status == "completed", result.error
    assert pd.read_csv(result.folder / "metrics.csv")["grad_norm"].tolist() == [math.inf]
    norms = pd.read_csv(result.folder / "gradients.csv").sort_values("lag")["grad_norm"]
    assert np.isfinite(norms.iloc[0])
    assert norms.iloc[-1] == math.inf
    assert not norms.isna().any()
    assert 0 < json.loads((result.folder / "run.json").read_text())["overflow"]["timestep"] < 1200


def test_a_float64_gradient_whose_squares_overflow_is_not_infinite(tmp_path):
    """In a linear recurrence of gain 2 it grows as 2^lag, here from about 1e144 to 1e289: exact powers of 2."""
    linear = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=2", "task.length=481", "dtype=float64"]
    few = ["model.hidden_size=4", "batch_size=2", "steps=1", "record.evaluate_samples=1"]
    result = run(compose([*linear, *few, f"results_dir={tmp_path}"]))
    gradients = pd.read_csv(result.folder / "gradients.csv").sort_values("lag")
    logs = np.log2(gradients["grad_norm"].to_numpy())
    np.testing.assert_allclose(logs - logs[0], gradients["lag"], rtol=1e-12)
    info = json.loads((result.folder / "run.json").read_text())
    metrics = pd.read_csv(result.folder / "metrics.csv")
    assert info["status"] == "completed"
    assert 1e250 < metrics["grad_norm"].iloc[0] < math.inf


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_every_number_of_a_trace_is_inf_or_finite_after_an_overflow(make):
    network = RecurrentNetwork(
        make, lambda cell: gaussian(cell, 60.0), input_size=2, hidden_size=3, num_layers=2, output_size=1,
        readout_steps=1,
    )  # fmt: skip
    task = Adding(100)
    batch = task.draw(4, torch.Generator().manual_seed(0))
    batch = batch._replace(inputs=batch.inputs * 1e-6)  # the gates do not saturate
    with torch.no_grad():
        for cell in network.cells:
            for bias in (cell.bias_ih, cell.bias_hh):
                bias.zero_()
        network.readout.weight.fill_(1e30)
    traces = [
        backpropagate(network, task, batch, windows=cut(100, 5), overflowed=known).trace for known in (False, True)
    ]
    lost = 0
    for plain, marked in zip(*(trace.layers for trace in traces), strict=True):
        for kind in ("gradients", "along_gates"):
            for state, values in getattr(marked, kind).items():
                before = getattr(plain, kind)[state]
                lost += before.isnan().sum().item()
                assert torch.equal(values, before.where(~before.isnan(), torch.inf))
        for contribution in marked.contributions.values():
            norms, shares = traces[1].norms_and_shares(contribution)
            assert not any(map(math.isnan, norms))
            if not all(map(math.isfinite, norms)):
                assert shares == [None] * 5
    assert lost > 0
    infinite_where_unknown(network)
    assert not any(parameter.grad.isnan().any() for parameter in network.parameters())
