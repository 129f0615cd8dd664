"""Made-up runs, written as a training would write them."""

import pandas as pd
import pytest

from experiments.store.studies import Run

LENGTH = 100
"""Timesteps of every run; ten recorded timesteps are the lags 0, 10, ..., 90."""


@pytest.fixture
def write(tmp_path):
    """Write a run's folder: its gradients by state at steps 1 and 51, and any other tables."""

    def make(cell="lstm", seed=0, *, states=None, tables=None, info=None, **config):
        folder = tmp_path / f"{cell}{seed}"
        folder.mkdir()
        rows = [
            {"step": step, "layer": 0, "state": state, "timestep": LENGTH - lag, "lag": lag, "grad_norm": norm}
            for state, (first, last) in (states or {}).items()
            for step, norms in ((1, first), (51, last))
            for lag, norm in zip(range(0, LENGTH, LENGTH // len(norms)), norms, strict=True)
        ]
        for name, table in {**({"gradients": rows} if rows else {}), **(tables or {})}.items():
            pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)
        known = {"status": "completed", "timesteps": LENGTH, "readout_steps": 1, "parameters": 1, **(info or {})}
        base = {"cell": cell, "task": "adding", "seed": seed, "steps": 51, "record.evaluate_every": 50}
        return Run(folder, base | {key.replace("__", "."): value for key, value in config.items()}, known)

    return make
