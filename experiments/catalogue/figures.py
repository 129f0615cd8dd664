"""The figures there are, found by their files' names without importing them."""

import ast
from pathlib import Path

from experiments.errors import UsageError

FIGURES = Path(__file__).parent.parent / "figures"


def figures(config_dir: Path | None = None) -> dict[str, Path]:
    """Module of each figure, by name; the user's own, `figure/NAME.py`, come after ours.

    Raises:
        UsageError: A figure of the user's own has the name of one of ours.
    """
    found = {path.stem: path for path in modules_in(FIGURES)}
    for path in [] if config_dir is None else modules_in(config_dir / "figure"):
        if path.stem in found:
            raise UsageError(f"{path}: {path.stem} is a figure of bptt's own, so yours needs another name")
        found[path.stem] = path
    return found


def parse(path: Path) -> ast.Module:
    """Parse a Python file.

    Raises:
        UsageError: It is not valid Python.
    """
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(f"{path}{line}: is not valid Python ({error.args[0]})") from None


def modules_in(folder: Path) -> list[Path]:
    """The Python files in a folder, except those whose names begin with an underscore."""
    return [path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]
