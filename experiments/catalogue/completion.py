"""Shell completion of overrides, read from the YAML files without Hydra and torch, so that TAB answers at once."""

import ast
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from experiments.catalogue.choices import CONF, choices, groups
from experiments.catalogue.measures import measures


def complete(incomplete: str, given: Sequence[str] = (), config_dir: Path | None = None) -> list[str]:
    """Complete an override: keys with their '=', or values, including the next value of a list.

    Args:
        incomplete: Part of the override that is typed so far.
        given: Overrides before it. Their keys are not offered again; the options of their choices are.
        config_dir: Folder with the user's own choices.
    """
    keys = _keys(dict(override.partition("=")[::2] for override in given), config_dir)
    key, equals, value = incomplete.partition("=")
    if not equals:
        used = {override.partition("=")[0] for override in given}
        return [f"{name}=" for name in keys if name.startswith(incomplete) and name not in used]
    head, comma, last = value.rpartition(",")
    listed = head.split(",")
    return [
        f"{key}={head}{comma}{value}"
        for value in keys.get(key, ())
        if value.startswith(last) and not (comma and value in listed)
    ]


def _keys(given: Mapping[str, str], config_dir: Path | None) -> dict[str, list[str]]:
    """All keys that can be set, each with its values if they are known."""
    root = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    chosen = {group: name for entry in root["defaults"] if isinstance(entry, dict) for group, name in entry.items()}
    keys: dict[str, list[str]] = {}
    for group in groups(config_dir):
        known = choices(group, config_dir)
        keys[group] = list(known)
        for name in given.get(group, chosen.get(group, "")).split(","):
            if name in known and group != "study":
                keys |= {f"{group}.{option}": values for option, values in _options(known[name]).items()}
    keys |= {f"record.{name}": ["true", "false"] for name in measures(config_dir)}
    plain = {key: value for key, value in root.items() if key not in ("defaults", "hydra")}
    literals = _literals("experiments.config.schema", "Config")
    return keys | {"study.name": []} | {key: literals.get(key, values) for key, values in _flat(plain).items()}


def _options(path: Path) -> dict[str, list[str]]:
    """The options of a choice, including those of the choice that it builds on."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    options: dict[str, list[str]] = {}
    for entry in content.get("defaults", []):
        beside = path.with_name(f"{entry}.yaml")
        if isinstance(entry, str) and beside.is_file():
            options |= _options(beside)
    own = {key: value for key, value in content.items() if not key.startswith("_") and key != "defaults"}
    module, _, target = str(content.get("_target_", "")).rpartition(".")
    return options | _flat(own) | {key: values for key, values in _literals(module, target).items() if key in own}


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, list[str]]:
    """The dotted keys of a YAML file; a boolean has two values."""
    keys: dict[str, list[str]] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            keys |= _flat(value, f"{prefix}{key}.")
        else:
            keys[prefix + key] = ["true", "false"] if isinstance(value, bool) else []
    return keys


def _literals(module: str, name: str) -> dict[str, list[str]]:
    """The values of the arguments or fields of a class that are annotated as Literal; the class is not imported."""
    try:
        spec = find_spec(module) if module else None
    except ImportError:
        return {}
    if spec is None or spec.origin is None:
        return {}
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            for annotated in ast.walk(node):
                if isinstance(annotated, ast.arg | ast.AnnAssign) and isinstance(annotated.annotation, ast.Subscript):
                    target = annotated.arg if isinstance(annotated, ast.arg) else ast.unparse(annotated.target)
                    if ast.unparse(annotated.annotation.value).endswith("Literal"):
                        values = ast.literal_eval(annotated.annotation.slice)
                        found[target] = list(map(str, values if isinstance(values, tuple) else (values,)))
    return found
