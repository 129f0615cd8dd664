import re
import sys
from collections import Counter

import pytest

from experiments.catalogue.choices import choices
from experiments.config.composing import compose
from experiments.config.grid import expand
from experiments.config.parts import build
from experiments.errors import UsageError
from experiments.sweeps.plan import plan

WRONG = {
    "cell=foo": f"cell=foo: there is no such cell; choose from {', '.join(choices('cell'))}",
    "task.length=0": "task.length=0: must be greater than or equal to 2",
    "task.length=abc": "task.length=abc: must be a whole number",
    "task.length=2.5": "task.length=2.5: must be a whole number",
    "task.length=": "task.length=: must be a whole number",
    "task=digits task.length=63": "task.length=63: must be greater than or equal to 64",
    "task.lenght=5": "task.lenght=5: there is no such key; did you mean task.length?",
    "study=mine clip=norm clip.treshold=1": "clip.treshold=1: there is no such key; did you mean clip.threshold?",
    "clip.treshold=1": ("clip.treshold=1: there is no such key; the default clip takes no options; clip=adagc, norm, "),
    "task=csv task.path=pump.csv task.target=a task.columns=a": "task.columns=a: must be a list, such as [a]",
    "clip=norm clip.threshold=-1": "clip.threshold=-1: must be greater than 0",
    "clip.threshold=-1": "clip.threshold=-1: there is no such key; the default clip takes no options",
    "steps=0": "steps=0: must be greater than 0",
    "seed=x": "seed=x: must be a whole number",
    "seed=-1": "seed=-1: must be greater than or equal to 0",
    "device=nowhere": "device=nowhere: must be a device of this machine: cpu",
    "dtype=int8": "dtype=int8: must be 'float32' or 'float64'",
    "study=../../x": "study.name=../../x: must be the name of a folder",
    "study.name=.hidden": "study.name=.hidden: must be the name of a folder",
    "study=quickstrat": "study=quickstrat: did you mean study=quickstart?",
    "optimizer.lr=nan": "optimizer.lr=nan: must be a finite number",
    "optimizer.lr=0": "optimizer.lr=0: must be greater than 0",
    "optimizer=sgd optimizer.momentum=1": "optimizer.momentum=1: must be less than 1",
    "cell.nonlinearity=sigmoid": "cell.nonlinearity=sigmoid: must be 'tanh', 'relu', 'logistic' or 'identity'",
    "cell=lstm cell.forget_bias=abc": "cell.forget_bias=abc: must be a number",
    "init.gain=2": "init.gain=2: there is no such key; the default init takes no options; "
    "init=gaussian, glorot, identity, orthogonal have init.gain",
    "nonfinite.share=0.1": "nonfinite.share=0.1: there is no such key; the default nonfinite takes no options; "
    "nonfinite=rescue has nonfinite.share",
    "study.steps=3": "study.steps=3: there is no such key; the default study has study.name",
    "record.windows=some": "record.windows=some: must be a whole number or 'all'",
    "record.every=0": "record.every=0: must be greater than 0",
    "record.gradients=maybe": "record.gradients=maybe: must be true or false",
    "model.hidden_size=1.5": "model.hidden_size=1.5: must be a whole number",
    "nonsense": "nonsense: is not of the form KEY=VALUE",
    "cell=rnn,lstm": "cell=rnn,lstm: several values are a sweep",
    "seed=range(3)": "seed=range(3): several values are a sweep",
    "+task.colour=red": "task.colour: there is no such key",
    "cell._target_=models.nowhere.X": "cell._target_=models.nowhere.X: cannot be found",
    "~cell": "cell: needs a value",
    "seed=${x}": "seed: Interpolation key 'x' not found",
    "batch_size=???": "batch_size: must be given; add batch_size=VALUE",
    "stop=hopeless": "stop.by: must be given; add stop.by=VALUE",
    "stop=hopeless stop.by=0": "stop.by=0: must be greater than 0",
    "stop=hopeless stop.by=5 stop.below=1.1": "stop.below=1.1: must be less than or equal to 1",
    "cel=lstm": "cel=lstm: there is no such key; did you mean cell?",
    "lr=3": "lr=3: there is no such key; did you mean optimizer.lr?",
    "colour=3": "colour=3: there is no such key; `bptt show` lists all keys",
    "=3": "=3: there is no key before the =",
    "results_dir=": "results_dir=: must be not empty",
    "scale=paper": "scale=paper: applies to all runs of a study; use `bptt sweep`",
    "threads=100000": "threads=100000: must be less than or equal to 1024",
}


