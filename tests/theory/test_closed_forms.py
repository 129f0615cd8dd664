"""Measured numbers compared with closed forms and published values, in float64 where these are exact."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.analysis.gain_and_horizon import Profile, gain_per_timestep, gradient_profiles
from experiments.analysis.summary import write_summary
from experiments.clipping import ClipNorm, ClipValue, apply_clipping, total_norm
from experiments.measures.gradients import Gradients
from models.initialization import default
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
from tests.models.reference import traced

EXACT = ["dtype=float64", "record.windows=all", "steps=1"]


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.1])
@pytest.mark.parametrize("length", [7, 60, 101])
def test_a_linear_orthogonal_recurrence_loses_its_gain_a_timestep(make_run, gain, length):
    run = make_run(
        "cell.nonlinearity=identity", "init=orthogonal", f"init.gain={gain}", f"task.length={length}", *EXACT
    )
    gradients = run.table("gradients")
    assert gradients["lag"].tolist() == list(range(length - 1, -1, -1))
    last = gradients.set_index("lag")["grad_norm"]
    np.testing.assert_allclose(last / last[0], gain ** last.index.to_numpy(float), rtol=1e-9)
    assert write_summary(run.folder.parent.parent)[0]["gain_per_timestep"].item() == pytest.approx(gain, abs=1e-12)


def test_float64_carries_a_gradient_to_where_float32_has_none(make_run):
    """0.5^150 is 0 in float32: the last lags are 0, and the gain is fitted without them."""
    options = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.5", "task.length=200"]
    single = make_run(*options, "record.windows=all", "steps=1").table("gradients").set_index("lag")["grad_norm"]
    double = make_run(*options, *EXACT).table("gradients").set_index("lag")["grad_norm"]
    assert single[199] == 0
    assert double[199] == pytest.approx(double[0] * 0.5**199, rel=1e-9)
    assert gain_per_timestep(Profile.of(single.index, single)) == pytest.approx(0.5, rel=0.01)


def test_a_tanh_recurrence_gains_no_more_than_its_largest_singular_value(make_run):
    run = make_run("init=gaussian", "init.gain=1.4", "task.length=50", *EXACT)
    sigma_max = run.table("parameters")["sigma_max"].dropna().item()
    norms = run.table("gradients").set_index("lag")["grad_norm"].sort_index().to_numpy()
    assert (norms[1:] / norms[:-1] <= sigma_max).all()


@pytest.mark.parametrize("bias", [0.0, 1.0, 3.0])
def test_an_lstm_without_recurrent_weights_keeps_its_forget_gate(bias):
    """Hochreiter and Schmidhuber's carousel: dL/dc_t = sigmoid(b)^(T-t) dL/dc_T; b = 1, T = 30 gives 8.290206177e-5."""
    network = RecurrentNetwork(
        LSTM, default, input_size=1, hidden_size=4, num_layers=1, output_size=1, readout_steps=1, dtype=torch.float64
    )
    with torch.no_grad():
        for parameter in network.cells[0].parameters():
            parameter.zero_()
        network.cells[0].set_gate_bias("forget", bias)
        network.cells[0].set_gate_bias("candidate", 0.3)  # so that c is not 0
    (layer,) = traced(network, torch.randn(31, 3, 1, dtype=torch.float64), loss=torch.sum).layers
    norms = layer.gradients["c"].flatten(1).norm(dim=1).tolist()
    forget = 1 / (1 + math.exp(-bias))
    np.testing.assert_allclose(np.divide(norms, norms[-1]), forget ** np.arange(30, -1, -1.0), rtol=1e-12)
    if bias == 1.0:
        assert norms[0] / norms[-1] == pytest.approx(8.290206177e-5, rel=1e-9)


