"""Watching one step of a model in float64, and what autograd says about each of its states."""

import pandas as pd
import pytest
import torch

from experiments.watching.watch import Watch

CHOICES = ("gradients", "contributions", "parameters", "gates", "activations", "lags", "truncation", "spikes")
NOT_BY_DEFAULT = ("lags", "truncation", "spikes")


@pytest.fixture
def watch(tmp_path):
    """Watch a model, every timestep of every step."""
    opened = []

    def start(model, **options):
        measures = {name: options.pop(name, name not in NOT_BY_DEFAULT) for name in CHOICES}
        defaults = {"every": 1, "windows": "all", "lag_samples": None, "name": None, "steps": None, "settings": None}
        opened.append(Watch(model, tmp_path / "study", measures=measures, **{**defaults, **options}))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def table():
    """A table of a watched run, written so far or whole."""

    def read(watched, name="gradients"):
        watched.close()
        return pd.read_csv(watched.path / f"{name}.csv")

    return read


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def norms(gradients):
    """sqrt(batch) ||dL/ds_t|| of gradients in the order of timesteps, each (batch, size)."""
    return [float(one.norm() * len(one) ** 0.5) for one in gradients]
