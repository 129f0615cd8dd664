"""Every clipping rule with every remedy and rule for steps that are not finite, with rnn, lstm and lru (complex)."""

from functools import cache

import pandas as pd
import pytest

from experiments.catalogue.choices import CONF
from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.training.run import run

SMALL = [
    *(
        "task.length=6",
        "model.hidden_size=4",
        "batch_size=3",
        "steps=2",
        "record.windows=3",
        "record.evaluate_samples=4",
    ),
    *("dtype=float64",),
]
OPTIONS = {
    "flossing": ["remedy.exponents=2", "remedy.before=1"],
    "zclip": ["clip.warmup=1"],
    "adagc": ["clip.warmup=1"],
}
STATES = {"rnn": {"h"}, "lstm": {"h", "c"}, "lru": {"h", "z"}}
NOT_DEFINED = {("h_detach", "rnn"), ("rescue", "lru")}
CLIPS, REMEDIES, NONFINITE = (
    sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("clip", "remedy", "nonfinite")
)


@cache
def choice(group, name):
    return getattr(compose([*SMALL, f"{group}={name}", *OPTIONS.get(name, [])]), group)


@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize("remedy", REMEDIES)
def test_every_clipping_rule_works_with_every_remedy(cell, remedy, tmp_path):
    config = compose([*SMALL, f"results_dir={tmp_path}"])
    if (remedy, cell) in NOT_DEFINED:
        refused = config.model_copy(update={"cell": choice("cell", cell), "remedy": choice("remedy", remedy)})
        with pytest.raises(UsageError, match=rf"^remedy={remedy}: needs a cell"):
            run(refused)
        return
    nonfinite = [rule for rule in NONFINITE if (rule, cell) not in NOT_DEFINED]
    norms = []
    for index, clip in enumerate(CLIPS):
        parts = {"cell": cell, "remedy": remedy, "clip": clip, "nonfinite": nonfinite[index % len(nonfinite)]}
        result = run(config.model_copy(update={group: choice(group, name) for group, name in parts.items()}))
        assert (result.status, result.error) == ("completed", None), parts
        metrics = pd.read_csv(result.folder / "metrics.csv")
        assert metrics["step"].tolist() == [1, 2]
        assert metrics["clip_cosine"].between(0, 1).all()
        assert metrics["clip_share"].between(0, 1).all()
        assert ((metrics["clip_scale"] == 1) == (metrics["clip_share"] == 0)).all()
        assert metrics["clip_threshold"].isna().iloc[1] == (clip == "none")
        assert (metrics["penalty"].fillna(0) > 0).all() == (remedy == "omega")
        flow = pd.read_csv(result.folder / "gradients.csv")
        assert flow["grad_norm"].notna().all()
        assert set(flow["state"]) == STATES[cell]
        norms.append(metrics["grad_norm"].iloc[0])
        shares = pd.read_csv(result.folder / "contributions.csv").groupby(["step", "parameter"])["share"].sum()
        assert shares.to_numpy() == pytest.approx(1.0, abs=1e-9)
    assert len(norms) == len(CLIPS) > 8
    assert norms == [norms[0]] * len(norms)  # the gradient of step 1 is measured before it is clipped
