"""What the probe says before training is what the first training step shows."""

import pandas as pd

from experiments.analysis.summary import summarize
from experiments.config.composing import compose
from experiments.training.probe import probe
from experiments.training.run import run


def test_the_probes_gain_ranks_networks_as_their_first_training_step_does(tmp_path):
    gains = {}
    for cell in ("rnn", "lstm", "gru"):
        for gain in (0.5, 0.7, 0.9, 1.1, 1.3, 1.6):
            options = [f"cell={cell}", "init=gaussian", f"init.gain={gain}", "task.length=40", "steps=1"]
            options += ["record.evaluate_samples=1", "probe.batches=1", "probe.samples=8", "model.hidden_size=48"]
            config = compose([*options, f"results_dir={tmp_path}"])
            run(config)
            probe(config)
    summary = summarize(tmp_path / "default")[0].set_index("run_id")
    for run_id in summary.index[summary["kind"] == "training"]:
        gains[run_id] = (summary.loc[f"probe-{run_id}", "gain_per_timestep"], summary.loc[run_id, "gain_at_init"])
    predicted, measured = pd.DataFrame(gains.values(), dtype=float).rank().to_numpy().T
    assert len(gains) == 18
    assert pd.Series(predicted).corr(pd.Series(measured)) >= 0.95
