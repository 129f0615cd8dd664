"""Hydra's internals are where `experiments.config.hydra_internals` uses them, and nothing else uses any."""

import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

INTERNALS = {
    "hydra._internal.core_plugins.file_config_source:FileConfigSource.load_config": ["self", "config_path"],
    "hydra.plugins.config_source:ConfigSource._normalize_file_name": ["filename"],
    "hydra.plugins.config_source:ConfigResult": [
        *("provider", "path", "config", "header", "defaults_list", "is_schema_source"),
    ],
    "hydra.core.global_hydra:GlobalHydra.config_loader": ["self"],
    "hydra.core.plugins:Plugins.register": ["self", "clazz"],
    "hydra.core.override_parser.overrides_parser:OverridesParser.create": ["config_loader"],
    "hydra.core.override_parser.overrides_parser:OverridesParser.parse_override": ["self", "s"],
    "hydra.core.override_parser.overrides_parser:OverridesParser.parse_overrides": ["self", "overrides"],
    "hydra.core.override_parser.types:Override.is_sweep_override": ["self"],
    "hydra.core.override_parser.types:Override.is_discrete_sweep": ["self"],
    "hydra.core.override_parser.types:Override.sweep_string_iterator": ["self"],
    "hydra.core.override_parser.types:Override.get_key_element": ["self"],
    "hydra.core.override_parser.types:Override.get_value_element_as_str": ["self", "space_after_sep"],
    "hydra.core.override_parser.types:Override.value": ["self"],
}
"""Parameters of each, by its address."""


@pytest.mark.parametrize("address", INTERNALS)
def test_hydras_internals_are_where_they_were(address):
    module, _, name = address.partition(":")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        pytest.fail(f"Hydra moved {address}")
    assert list(inspect.signature(found).parameters) == INTERNALS[address], f"Hydra changed the signature of {address}"


def test_the_parsers_functions_can_be_replaced():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    functions = getattr(getattr(OverridesParser.create(), "functions", None), "functions", None)
    assert isinstance(functions, dict), "Hydra moved OverridesParser.functions.functions"
    assert "sort" in functions, "Hydra moved OverridesParser.functions.functions['sort']"
    assert "reverse" in inspect.signature(functions["sort"]).parameters, "Hydra changed the signature of sort"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Override", {"type", "key_or_group", "value_type", "_value", "package", "input_line", "config_loader"}),
        ("RangeSweep", {"start", "stop", "step", "shuffle", "tags"}),
    ],
)
def test_what_is_parsed_has_the_fields_that_it_had(name, expected):
    types = importlib.import_module("hydra.core.override_parser.types")
    assert hasattr(types, name), f"Hydra moved hydra.core.override_parser.types.{name}"
    found = {field.name for field in fields(getattr(types, name))}
    assert expected <= found, f"Hydra moved {', '.join(sorted(expected - found))} of {name}"


def test_the_header_of_a_yaml_file_has_its_package(tmp_path):
    from hydra._internal.core_plugins.file_config_source import FileConfigSource

    (tmp_path / "one.yaml").write_text("# @package _global_\nseed: 1\n")
    assert FileConfigSource("test", str(tmp_path)).load_config("one").header == {"package": "_global_"}, (
        "Hydra changed ConfigResult.header"
    )


def test_only_one_module_uses_hydras_internals():
    used = r"hydra\._internal|OverridesParser|GlobalHydra|ConfigSource\b|HydraContext|\._value\b|grammar_functions"
    modules = [path for name in ("cli", "experiments", "models") for path in (ROOT / name).rglob("*.py")]
    assert [path.name for path in modules if re.search(used, path.read_text())] == ["hydra_internals.py"]
