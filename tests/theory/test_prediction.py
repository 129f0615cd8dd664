"""A probe before training predicts the gain of the first training step."""

import pandas as pd

from experiments.analysis.summary import write_summary
from experiments.config.composing import compose
from experiments.config.identity import run_id
from experiments.training.probe import probe
from experiments.training.run import run


def test_the_probes_gain_ranks_networks_as_their_first_training_step_does(tmp_path):
    gains, pairs = {}, {}
    for cell in ("rnn", "lstm", "gru"):
        for gain in (0.5, 0.8, 1.1, 1.6):
            options = [f"cell={cell}", "init=gaussian", f"init.gain={gain}", "task.length=30", "steps=1"]
            options += ["record.evaluate_samples=1", "probe.batches=1", "probe.samples=8", "model.hidden_size=48"]
            config = compose([*options, f"results_dir={tmp_path}"])
            run(config)
            probed = probe(config)
            pairs[run_id(config)] = probed.folder.name
    summary = write_summary(tmp_path / "default")[0].set_index("run_id")
    for name in summary.index[summary["kind"] == "training"]:
        gains[name] = (summary.loc[pairs[name], "gain_per_timestep"], summary.loc[name, "gain_at_init"])
    predicted, measured = pd.DataFrame(gains.values(), dtype=float).rank().to_numpy().T
    assert len(gains) == 12
    assert pd.Series(predicted).corr(pd.Series(measured)) >= 0.95