@pytest.mark.parametrize("overrides", WRONG)
def test_what_is_wrong_is_said_in_one_line_that_names_key_and_value(overrides):
    with pytest.raises(UsageError) as error:
        compose(overrides.split())
    assert str(error.value).startswith(WRONG[overrides])
    assert "\n" not in str(error.value)


def test_a_sweep_is_checked_whole():
    with pytest.raises(UsageError, match="cell=lstn: there is no such cell"):
        plan(["cell=lstm,lstn"])
    with pytest.raises(UsageError, match=r"task.length=1: must be greater"):
        plan(["task.length=5,4,1"])
    with pytest.raises(UsageError, match=r"^init\.connections=9: must be at most 8, the size of weight_hh$"):
        plan(["init=sparse", "init.connections=3,9", "model.hidden_size=8"])
    with pytest.raises(
        UsageError, match=r"^remedy=h_detach: needs a cell .* RNN has none; try cell=lstm, whose c does$"
    ):
        plan(["remedy=none,omega,h_detach", "clip=none,norm"])
    six = plan(["cell=lstm", "remedy=none,omega,h_detach", "clip=none,norm"]).configs
    assert len({(config.remedy["name"], config.clip["name"]) for config in six}) == 6
    with pytest.raises(UsageError, match="3 runs, but only 2 different"):
        plan(["seed=0,1,1"])
    with pytest.raises(UsageError, match="abc: is not of the form"):
        plan(["abc"])


def test_an_option_is_set_where_the_choice_has_it():
    """Also a fixed one; a point that is left the same as another is there once."""
    points = plan(["clip=none,norm,value", "clip.threshold=1,10", "cell=rnn,lstm", "cell.forget_bias=3"]).configs
    clips = [(config.clip["name"], config.clip.get("threshold")) for config in points]
    expected = [("none", None), ("norm", 1), ("norm", 10), ("value", 1), ("value", 10)]
    assert Counter(clips) == dict.fromkeys(expected, 2)
    assert {(config.cell["name"], config.cell.get("forget_bias")) for config in points} == {("rnn", None), ("lstm", 3)}
    assert len(plan(["study=quickstart", "cell.forget_bias=0,1"]).configs) == 6 + 12 + 12
    gains = {(c.init["name"], c.init.get("gain")) for c in plan(["study=vanishing", "init.gain=0.9"]).configs}
    assert gains == {("default", None), ("orthogonal", 0.9)}


def test_what_is_said_of_the_sweeper_and_of_scales_counts():
    assert len(plan(["study=quickstart", "hydra.sweeper.params.seed='1,2'"]).configs) == 12
    assert len(plan(["study=quickstart", "~hydra.sweeper.params.seed"]).configs) == 6
    assert len(plan(["study=vanishing", "+scales.tiny=[{seed: 1}]", "scale=tiny"]).configs) == 1


