"""Clipping rules, remedies, schedules and measures of the user's own: toys that are used as the documentation says."""

import json
import math
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.clipping import scale_to
from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.config.user_folder import extend_python_path
from experiments.errors import UsageError
from experiments.remedies import Remedy
from experiments.store.studies import read_runs
from experiments.training.run import run
from experiments.training.user_files import user_files

SMALL = [
    *("task.length=12", "model.hidden_size=6", "batch_size=3", "steps=24", "record.every=4", "record.windows=3"),
    *("record.evaluate_samples=20", "record.evaluate_every=7"),
]
EACH_STEP = "checkpoint_seconds=0"


class Forgetful:
    """Clips to a quantile of the norms of all steps so far (AutoClip, Seetharaman et al. 2020)."""

    def __init__(self, share: float = 0.5) -> None:
        self.share = share
        self.norms: list[float] = []

    def __call__(self, gradients, norm):
        self.norms.append(norm)
        threshold = float(np.quantile(self.norms, self.share))
        scale_to(gradients, norm, threshold)
        return threshold


class Percentile(Forgetful):
    """The same rule, but it saves its state."""

    def state_dict(self):
        return {"norms": self.norms}

    def load_state_dict(self, state):
        self.norms = state["norms"]


class NormStabilizer(Remedy):
    """Penalises the squared change of ||h_t|| from timestep to timestep (Krueger, Memisevic 2016)."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def penalty(self, network, outputs, hidden):
        return self.weight * (hidden[0].norm(dim=-1).diff(dim=0) ** 2).mean()


class Noise(Remedy):
    """Adds fading weight noise, which depends on random numbers and on the number of calls so far."""

    def __init__(self) -> None:
        self.calls = 0

    def after_update(self, network):
        self.calls += 1
        for parameter in network.parameters():
            parameter += torch.randn_like(parameter) * 0.01 / self.calls

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


class Orthogonal(Remedy):
    """Projects the recurrent matrix to the nearest orthogonal one."""

    def after_update(self, network):
        for cell in network.cells:
            for block in cell.recurrent_blocks():
                left, _, right = torch.linalg.svd(block.weight)
                block.weight.copy_(left @ right)


@pytest.fixture
def choose(tmp_path):
    """Compose a small run with toys from this module as choices."""

    def compose_with(folder, *overrides, **toys):
        config = compose([*SMALL, f"results_dir={tmp_path / folder}", *overrides])
        chosen = {
            group: {"name": "toy", "_target_": f"{__name__}.{name}", **more} for group, (name, more) in toys.items()
        }
        return config.model_copy(update=chosen)

    return compose_with


def contents(config):
    return {path.name: path.read_bytes() for path in sorted(config.run_folder.glob("*.csv"))}


def metrics(config):
    return pd.read_csv(config.run_folder / "metrics.csv")


RESUMED = {
    "percentile clipping": ([], {"clip": ("Percentile", {"share": 0.3})}),
    "weight noise": ([], {"remedy": ("Noise", {})}),
    "penalty": (["cell=gru"], {"remedy": ("NormStabilizer", {"weight": 2.0})}),
    "autoclip and flossing": (
        [
            *("clip=autoclip", "remedy=flossing", "remedy.exponents=3", "remedy.before=2", "remedy.every=8"),
            "remedy.during=1",
        ],
        {},
    ),
    "zclip and gradient noise": (["clip=zclip", "clip.warmup=5", "remedy=gradient_noise"], {}),
    "adagc and h-detach": (["clip=adagc", "clip.warmup=5", "cell=lstm", "remedy=h_detach"], {}),
    "agc and omega": (["clip=agc", "remedy=omega", "nonfinite=skip"], {}),
    "warm-up": (["schedule=warmup", "schedule.updates=15"], {}),
    "cosine": (["schedule=cosine", "optimizer=sgd"], {}),
    "step": (["schedule=step", "schedule.every=5"], {}),
    "plateau": (["schedule=plateau", "schedule.patience=2", "schedule.factor=0.5"], {}),
}


@pytest.mark.parametrize("name", RESUMED)
def test_parts_with_state_resume_byte_for_byte(choose, cut_off, name):
    overrides, toys = RESUMED[name]
    unbroken, broken = (choose(folder, EACH_STEP, *overrides, **toys) for folder in ("unbroken", "broken"))
    assert run(unbroken).status == "completed"
    cut_off(broken, 9)
    cut_off(broken, 8)
    assert run(broken).status == "completed"
    stages = json.loads((broken.run_folder / "run.json").read_text())["continued"]
    assert [stage["after_step"] for stage in stages] == [8, 15]
    assert contents(broken) == contents(unbroken)
    networks = [torch.load(config.run_folder / "network.pt", weights_only=True) for config in (unbroken, broken)]
    assert all(torch.equal(one, other) for one, other in zip(*(n.values() for n in networks), strict=True))


def test_a_rule_that_does_not_save_its_state_resumes_differently(choose, cut_off):
    toys = {"clip": ("Forgetful", {"share": 0.3})}
    unbroken, broken = (choose(folder, EACH_STEP, **toys) for folder in ("unbroken", "broken"))
    run(unbroken)
    cut_off(broken, 9)
    run(broken)
    assert contents(broken) != contents(unbroken)


def test_metrics_say_the_threshold_of_each_step(choose):
    config = choose("x", clip=("Percentile", {"share": 0.5}))
    run(config)
    rows = metrics(config)
    expected = [np.quantile(rows["grad_norm"][: i + 1], 0.5) for i in range(len(rows))]
    np.testing.assert_allclose(rows["clip_threshold"], expected, rtol=1e-12)
    np.testing.assert_allclose(rows["clipped_grad_norm"], np.minimum(rows["grad_norm"], expected), rtol=1e-6)
    np.testing.assert_allclose(rows["clip_cosine"], 1, atol=1e-6)
    assert read_runs(config.study_folder)[0].table("metrics")["clip_threshold"].notna().all()


def test_metrics_say_how_far_clipping_turns_the_gradient(choose):
    for options, turned in (["clip=value", "clip.threshold=0.01"], True), (["clip=norm"], False), ([], False):
        config = choose("x", *options)
        run(config)
        rows = metrics(config)
        assert (rows["clip_cosine"] < 0.999).any() == turned
        assert rows["clip_cosine"].between(0, 1).all()
        assert rows["clip_threshold"].isna().all() == (not options)


def test_a_penalty_is_part_of_the_gradient_and_not_of_the_loss(choose):
    config = choose("x", "dtype=float64", "steps=1", remedy=("NormStabilizer", {"weight": 3.0}))
    run(config)
    plain = choose("plain", "dtype=float64", "steps=1")
    run(plain)
    row, without = metrics(config).iloc[0], metrics(plain).iloc[0]
    assert row["loss"] == pytest.approx(without["loss"], rel=1e-12)
    assert math.isnan(without["penalty"])
    parts = build(config)
    from experiments.training.seeding import generator_of

    batch = parts.task.draw(config.batch_size, generator_of(config.seed, "training")).to(
        torch.device("cpu"), torch.float64
    )
    h, hidden = parts.network.cells[0].initial_state(3), []
    for x in batch.inputs:
        h = parts.network.cells[0].step(x, h)
        hidden.append(h[0])
    penalty = 3.0 * (torch.stack(hidden).norm(dim=-1).diff(dim=0) ** 2).mean()
    loss = ((parts.network.readout(hidden[-1]) - batch.targets[0]) ** 2).mean()
    gradients = torch.autograd.grad(loss + penalty, list(parts.network.parameters()))
    assert row["penalty"] == pytest.approx(penalty.item(), rel=1e-12)
    assert row["grad_norm"] == pytest.approx(math.sqrt(sum(float((g**2).sum()) for g in gradients)), rel=1e-10)


def test_a_penalty_does_not_depend_on_what_is_recorded(choose):
    runs = [choose(name, f"record={name}", remedy=("NormStabilizer", {})) for name in ("full", "none")]
    for config in runs:
        run(config)
    assert len({(config.run_folder / "metrics.csv").read_bytes() for config in runs}) == 1
    assert (metrics(runs[0])["penalty"] > 0).all()


def test_the_change_after_the_update_is_kept(choose):
    config = choose("x", "dtype=float64", "optimizer.lr=0.1", remedy=("Orthogonal", {}))
    run(config)
    weight = torch.load(config.run_folder / "network.pt", weights_only=True)["layers.0.weight_hh"]
    torch.testing.assert_close(weight.T @ weight, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-12)
    moved = pd.read_csv(config.run_folder / "parameters.csv").query("parameter == 'layers.0.weight_hh'")
    assert (moved["update_norm"] > 0).all()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["schedule=constant"], lambda n: 0.1),
        (["schedule=warmup", "schedule.updates=10", "schedule.start=0.1"], lambda n: min(0.1, 0.01 + 0.009 * (n - 1))),
        (["schedule=cosine"], lambda n: 0.05 * (1 + math.cos(math.pi * (n - 1) / 24))),
        (["schedule=cosine", "schedule.updates=48"], lambda n: 0.05 * (1 + math.cos(math.pi * (n - 1) / 48))),
        (["schedule=step", "schedule.every=10", "schedule.factor=0.5"], lambda n: 0.1 * 0.5 ** ((n - 1) // 10)),
    ],
)
def test_the_learning_rate_follows_its_schedule(choose, overrides, expected):
    config = choose("x", "optimizer=sgd", "optimizer.lr=0.1", *overrides)
    run(config)
    rows = metrics(config)
    np.testing.assert_allclose(rows["lr"], [expected(n) for n in rows["step"]], rtol=1e-9)


def test_a_plateau_lowers_the_rate_when_the_loss_does_not_fall(choose):
    config = choose("x", "optimizer=sgd", "optimizer.lr=1e-6", "schedule=plateau", "schedule.patience=3")
    run(config)
    rows = metrics(config)
    lr, best, since = 1e-6, math.inf, 0
    for loss, recorded in zip(rows["loss"], rows["lr"], strict=True):
        assert recorded == pytest.approx(lr, rel=1e-9)
        since = 0 if loss < best else since + 1
        best = min(best, loss)
        if since > 3:
            lr, since = lr * 0.1, 0
    assert lr < 1e-6


def test_a_scheduler_of_torch_can_be_a_choice(tmp_path):
    (tmp_path / "mine/schedule").mkdir(parents=True)
    target = "torch.optim.lr_scheduler.ExponentialLR"
    (tmp_path / "mine/schedule/fading.yaml").write_text(f"_target_: {target}\n_partial_: true\ngamma: 0.9\n")
    config = compose([*SMALL, "schedule=fading", f"results_dir={tmp_path}"], tmp_path / "mine")
    run(config)
    np.testing.assert_allclose(metrics(config)["lr"], 0.01 * 0.9 ** np.arange(24), rtol=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_weight_decay_shrinks_the_weights(choose, optimizer):
    sizes = []
    for decay in (0.0, 0.5):
        config = choose(f"{decay}", f"optimizer={optimizer}", "optimizer.lr=0.05", f"optimizer.weight_decay={decay}")
        run(config)
        state = torch.load(config.run_folder / "network.pt", weights_only=True)
        sizes.append(sum(float(tensor.norm()) for tensor in state.values()))
    assert sizes[1] < 0.9 * sizes[0]


MEASURE = '''
"""spread.csv: how far apart the units of h are."""

from experiments.measures.measure import Measure


class Spread(Measure):
    """The standard deviation of h over its units at each recorded timestep, and how many steps were seen."""

    columns = ("step", "state", "timestep", "spread", "seen")
    words = ("state",)

    def __init__(self):
        self.seen = 0

    def before_update(self, step, network, trace):
        self.seen += 1
        for timestep in trace.ends:
            yield step, "h", timestep, float(trace.layers[0].states["h"][timestep].std()), self.seen

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A config folder with a measure written by the user."""
    import sys

    folder = tmp_path / "mine"
    (folder / "measure").mkdir(parents=True)
    (folder / "measure/spread.py").write_text(MEASURE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    extend_python_path(folder)
    yield folder
    for name in ("measure", "measure.spread"):
        sys.modules.pop(name, None)


def test_a_measure_of_the_users_own_is_one_file(tmp_path, mine, cut_off):
    assert "spread" not in compose(SMALL, mine).record.measures  # off unless it is switched on
    unbroken, broken = (
        compose([*SMALL, EACH_STEP, "record.spread=true", f"results_dir={tmp_path / name}"], mine)
        for name in ("one", "two")
    )
    assert run(unbroken).status == "completed"
    rows = pd.read_csv(unbroken.run_folder / "spread.csv")
    assert rows.columns.tolist() == ["step", "state", "timestep", "spread", "seen"]
    assert rows["timestep"].tolist() == [4, 8, 12] * 7
    assert rows["seen"].tolist() == sorted([*range(1, 8)] * 3)
    cut_off(broken, 10)
    run(broken)
    assert contents(broken) == contents(unbroken)
    assert user_files(unbroken)["measure.spread"] == mine / "measure/spread.py"


def test_the_id_does_not_change_with_a_measure(mine):
    assert compose(SMALL, mine).run_id == compose(SMALL).run_id
    assert compose([*SMALL, "record.spread=true"], mine).run_id == compose(SMALL).run_id


def test_an_unknown_measure_is_an_error_in_one_line(mine):
    with pytest.raises(UsageError, match=r"^record\.spraed=true: there is no such key"):
        compose([*SMALL, "record.spraed=true"], mine)
    (mine / "measure/two.py").write_text(textwrap.dedent(MEASURE) + "\n\nclass Another(Measure):\n    pass\n")
    with pytest.raises(UsageError, match=r"^record\.two: .*two\.py contains 2 measures; it must contain one$"):
        build(compose([*SMALL, "record.two=true"], mine))


class WordRule(Forgetful):
    def __call__(self, gradients, norm):
        return "a"


class NegativeRule(Forgetful):
    def __call__(self, gradients, norm):
        return -1.0


class VectorPenalty(Remedy):
    def penalty(self, network, outputs, hidden):
        return outputs.flatten()


class NumberPenalty(Remedy):
    def penalty(self, network, outputs, hidden):
        return 3.0


class Broken(Remedy):
    def after_update(self, network):
        raise RuntimeError("oh no")


@pytest.mark.parametrize(
    ("toys", "said"),
    [
        ({"clip": ("WordRule", {})}, "WordRule returned 'a'; a clipping rule returns a number or None"),
        ({"clip": ("NegativeRule", {})}, "NegativeRule returned -1.0; a threshold is above 0"),
        ({"remedy": ("VectorPenalty", {})}, "VectorPenalty.penalty returned a tensor of shape (3,); it returns None"),
        ({"remedy": ("NumberPenalty", {})}, "NumberPenalty.penalty returned 3.0; it returns None, or one number"),
        ({"remedy": ("Broken", {})}, "RuntimeError: oh no (test_seams.py, line "),
    ],
)
def test_a_part_of_the_users_own_that_is_wrong_fails_its_run_and_is_named(choose, toys, said):
    result = run(choose("x", **toys))
    assert result.status == "failed"
    assert said in result.error
    assert not (result.folder / "metrics.csv").exists() or len(metrics(choose("x", **toys))) <= 1


def test_a_remedy_or_schedule_of_another_kind_is_refused(choose, tmp_path):
    with pytest.raises(UsageError, match=r"^remedy=toy: must be a subclass of experiments\.remedies\.Remedy$"):
        build(choose("x", remedy=("Percentile", {})))
    nothing = {"name": "toy", "_target_": "builtins.id", "_partial_": True}
    with pytest.raises(UsageError, match=r"schedule=toy: TypeError: it builds \d+, not a scheduler of torch"):
        build(choose("x").model_copy(update={"schedule": nothing}))


def test_a_schedule_that_would_raise_the_rate_says_so(choose):
    result = run(choose("x", "schedule=cosine", "schedule.min_lr=1"))
    assert "schedule.min_lr=1.0: must be at most optimizer.lr=0.01" in result.error


@pytest.mark.parametrize(
    ("yielded", "said"),
    [
        ("step, 'h', timestep, 1.0", "Spread yields 4 values in a row; it has 5 columns"),
        ("step, 'h', timestep, 'much', 1", "Spread yields 'much' in the column spread; it must be a number or None"),
        ("step, 1, timestep, 1.0, 1", "Spread yields 1 in the column state; it must be a word or None"),
    ],
)
def test_a_row_that_does_not_fit_its_columns_fails_at_once(tmp_path, mine, yielded, said):
    wrong = MEASURE.replace(
        'step, "h", timestep, float(trace.layers[0].states["h"][timestep].std()), self.seen', yielded
    )
    assert wrong != MEASURE
    (mine / "measure/spread.py").write_text(wrong)
    result = run(compose([*SMALL, "record.spread=true", f"results_dir={tmp_path}"], mine))
    assert (result.status, said in result.error) == ("failed", True), result.error


@pytest.mark.parametrize("name", ["gradients", "metrics", "every"])
def test_a_measure_may_not_take_a_name_of_ours(mine, name):
    (mine / f"measure/{name}.py").write_text(MEASURE)
    with pytest.raises(
        UsageError, match=rf"measure/{name}\.py: {name} is a name of bptt's own, so yours needs another"
    ):
        compose(SMALL, mine)


def test_a_measure_that_is_no_python_is_named_with_its_line(mine):
    (mine / "measure/torn.py").write_text("x = 1\ndef (:\n")
    with pytest.raises(
        UsageError, match=r"^record\.torn: measure/torn\.py: SyntaxError: invalid syntax \(torn\.py, li"
    ):
        build(compose([*SMALL, "record.torn=true"], mine))
    from experiments.catalogue.choices import catalogue

    with pytest.raises(UsageError, match=r"torn\.py, line 2: is not valid Python"):
        catalogue(mine)
