"""What there is to choose from, read from the files' first lines without importing any of them."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import conf
from experiments.errors import UsageError

CONF = Path(conf.__path__[0])
FIGURES = Path(__file__).parent.parent / "figures"

HEADER = 512
"""Characters of a YAML file in which Hydra looks for its `# @package`."""

ARGUMENT = ("bptt_terms", "any_length", "vanishing", "exploding", "lstm_memory", "gates", "gru")
"""The order of the studies that claim something: others come after."""


def groups(config_dir: Path | None = None) -> list[str]:
    """The groups of choices: the folders with YAML files, ours and the user's."""
    folders = [folder for root in (CONF, config_dir) if root is not None for folder in sorted(root.iterdir())]
    return list(dict.fromkeys(folder.name for folder in folders if folder.is_dir() and any(folder.glob("*.yaml"))))


def choices(group: str, config_dir: Path | None = None) -> dict[str, Path]:
    """The YAML file of each choice in a group, by name; the user's own come after ours."""
    folders = [CONF / group] + ([] if config_dir is None else [config_dir / group])
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def check_files(config_dir: Path) -> None:
    """Refuse files in a user's folder that look like choices, but are not read as such.

    Raises:
        UsageError: The first such file, and what to do with it.
    """
    if (config_dir / "config.yaml").exists():
        raise UsageError(
            f"{config_dir / 'config.yaml'}: is not read; put its keys into study/NAME.yaml and add study=NAME"
        )
    for group in groups(config_dir):
        for path in sorted((config_dir / group).glob("*.yml")):
            raise UsageError(f"{path}: is not read; call it {path.stem}.yaml")
        for path in sorted((config_dir / group).glob("*.yaml")):
            if (ours := CONF / group / path.name).exists() and ours.read_bytes() != path.read_bytes():
                raise UsageError(
                    f"{path}: is not read; {path.stem} is a {group} of bptt's own, so yours needs another name"
                )
            if "# @package" in path.read_text(encoding="utf-8", errors="replace")[HEADER:]:
                raise UsageError(
                    f"{path}: put its line '# @package ...' first; Hydra reads it in the first {HEADER} characters"
                )


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a choice's YAML file.

    Raises:
        UsageError: The file cannot be read, or holds no keys.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: holds no keys, but {content!r}")
    return content


def claims(config_dir: Path | None = None) -> dict[str, list[str]]:
    """The names of the claims of each study that makes any.

    Raises:
        UsageError: A study cannot be read, or its claims are no list.
    """
    found = {}
    for name, path in choices("study", config_dir).items():
        if claimed := read_yaml(path).get("claims"):
            if not isinstance(claimed, list):
                raise UsageError(f"{path}: claims={claimed}: must be a list of names: [{claimed}]")
            found[name] = claimed
    return dict(
        sorted(found.items(), key=lambda item: ARGUMENT.index(item[0]) if item[0] in ARGUMENT else len(ARGUMENT))
    )


def catalogue(config_dir: Path | None = None) -> dict[str, dict[str, str]]:
    """Each group's choices with a line of what they are: a YAML's first comment, a figure's docstring."""
    if config_dir is not None:
        check_files(config_dir)
    described = {group: {name: title(path) for name, path in choices(group, config_dir).items()} for group in groups()}
    return described | {"figure": {name: _docstring(path) for name, path in figures(config_dir).items()}}


def figures(config_dir: Path | None = None) -> dict[str, Path]:
    """The module of each figure, by name; the user's own come after ours.

    Raises:
        UsageError: A figure of the user's own has the name of one of ours.
    """
    folders = [FIGURES] + ([] if config_dir is None else [config_dir / "figure"])
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            if path.stem in found:
                raise UsageError(f"{path}: {path.stem} is a figure of bptt's own, so yours needs another name")
            if not path.stem.startswith("_"):
                found[path.stem] = path
    return found


def title(path: Path) -> str:
    """The first comment of a choice's YAML file: what the choice is."""
    lines = (
        line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    )
    return next(
        (line for line in lines if line and not line.startswith("@package") and not line.endswith(path.name)), ""
    )


@cache
def cell_order() -> dict[str, int]:
    """Our cells by the order in which figures and tables show them: by the year of their paper, then by name.

    The year is the first one in the first comment of the cell's YAML file.
    """

    def year(path: Path) -> int:
        found = re.search(r"\b(1[89]|20)\d\d\b", title(path))
        return int(found[0]) if found else 9999

    cells = choices("cell")
    return {name: i for i, name in enumerate(sorted(cells, key=lambda name: (year(cells[name]), name)))}


def _docstring(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
