"""The id of a run: the same in every later version, for the same settings."""

import inspect
import json
from pathlib import Path

import pytest
import yaml
from pydantic_core import PydanticUndefined

from experiments.catalogue.choices import CONF
from experiments.config.composing import compose
from experiments.config.identity import probe_id, without_defaults
from experiments.config.schema import Config, ProbeConfig, RecordConfig
from experiments.config.targets import find_target

PROMISED = Path(__file__).with_name("promised_defaults.json")


def defaults_in_the_code():
    """Every default that an id leaves out, by the class or function and the name of the argument."""
    found = {}
    for section in (Config, RecordConfig, ProbeConfig):
        for name, field in section.model_fields.items():
            if field.default is not PydanticUndefined:
                found[f"{section.__name__}.{name}"] = field.default
    for path in sorted(CONF.glob("*/*.yaml")):
        if target := (yaml.safe_load(path.read_text()) or {}).get("_target_"):
            for name, parameter in inspect.signature(find_target("", target)).parameters.items():
                if parameter.default is not parameter.empty:
                    found[f"{target}.{name}"] = parameter.default
    return found


def test_a_default_in_the_code_never_changes():
    """A later version may add defaults to the file, in this order of things: it may not change or remove one."""
    promised = json.loads(PROMISED.read_text())
    current = json.loads(json.dumps(defaults_in_the_code()))
    assert {name: current.get(name, "it is gone") for name in promised} == promised
    assert current.keys() == promised.keys(), "add the new default to promised_defaults.json"


def test_an_option_at_its_default_is_left_out():
    assert without_defaults({"_target_": "models.lstm.LSTM", "forget_bias": 1.0}) == {"_target_": "models.lstm.LSTM"}
    assert without_defaults({"_target_": "models.lstm.LSTM", "forget_bias": None})["forget_bias"] is None
    of_torch = {"_target_": "torch.optim.SGD", "momentum": 0}
    assert without_defaults(of_torch) == of_torch  # not ours: it may change


@pytest.mark.parametrize(
    ("override", "counts"),
    [
        ("schedule=constant", False),
        ("schedule=warmup", True),
        ("remedy=none", False),
        ("truncation=null", False),
        ("truncation=20", True),
        ("stop=none", False),
        ("stop=solved", True),
        ("optimizer.weight_decay=0", False),
        ("optimizer.weight_decay=0.1", True),
        ("record.gates=false", False),
        ("record.every=1", False),
        ("record.windows=all", False),
        ("record.lags=true", False),
        ("record.activations=true", False),
        ("record.evaluate_every=7", True),
        ("record.evaluate_samples=7", True),
        ("record.tensorboard=false", False),
        ("checkpoint_seconds=1", False),
        ("study=another", False),
        ("results_dir=elsewhere", False),
        ("probe.batches=3", False),
        ("steps=7", True),
    ],
)
def test_what_counts_in_an_id(override, counts):
    assert (compose([override]).run_id != compose([]).run_id) == counts


def test_the_ids_of_probes_count_how_they_probe():
    assert probe_id(compose(["probe.batches=20"])) == compose([]).run_id
    assert probe_id(compose(["probe.batches=3"])).endswith(f"-{compose([]).run_id}")


def test_an_id_made_by_this_version():
    """Not to be changed: people's results carry it."""
    assert compose([]).run_id == "rnn-adding-none-seed0-f449ccef4b"
    assert compose(["cell=lstm", "clip=norm", "task=copy", "seed=3"]).run_id == "lstm-copy-norm-seed3-28d1fcd3c4"
