"""The measures there are and the columns of their CSV files, read from their source without importing torch."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent.parent / "measures"


class Columns(NamedTuple):
    """The columns of a measure's CSV file.

    Attributes:
        names: All columns in their order.
        words: Those that hold words; all others hold numbers.
    """

    names: tuple[str, ...]
    words: tuple[str, ...]


def measures(config_dir: Path | None = None) -> dict[str, Path]:
    """The module of each measure by name; the user's own, from the folder `measure`, come after ours."""
    folders = [FOLDER] + ([] if config_dir is None else [config_dir / "measure"])
    paths = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    return {path.stem: path for path in paths if path.stem not in ("__init__", "measure")}


@cache
def columns_of(path: Path) -> Columns:
    """The columns that a measure's class declares; empty if it declares none."""
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
                if isinstance(target, ast.Name) and target.id in ("columns", "words"):
                    found[target.id] = ast.literal_eval(line.value)  # type: ignore[attr-defined]
    return Columns(found.get("columns", ()), found.get("words", ()))
