"""Hydra's internals are where `experiments.config.hydra_internals` uses them, and nothing else uses any."""

import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError

from experiments.config.hydra_internals import UserFolderSource
from experiments.config.user_folder import SCHEME

ROOT = Path(__file__).parents[3]

INTERNALS = {
    "hydra.plugins.config_source:ConfigSource.__init__": ["self", "provider", "path"],
    "hydra.plugins.config_source:ConfigSource.scheme": [],
    "hydra.plugins.config_source:ConfigSource.load_config": ["self", "config_path"],
    "hydra.plugins.config_source:ConfigSource.is_group": ["self", "config_path"],
    "hydra.plugins.config_source:ConfigSource.is_config": ["self", "config_path"],
    "hydra.plugins.config_source:ConfigSource.available": ["self"],
    "hydra.plugins.config_source:ConfigSource.list": ["self", "config_path", "results_filter"],
    "hydra.plugins.config_source:ConfigSource.full_path": ["self"],
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


def test_hydra_reads_a_source_of_ours(tmp_path):
    """A package as Hydra's own source reads it; groups and choices as it lists them."""
    from hydra._internal.sources_registry import SourcesRegistry

    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "one.yaml").write_text("# @package _global_\nseed: 1\n")
    (tmp_path / "note.txt").touch()
    Plugins.instance()  # registers Hydra's own sources
    theirs = SourcesRegistry.instance().resolve("file")("test", f"file://{tmp_path}")
    ours = UserFolderSource("test", f"{SCHEME}://{tmp_path}")
    assert ours.load_config("cell/one").header == theirs.load_config("cell/one").header, "Hydra changed its header"
    for path, kind in [("", ObjectType.GROUP), ("cell", ObjectType.CONFIG), ("cell", None)]:
        assert ours.list(path, kind) == theirs.list(path, kind)
    with pytest.raises(ConfigLoadError):
        ours.load_config("cell/two")


def test_only_one_module_uses_hydras_internals():
    used = r"hydra\._internal|OverridesParser|GlobalHydra|ConfigSource\b|HydraContext|\._value\b|grammar_functions"
    modules = [path for name in ("cli", "experiments", "models") for path in (ROOT / name).rglob("*.py")]
    assert [path.name for path in modules if re.search(used, path.read_text())] == ["hydra_internals.py"]
