"""What there is to choose from, read from the files' first lines without importing any of them."""

import ast
from pathlib import Path

import conf

CONF = Path(conf.__path__[0])
FIGURES = Path(__file__).parent / "figures"

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


def claims(config_dir: Path | None = None) -> dict[str, list[str]]:
    """The names of the claims of each study that makes any."""
    import yaml

    found = {}
    for name, path in choices("study", config_dir).items():
        if claimed := (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("claims"):
            found[name] = list(claimed)
    return dict(
        sorted(found.items(), key=lambda item: ARGUMENT.index(item[0]) if item[0] in ARGUMENT else len(ARGUMENT))
    )


def catalogue(config_dir: Path | None = None) -> dict[str, dict[str, str]]:
    """Each group's choices with a line of what they are: a YAML's first comment, a figure's docstring."""
    described = {group: {name: title(path) for name, path in choices(group, config_dir).items()} for group in groups()}
    return described | {"figure": {name: _docstring(path) for name, path in figures().items()}}


def figures() -> dict[str, Path]:
    """The module of each figure, by name."""
    return {path.stem: path for path in sorted(FIGURES.glob("*.py")) if not path.stem.startswith("_")}


def title(path: Path) -> str:
    """The first comment of a choice's YAML file: what the choice is."""
    lines = (
        line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    )
    return next((line for line in lines if line and not line.startswith("@package")), "")


def _docstring(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
