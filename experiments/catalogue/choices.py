"""The choices, studies and figures that exist, ours and the user's, read from their files without importing them."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import conf
from experiments.catalogue.figures import figures, modules_in, parse
from experiments.catalogue.measures import measures
from experiments.errors import UsageError

CONF = Path(conf.__path__[0])

HEADER = 512
"""Number of characters at the top of a YAML file in which its `# @package` line must stand."""

STUDY_ORDER = ("bptt_terms", "any_length", "vanishing", "exploding", "lstm_memory", "gates", "gru")
"""Order in which the studies with claims are listed; other studies follow."""


def groups(config_dir: Path | None = None) -> list[str]:
    """Names of the groups: the folders that hold YAML files, ours and the user's."""
    folders = [folder for root in (CONF, config_dir) if root is not None for folder in sorted(root.iterdir())]
    return list(dict.fromkeys(folder.name for folder in folders if folder.is_dir() and any(folder.glob("*.yaml"))))


def choices(group: str, config_dir: Path | None = None) -> dict[str, Path]:
    """YAML file of each choice in a group, by name; the user's own come after ours."""
    folders = [CONF / group] + ([] if config_dir is None else [config_dir / group])
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def check_files(config_dir: Path) -> None:
    """Refuse files in the user's folder that look like choices but would not be read.

    Raises:
        UsageError: There is such a file; the message names the first one.
    """
    if (config_dir / "config.yaml").exists():
        raise UsageError(
            f"{config_dir / 'config.yaml'}: is not read; move its keys to study/NAME.yaml and add study=NAME"
        )
    for group in groups(config_dir):
        for path in sorted((config_dir / group).glob("*.yml")):
            raise UsageError(f"{path}: is not read; rename it to {path.stem}.yaml")
        for path in sorted((config_dir / group).glob("*.yaml")):
            if (ours := CONF / group / path.name).exists() and ours.read_bytes() != path.read_bytes():
                raise _name_taken(path, group)
            if "# @package" in path.read_text(encoding="utf-8", errors="replace")[HEADER:]:
                raise UsageError(
                    f"{path}: move the line '# @package ...' to the top; only the first {HEADER} characters are read"
                )
    for path in modules_in(config_dir / "figure"):
        if path.stem in figures():
            raise _name_taken(path, "figure")


def _name_taken(path: Path, group: str) -> UsageError:
    return UsageError(f"{path}: is not read; bptt has its own {group} {path.stem}, so yours needs another name")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the keys and values of a YAML file.

    Raises:
        UsageError: The file cannot be read, or has no keys at its top level.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must hold KEY: VALUE lines, not {content!r}")
    return content


def claims_of_studies(config_dir: Path | None = None) -> dict[str, list[str]]:
    """Names of the claims of each study that has any.

    Raises:
        UsageError: A study's file cannot be read, or its claims are not a list.
    """
    found = {}
    for name, path in choices("study", config_dir).items():
        if claimed := read_yaml(path).get("claims"):
            if not isinstance(claimed, list):
                raise UsageError(f"{path}: claims={claimed}: must be a list of names: [{claimed}]")
            found[name] = claimed
    place = {name: i for i, name in enumerate(STUDY_ORDER)}
    return dict(sorted(found.items(), key=lambda item: place.get(item[0], len(place))))


def catalogue(config_dir: Path | None = None) -> dict[str, dict[str, str]]:
    """Title of each choice by group and name: the first comment of its YAML file, or the docstring of its module."""
    if config_dir is not None:
        check_files(config_dir)
    described = {
        group: {name: first_comment(path) for name, path in choices(group, config_dir).items()} for group in groups()
    }
    modules = {"measure": measures(config_dir), "figure": figures(config_dir)}
    return described | {
        kind: {name: first_docstring_line(path) for name, path in paths.items()} for kind, paths in modules.items()
    }


def first_comment(path: Path) -> str:
    """The first comment of a choice's YAML file, which is its title."""
    lines = (
        line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    )
    return next(
        (line for line in lines if line and not line.startswith("@package") and not line.endswith(path.name)), ""
    )


@cache
def cell_order() -> dict[str, int]:
    """Place of each of our cells in figures and tables: by the year of its paper, then by name.

    The year is the first one in the first comment of the cell's YAML file.
    """

    def year(path: Path) -> int:
        found = re.search(r"\b(1[89]|20)\d\d\b", first_comment(path))
        return int(found[0]) if found else 9999

    cells = choices("cell")
    return {name: i for i, name in enumerate(sorted(cells, key=lambda name: (year(cells[name]), name)))}


def first_docstring_line(path: Path) -> str:
    """The first line of a module's docstring."""
    docstring = ast.get_docstring(parse(path)) or ""
    return docstring.partition("\n")[0]
