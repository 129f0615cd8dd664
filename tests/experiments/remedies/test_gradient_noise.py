"""Gradient noise: its variance falls as in Neelakantan et al. 2015, and metrics.csv records the gradient without it."""

import pandas as pd
import pytest
import torch

from experiments.config.composing import compose
from experiments.remedies import GradientNoise, Remedy, Several
from experiments.training.run import run


def test_the_variance_falls_with_the_updates(small):
    parts, _ = small("model.hidden_size=64")
    noise, whole = GradientNoise(scale=0.3, decay=0.5), 4096
    for update in range(3):
        weight = parts.network.cells[0].weight_hh
        weight.grad = torch.full_like(weight, 2.0)
        noise.before_update(parts.network)
        drawn = weight.grad - 2.0
        assert drawn.mean().item() == pytest.approx(0.0, abs=5 * 0.55 / whole**0.5)
        assert drawn.var().item() == pytest.approx(0.3 / (1 + update) ** 0.5, rel=0.12)


def test_the_update_has_the_noise_and_the_record_has_not(tmp_path):
    small = ["task.length=5", "model.hidden_size=4", "steps=1", "optimizer=sgd", "record.evaluate_samples=2"]
    noisy, plain = (
        run(compose([*small, *more, f"results_dir={tmp_path / name}"])).folder
        for name, more in {"noisy": ["remedy=gradient_noise", "remedy.scale=1"], "plain": []}.items()
    )
    assert (noisy / "metrics.csv").read_bytes() == (plain / "metrics.csv").read_bytes()
    moved = [pd.read_csv(folder / "parameters.csv")["update_norm"] for folder in (noisy, plain)]
    assert (moved[0] != moved[1]).all()


class Half(Remedy):
    def penalty(self, network, outputs, hidden):
        return outputs.square().mean() / 2

    def state_dict(self):
        return {"half": 0.5}

    def load_state_dict(self, state):
        assert state == {"half": 0.5}


def test_several_remedies_add_their_penalties_and_keep_their_states(small, gradients):
    parts, batch = small("remedy=omega")
    omega = gradients(parts, batch, parts.remedy)[1].penalty
    half = gradients(parts, batch, Half())[1].penalty
    both, done = gradients(parts, batch, Several(one=Half(), two=Half(), three=Remedy()))
    assert done.penalty == pytest.approx(2 * half, rel=1e-12)
    mixed = Several(half=Half(), omega=parts.remedy, noise=GradientNoise(1.0))
    assert gradients(parts, batch, mixed)[1].penalty == pytest.approx(half + omega, rel=0.2)  # Omega sees both losses
    mixed.before_update(parts.network)
    state = mixed.state_dict()
    assert state == {"half": {"half": 0.5}, "noise": {"updates": 1}}
    again = Several(half=Half(), omega=parts.remedy, noise=GradientNoise(1.0))
    again.load_state_dict(state)
    assert again.state_dict() == state
    assert both