def test_an_option_of_the_studys_own_is_known(tmp_path, monkeypatch):
    """A choice has what its YAML has and what the study's YAML gives it; a point that is trimmed is there once."""
    (tmp_path / "own.py").write_text(OWN)
    for name, text in {
        "cell/listed.yaml": "_target_: own.Bare\n_partial_: true\nwidth: 1\n",
        "cell/bare.yaml": "_target_: own.Bare\n_partial_: true\n",
        "study/both.yaml": "# @package _global_\nstudy: {name: both}\ncell: {width: 3}\n",
        "study/twice.yaml": (
            "# @package _global_\nstudy: {name: twice}\nscales:\n  small:\n"
            '    - {clip: "none,norm", clip.threshold: "1,10"}\n    - {clip: none, seed: 0}\n'
        ),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    configs = plan(["study=both", "cell=listed,bare", "cell.width=1,2"], config_dir=tmp_path).configs
    assert [config.cell["width"] for config in configs] == [1, 2, 1, 2]
    assert len(expand(["study=twice", "seed=0"], tmp_path).points) == 3


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["clip=none,norm", "clip.treshold=1,2"], "clip.treshold=1: there is no such key; clip=none takes no options"),
        (["clip=none", "clip.threshold=1,2"], "clip.threshold=1: there is no such key; clip=none takes no options"),
        (["clip=norm,value", "clip.threshold=1,1"], "4 runs, but only 2 different; is a value given twice?"),
        (["cell=rnn,lstn", "cell.forget_bias=1"], "cell=lstn: there is no such cell"),
        (["clip=none,norm", "clip.threshold=0,1"], "clip.threshold=0: must be greater than 0"),
    ],
)
def test_an_option_that_no_choice_has_is_refused(overrides, said):
    with pytest.raises(UsageError) as error:
        plan(overrides)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("range(1,6,3)", [1, 4]),
        ("sort(range(1,6,3),reverse=true)", [4, 1]),
        ("sort(range(6,0,-2))", [2, 4, 6]),
        ("sort(range(4),reverse=true)", [3, 2, 1, 0]),
        ("sort(3,1,2)", [1, 2, 3]),
    ],
)
def test_a_range_has_its_values_however_it_is_sorted(axis, values):
    assert [config.seed for config in plan([f"seed={axis}"]).configs] == values


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("range(0.1,0.5,0.1)", ["0.1", "0.2", "0.3", "0.4"]),
        ("range(0.5,0,-0.1)", ["0.5", "0.4", "0.3", "0.2", "0.1"]),
        ("sort(range(0.1,0.4,0.1),reverse=true)", ["0.3", "0.2", "0.1"]),
        ("range(1e-3,4e-3,1e-3)", ["0.001", "0.002", "0.003"]),
    ],
)
def test_a_range_of_floats_has_the_values_that_one_would_write(axis, values):
    configs = plan(["init=orthogonal", f"init.gain={axis}"]).configs
    assert [str(config.init["gain"]) for config in configs] == values


@pytest.mark.parametrize("axis", ["range(0,1,0)", "range(0,inf)", "range(0,1,0.0)", "sort(range(0,nan))"])
def test_a_range_without_an_end_is_refused(axis):
    with pytest.raises(UsageError, match=r"^seed=.*: a range needs finite bounds and a step other than 0$"):
        plan([f"seed={axis}"])


def test_a_text_that_an_interpolation_gives_may_be_a_number(monkeypatch):
    """As `${oc.env:...}` always gives text; a text that is written as one stays that."""
    for name, text in {"SEED": "7", "RATE": "1e-3", "WINDOWS": "all", "GATES": "false"}.items():
        monkeypatch.setenv(name, text)
    config = compose(
        [
            *("seed=${oc.env:SEED}", "optimizer.lr=${oc.env:RATE}", "record.windows=${oc.env:WINDOWS}"),
            *("record.gates=${oc.env:GATES}", "study.name=${oc.env:SEED}", "steps=${batch_size}"),
        ]
    )
    assert (config.seed, config.optimizer["lr"], config.record.windows) == (7, 0.001, "all")
    assert (config.record.gates, config.study.name, config.steps) == (False, "7", 32)
    assert (
        config.run_id
        == compose(["seed=7", "optimizer.lr=1e-3", "record.windows=all", "record.gates=false", "steps=32"]).run_id
    )
    assert [config.seed for config in plan(["seed=${oc.env:SEED}", "cell=rnn,gru"]).configs] == [7, 7]
    with pytest.raises(UsageError, match="seed=all: must be a whole number"):
        compose(["seed=${oc.env:WINDOWS}"])
    with pytest.raises(UsageError, match="seed='3': must be a whole number"):
        compose(['seed="3"'])


def test_a_folder_may_be_below_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text("# @package _global_\nstudy: {name: mine}\nresults_dir: ~/x\n")
    for overrides in (["results_dir=~/x"], ["results_dir='~/x'"], ["study=mine"]):
        assert compose(overrides, config_dir=tmp_path).results_dir == f"{tmp_path}/x"
        assert f"results_dir='{tmp_path}/x'" in plan(overrides, config_dir=tmp_path).study_overrides


def test_a_sweep_expands_lists_ranges_and_the_studys_axes():
    configs = plan(["cell=rnn,lstm", "seed=range(3)"]).configs
    assert [(c.cell["name"], c.seed) for c in configs] == [(cell, s) for cell in ("rnn", "lstm") for s in range(3)]
    assert len(plan(["cell=glob(*)"]).configs) == len(choices("cell"))
    assert len(plan(["study=quickstart"]).configs) == 18
    fewer = plan(["study=quickstart", "seed=7", "cell=gru"]).configs
    assert {(c.cell["name"], c.clip["name"], c.seed) for c in fewer} == {("gru", "none", 7), ("gru", "norm", 7)}