def test_an_irnn_carries_the_gradient_unchanged():
    network = RecurrentNetwork(
        lambda input_size, hidden_size: RNN(input_size, hidden_size, nonlinearity="relu"),
        lambda cell: torch.nn.init.eye_(cell.weight_hh),
        input_size=1,
        hidden_size=6,
        num_layers=1,
        output_size=1,
        readout_steps=1,
        dtype=torch.float64,
    )
    with torch.no_grad():
        network.cells[0].weight_ih.abs_()
        network.cells[0].bias_ih.fill_(0.1)
        network.cells[0].bias_hh.zero_()
    (layer,) = traced(network, torch.rand(50, 3, 1, dtype=torch.float64), loss=torch.sum).layers  # all units are active
    norms = layer.gradients["h"].flatten(1).norm(dim=1).tolist()
    assert max(norms) == pytest.approx(min(norms), rel=1e-14)


def test_shares_of_each_parameter_add_up_to_one(make_run):
    run = make_run("cell=lstm", "model.num_layers=2", "task.length=23", "record.windows=7", "dtype=float64", "steps=3")
    shares = run.table("contributions").groupby(["step", "parameter"])["share"].sum()
    np.testing.assert_allclose(shares, 1.0, atol=1e-12)


def test_clipping_by_norm_keeps_the_direction_and_obeys_the_threshold():
    before = [torch.randn(5, 3, dtype=torch.float64), torch.randn(7, dtype=torch.float64)]
    norm = total_norm(before)
    for threshold in (0.1 * norm, norm, 2 * norm):
        after = [gradient.clone() for gradient in before]
        clipped = apply_clipping(ClipNorm(threshold), after, norm)
        assert clipped.norm == pytest.approx(min(norm, threshold), rel=1e-14)
        assert clipped.norm == pytest.approx(total_norm(after), rel=1e-15)
        assert (clipped.threshold, clipped.cosine) == (threshold, pytest.approx(1, abs=1e-15))
        for b, a in zip(before, after, strict=True):
            torch.testing.assert_close(a, b * min(1, threshold / norm), rtol=1e-14, atol=0)


def test_clipping_by_value_cuts_each_entry():
    gradient = torch.tensor([-3.0, -0.2, 0.0, 0.1, 5.0])
    clipped = apply_clipping(ClipValue(0.5), [gradient], total_norm([gradient]))
    assert gradient.tolist() == pytest.approx([-0.5, -0.2, 0.0, 0.1, 0.5])
    assert clipped.norm == pytest.approx(gradient.norm().item())
    before, after = np.array([-3, -0.2, 0, 0.1, 5]), np.array([-0.5, -0.2, 0, 0.1, 0.5])
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert (clipped.threshold, clipped.cosine) == (0.5, pytest.approx(cosine, rel=1e-6))


def test_norms_hold_where_float32_squares_underflow_or_overflow():
    for size in (1e-30, 1e30):
        assert total_norm([torch.full((4,), size)]) == pytest.approx(2 * size, rel=1e-6)


@pytest.mark.parametrize("repeats", [2, 5])
def test_grad_norm_does_not_depend_on_the_batch_size(repeats):
    network = RecurrentNetwork(
        LSTM, default, input_size=2, hidden_size=5, num_layers=2, output_size=1, readout_steps=1, dtype=torch.float64
    )
    x = torch.randn(12, 3, 2, dtype=torch.float64)
    rows = []
    for batch in (x, x.repeat(1, repeats, 1)):
        trace = traced(network, batch, 4, loss=lambda outputs: (outputs**2).sum(dim=(0, 2)).mean())
        table = pd.DataFrame(Gradients().before_update(1, network, trace), columns=Gradients.columns)
        assert (table["grad_norm"] > 0).all()
        rows.append(table[["grad_norm", "grad_norm_direct"]].to_numpy(float))
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-12)


def test_the_size_of_the_model_does_not_depend_on_the_length(make_run):
    runs = [make_run(f"task.length={length}", "steps=1", "cell=gru") for length in (10, 50)]
    assert len({run.info["parameters"] for run in runs}) == 1


