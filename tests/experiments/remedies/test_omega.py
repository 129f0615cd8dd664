"""Omega against equation 10 of Pascanu, Mikolov, Bengio 2013, transcribed in NumPy, and its closed facts."""

import numpy as np
import pytest
import torch

from experiments.config.composing import compose
from experiments.tasks.task import Batch
from experiments.training.run import run

SLOPES = {"tanh": lambda h: 1 - h**2, "relu": lambda h: (h > 0).astype(float), "identity": np.ones_like}


def omega_by_hand(w, h, dh, slope):
    """Omega and its immediate derivative by W: loops over timesteps and sequences, one sequence at a time."""
    timesteps, batch, _ = dh.shape
    value, derivative = 0.0, np.zeros_like(w)
    for b in range(batch):
        for k in range(timesteps - 1):  # dh[k + 1] is dL/dh_{k+2}, counted from timestep 1
            da = slope(h[k + 2, b]) * dh[k + 1, b]
            back, size = w.T @ da, np.linalg.norm(dh[k + 1, b])
            length = np.linalg.norm(back)
            value += (length / size - 1) ** 2 / batch
            derivative += 2 * (length / size - 1) / (size * length) * np.outer(da, back) / batch
    return value, derivative


@pytest.mark.parametrize("nonlinearity", SLOPES)
def test_omega_and_its_gradient_are_those_of_the_paper(small, gradients, nonlinearity):
    overrides = [f"cell.nonlinearity={nonlinearity}", "init=gaussian", "remedy=omega", "remedy.weight=3"]
    parts, batch = small(*overrides)
    plain, done = gradients(parts, batch)
    layer = done.trace.layers[0]
    w = parts.network.cells[0].weight_hh.detach().numpy()
    h, dh = layer.states["h"].numpy(), layer.gradients["h"].numpy()
    value, derivative = omega_by_hand(w, h, dh, SLOPES[nonlinearity])
    with_omega, done = gradients(parts, batch, parts.remedy)
    assert done.penalty == pytest.approx(3 * value, rel=1e-12)
    for name, gradient in with_omega.items():
        expected = plain[name].numpy() + (3 * derivative if name == "layers.0.weight_hh" else 0)
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-10, atol=1e-14)


def test_omega_leaves_out_the_timesteps_before_a_sequence(small, gradients):
    """It is the mean of what each sequence alone has; the gradient of a single loss is larger by the batch size."""
    parts, batch = small("remedy=omega", "task.length_spread=1")
    assert len(batch.starts.unique()) > 1
    _, done = gradients(parts, batch, parts.remedy)
    alone = []
    for number, start in enumerate(batch.starts.tolist()):
        one = slice(number, number + 1)
        alone.append(gradients(parts, Batch(batch.inputs[start:, one], batch.targets[:, one]), parts.remedy)[1].penalty)
    assert done.penalty == pytest.approx(np.mean(alone), rel=1e-12)


def test_omega_of_three_numbers(small, gradients):
    """One unit, three timesteps, h_t = w h_{t-1} + x_t with w = 0.5: two timesteps that halve the gradient."""
    parts, batch = small("task.length=3", "model.hidden_size=1", "cell.nonlinearity=identity", "remedy=omega")
    with torch.no_grad():
        parts.network.cells[0].weight_hh.fill_(0.5)
    plain, _ = gradients(parts, batch)
    penalized, done = gradients(parts, batch, parts.remedy)
    assert done.penalty == pytest.approx(4 * 2 * 0.25, rel=1e-12)
    change = penalized["layers.0.weight_hh"] - plain["layers.0.weight_hh"]
    assert change.item() == pytest.approx(4 * 2 * 2 * (0.5 - 1), rel=1e-10)


@pytest.mark.parametrize("gain", [1.0, 0.9, 1.2])
def test_omega_of_a_scaled_rotation(small, gradients, gain):
    parts, batch = small("cell.nonlinearity=identity", "init=orthogonal", f"init.gain={gain}", "remedy=omega")
    _, done = gradients(parts, batch, parts.remedy)
    assert done.penalty == pytest.approx(4 * 6 * (gain - 1) ** 2, rel=1e-10, abs=1e-24)


def test_layers_add_up(small, gradients):
    parts, batch = small("model.num_layers=2", "remedy=omega", "remedy.weight=1")
    plain, done = gradients(parts, batch)
    total = 0.0
    for cell, layer in zip(parts.network.cells, done.trace.layers, strict=True):
        w, h, dh = cell.weight_hh.detach().numpy(), layer.states["h"].numpy(), layer.gradients["h"].numpy()
        total += omega_by_hand(w, h, dh, SLOPES["tanh"])[0]
    assert gradients(parts, batch, parts.remedy)[1].penalty == pytest.approx(total, rel=1e-12)
    assert plain


def test_a_gradient_that_has_vanished_has_an_omega(small, gradients):
    overrides = ["dtype=float32", "task.length=300", "init=orthogonal", "init.gain=0.5", "cell.nonlinearity=identity"]
    parts, batch = small(*overrides, "remedy=omega", "remedy.weight=1")
    penalized, done = gradients(parts, batch, parts.remedy)
    reaches = int((done.trace.layers[0].gradients["h"].flatten(1).abs().amax(dim=1) > 0).sum())
    assert 140 < reaches < 300  # float32 ends at 0.5^150, so most timesteps count, and those before it do not
    assert done.penalty == pytest.approx(0.25 * (reaches - 1), rel=0.02)
    assert all(one.isfinite().all() for one in penalized.values())


@pytest.mark.parametrize("cell", ["rnn", "janet"])
def test_omega_does_not_depend_on_what_is_recorded(cell, tmp_path):
    small = [
        f"cell={cell}",
        "task.length=12",
        "model.hidden_size=6",
        "steps=4",
        "remedy=omega",
        "record.evaluate_samples=10",
    ]
    folders = [
        run(compose([*small, f"record={name}", "record.every=2", f"results_dir={tmp_path / name}"])).folder
        for name in ("full", "none")
    ]
    assert len({(folder / "metrics.csv").read_bytes() for folder in folders}) == 1