def test_the_run_id_is_the_configurations_own():
    base = compose([])
    assert compose(["study=elsewhere", "results_dir=/somewhere"]).run_id == base.run_id
    assert compose(["cell=rnn"]).run_id == base.run_id
    assert compose(["optimizer.lr=1"]).run_id == compose(["optimizer.lr=1.0"]).run_id
    for other in ("seed=1", "optimizer.lr=0.1", "record.evaluate_every=7", "threads=2", "dtype=float64"):
        assert compose([other]).run_id != base.run_id


def test_a_sweep_of_no_runs_is_refused():
    with pytest.raises(UsageError, match=r"seed=range\(0\): no runs; is a range empty"):
        plan(["seed=range(0)"])


@pytest.mark.parametrize("name", ["mine", "one", "한국어", "a b", "it's", "50%"])
def test_a_study_may_have_any_name_that_a_folder_may_have(name):
    assert compose([f"study={name}"]).study.name == name
    assert compose([f"study.name={name}"]).study.name == name


def test_a_choice_of_ones_own_is_found_beside_ours(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from models.rnn import RNN\n"
        "class Mine(RNN):\n"
        "    def __init__(self, input_size, hidden_size, leak: float):\n"
        "        super().__init__(input_size, hidden_size)\n"
    )
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "mine.yaml").write_text("_target_: mine.Mine\n_partial_: true\nleak: 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = compose(["cell=mine", "cell.leak=1"], config_dir=tmp_path)
    assert config.cell["leak"] == 1.0
    assert type(build(config).network.cells[0]).__name__ == "Mine"
    with pytest.raises(UsageError, match=r"cell\.leak=x: must be a number"):
        compose(["cell=mine", "cell.leak=x"], config_dir=tmp_path)


OWN = """
from models.cell import Cell

class Bare(Cell):
    def __init__(self, input_size, hidden_size, width: int = 1):
        super().__init__(input_size, hidden_size)
        assert width > 0, "no width"
"""


@pytest.mark.parametrize(
    ("choice", "override", "said"),
    [
        (
            "_target_: own.Bare\n_partial_: true\nwidth: 0\n",
            "init=default",
            r"^cell=own .*: no width \(own\.py, line 7\)$",
        ),
        (
            "_target_: own.Bare\n_partial_: true\n",
            "init=orthogonal",
            r"^init=orthogonal cell=own: Bare names no recurrent matrix",
        ),
        (
            "_target_: math.sqrt\n_partial_: true\n",
            "init=default",
            r"^cell=own .*: TypeError: math\.sqrt\(\) takes no keyword",
        ),
        ("_target_: dict.fromkeys\n", "init=default", r"^Error loading 'dict\.fromkeys': Mod.* pass --config-dir"),
        ("_target_: [\n", "init=default", r"own\.yaml"),
    ],
)
def test_what_is_wrong_with_a_choice_of_ones_own_is_one_line(tmp_path, monkeypatch, choice, override, said):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "own.yaml").write_text(choice)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    with pytest.raises(UsageError, match=said) as error:
        build(compose(["cell=own", override], config_dir=tmp_path))
    assert "\n" not in str(error.value)


def test_building_twice_draws_the_same_parameters():
    one, two = build(compose(["cell=gru"])).network, build(compose(["cell=gru"])).network
    assert all((a == b).all() for a, b in zip(one.parameters(), two.parameters(), strict=True))
    other = build(compose(["cell=gru", "seed=1"])).network
    assert any((a != b).any() for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_committed_results_are_still_those_of_their_configurations():
    """A run's identity outlives new keys that change no result."""
    from pathlib import Path

    import pandas as pd

    reference = Path(__file__).parents[3] / "results" / "reference" / "quickstart" / "summary.csv"
    planned = {config.run_id for config in plan(["study=quickstart"]).configs}
    assert planned == set(pd.read_csv(reference)["run_id"])


@pytest.mark.parametrize("override", ["cell=[rnn,lstm]", "remedy=[]", "optimizer={}", "init=[default]"])
def test_a_choice_is_one_name(override):
    with pytest.raises(UsageError, match=rf"{re.escape(override)}: give the name of one choice"):
        compose([override])


def test_letters_beyond_ascii_need_no_quotes():
    assert compose(["results_dir=실험/둘"]).results_dir == compose(['results_dir="실험/둘"']).results_dir
    config = compose(["task=csv", "task.path=a.csv", "task.target=b", "task.columns=[유량,b]"])
    assert config.task["columns"] == ["유량", "b"]