def test_gradient_profiles_are_those_of_the_first_and_the_last_step(make_run):
    run = make_run("steps=5", "record.every=2", "task.length=12", "record.windows=4")
    gradients = run.table("gradients")
    assert gradients["step"].unique().tolist() == [1, 3, 5]
    first, last = gradient_profiles(gradients)
    assert first.lag.tolist() == last.lag.tolist() == [0, 3, 6, 9]
    for norm, step, lag in ((first.log_norm[0], 1, 0), (last.log_norm[-1], 5, 9)):
        of_file = gradients.query(f"step == {step} and lag == {lag}")["grad_norm"].item()
        assert norm == pytest.approx(math.log(of_file), abs=1e-12)


def test_the_carousel_through_the_whole_program(make_run):
    """Without recurrent weights, with blank inputs and a forget bias of 1: dL/dc_t = sigmoid(1)^(T-t) dL/dc_T."""
    run = make_run("cell=lstm", "init=gaussian", "init.gain=0", "task=digits", "task.length=164", *EXACT)
    c = run.table("gradients").query("state == 'c' and lag < 100").set_index("lag")["grad_norm"]
    forget = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(c / c[0], forget ** c.index.to_numpy(float), rtol=1e-9)
    assert c[30] / c[0] == pytest.approx(8.290206177e-5, rel=1e-9)
    assert run.info["theory"]["state"] == "c"
    gates = run.table("gates").query("gate == 'forget' and timestep > 64")
    np.testing.assert_allclose(gates["mean"], forget, rtol=1e-12)
    np.testing.assert_allclose(gates["std"], 0, atol=1e-12)


def test_spectral_radius_and_largest_singular_value_are_two_things(make_run):
    """Weights from N(0, 0.1^2) with 50 units have a spectral radius of about 0.755, but stretch by up to 1.36."""
    options = ["init=gaussian", f"init.gain={0.1 * 50**0.5}", "model.hidden_size=50", "task.length=2", "steps=1"]
    rows = [make_run(*options, f"seed={seed}").table("parameters").dropna() for seed in range(8)]
    assert np.mean([row["spectral_radius"].item() for row in rows]) == pytest.approx(0.755, rel=0.05)
    assert np.mean([row["sigma_max"].item() for row in rows]) == pytest.approx(1.36, rel=0.05)


def test_the_sensitivity_of_a_long_memory_diverges_though_no_eigenvalue_is_above_one():
    """Zucchet, Orvieto 2024: at lambda = 0.9, E[h^2] = 5.263 and E[(dh/dlambda)^2] = 263.9."""
    cell = RNN(1, 1, nonlinearity="identity").double()
    with torch.no_grad():
        cell.weight_ih.fill_(1)
        cell.weight_hh.fill_(0.9)
        cell.bias_ih.zero_()
        cell.bias_hh.zero_()
    x = torch.randn(300, 20_000, 1, dtype=torch.float64)

    per_sequence = cell.weight_hh.detach().expand(20_000, 1).clone().requires_grad_()  # its own lambda for each
    h = x.new_zeros(20_000, 1)
    for x_t in x:
        h = cell.step(x_t, (h,))[0] + h * (per_sequence - 0.9)
    (sensitivity,) = torch.autograd.grad(h.sum(), per_sequence)
    assert h.square().mean().item() == pytest.approx(1 / (1 - 0.9**2), rel=0.05)
    assert sensitivity.square().mean().item() == pytest.approx((1 + 0.9**2) / (1 - 0.9**2) ** 3, rel=0.05)


def test_torchs_own_clipping_leaves_nan_where_ours_has_recorded_the_infinity():
    """Our norm is computed before anything changes the gradient."""
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([torch.inf, 1.0])
    assert total_norm([parameter.grad]) == math.inf
    torch.nn.utils.clip_grad_norm_([parameter], 1.0)
    assert parameter.grad.isnan().any()
