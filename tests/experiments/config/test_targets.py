"""Choices whose classes are torch's, untyped, or called as one of our packages."""

import sys

import pytest

from experiments.config.composing import compose
from experiments.config.parts import build, draft
from experiments.errors import UsageError

OWN = """
import models.missing_in_bptt
"""

CELLS = """
from models.rnn import RNN

class Untyped(RNN):
    def __init__(self, input_size, hidden_size, **options):
        super().__init__(input_size, hidden_size)
        self.options = options

class Odd(RNN):
    def __init__(self, input_size: "Nowhere", hidden_size, kind: "Nowhere" = None, width: "int" = 1):
        super().__init__(input_size, hidden_size)
        self.kind = kind

class Looking(RNN):
    '''Cannot be drafted without memory.'''
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        assert self.weight_hh.sum().item() != 0, "all zero"
"""


@pytest.fixture
def choose(tmp_path, monkeypatch):
    """Compose with a choice whose YAML is given."""
    (tmp_path / "cells_of_test.py").write_text(CELLS)
    (tmp_path / "broken_of_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cells_of_test", raising=False)

    def compose_with(group, yaml, *overrides):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / "mine.yaml").write_text(yaml)
        return compose([f"{group}=mine", *overrides], tmp_path)

    return compose_with


def test_an_optimizer_of_torchs_own(choose):
    yaml = "_target_: torch.optim.AdamW\n_partial_: true\nlr: 1\nbetas: [0.9, 0.99]\nweight_decay: 0.01\n"
    config = choose("optimizer", yaml)
    assert config.optimizer["lr"] == 1.0
    parts = build(config)
    optimizer = parts.make_optimizer(parts.network.parameters())
    assert type(optimizer).__name__ == "AdamW"
    assert tuple(optimizer.defaults["betas"]) == (0.9, 0.99)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("lr: abc", "optimizer.lr=abc: must be a number"),
        ("lr: 0.1\nbetas: [0.9]", "optimizer.betas"),
        ("lr: 0.1\namsgrad: perhaps", "optimizer.amsgrad=perhaps: must be true or false"),
        ("lr: 0.1\nspeed: 3", "optimizer.speed: there is no such key"),
        ("lr: -1", "optimizer=mine: ValueError: Invalid learning rate: -1.0 (adam"),
    ],
)
def test_a_wrong_option_of_torchs_optimizer_is_one_line(choose, option, said):
    with pytest.raises(UsageError) as error:
        draft(choose("optimizer", f"_target_: torch.optim.AdamW\n_partial_: true\n{option}\n"))
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_a_forgotten_partial_is_said(choose):
    with pytest.raises(UsageError, match=r"^optimizer\.params: needs a value, or `_partial_: true` in its YAML$"):
        choose("optimizer", "_target_: torch.optim.AdamW\nlr: 0.1\n")


def test_arguments_without_usable_annotations_pass(choose):
    untyped = choose("cell", "_target_: cells_of_test.Untyped\n_partial_: true\nwhatever: [1, {a: .inf}]\n")
    assert build(untyped).network.cells[0].options == {"whatever": [1, {"a": float("inf")}]}
    odd = choose("cell", "_target_: cells_of_test.Odd\n_partial_: true\nkind: x\n")
    assert build(odd).network.cells[0].kind == "x"
    with pytest.raises(UsageError, match=r"^cell\.width=x: must be a whole number"):
        choose("cell", "_target_: cells_of_test.Odd\n_partial_: true\nwidth: x\n")
    function = "_target_: torch.nn.Linear\n_partial_: true\ndevice: {_target_: torch.device, type: cpu}\n"
    assert choose("cell", function).cell["device"]["type"] == "cpu"


SEVERAL = """
_target_: experiments.remedies.Several
omega: {_target_: experiments.remedies.Omega, weight: 4.0}
noise: {_target_: experiments.remedies.GradientNoise, scale: 1}
"""


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("remedy.noise.scale=-1", "remedy.noise.scale=-1: must be greater than or equal to 0"),
        ("remedy.omega.weight=abc", "remedy.omega.weight=abc: must be a number"),
        ("+remedy.noise.size=3", "remedy.noise.size: there is no such key"),
        ("remedy.omega=3", "remedy.omega: must be a subclass of experiments.remedies.Remedy"),
        ("remedy.noise._target_=experiments.clipping.ClipNorm", "remedy.noise.threshold: needs a value"),
    ],
)
def test_the_arguments_of_each_of_several_remedies_are_checked(choose, override, said):
    with pytest.raises(UsageError) as error:
        draft(choose("remedy", SEVERAL, override))
    assert str(error.value) == said


def test_the_arguments_of_several_remedies_stay_as_given_because_the_id_of_a_run_has_them(choose):
    remedy = choose("remedy", SEVERAL).remedy
    assert repr(remedy["noise"]["scale"]) == "1"
    assert repr(remedy["omega"]["weight"]) == "4.0"


def test_a_cell_that_looks_at_its_weights_can_be_planned(choose):
    large = "model.hidden_size=600"
    config = choose("cell", "_target_: cells_of_test.Looking\n_partial_: true\n", large)
    assert not next(draft(config).network.parameters()).is_meta
    assert next(draft(compose([large])).network.parameters()).is_meta
    assert not next(draft(compose([])).network.parameters()).is_meta


def test_a_name_that_is_taken_is_said(choose):
    with pytest.raises(UsageError) as error:
        choose("cell", "_target_: models.mine.Cell\n_partial_: true\n")
    assert str(error.value) == (
        "cell._target_=models.mine.Cell: cannot be found; "
        "models is bptt's own package, so your folder needs another name, such as my_models"
    )
    with pytest.raises(UsageError, match=r"No module named 'models\.missing_in_bptt'; models is bptt's own package"):
        choose("cell", "_target_: broken_of_test.Cell\n_partial_: true\n")
    with pytest.raises(UsageError, match=r"random is .*random\.py; if you mean another module, give it another name"):
        choose("cell", "_target_: random.Cell\n_partial_: true\n")
    with pytest.raises(UsageError, match="is its module in or beside --config-dir, or on PYTHONPATH"):
        choose("cell", "_target_: nowhere_at_all.Cell\n_partial_: true\n")
