"""The user's own files that a run is made from: the modules of its choices, and the data files that they read."""

import ast
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from pydoc import locate
from typing import Any

PACKAGES = ("cli", "conf", "experiments", "models")
"""Our own packages."""

INSTALLED = {"site-packages", "dist-packages"}
"""Names of the folders that hold installed packages."""


def data_files(arguments: Mapping[str, Any], prefix: str = "") -> dict[str, Path]:
    """The arguments of choices that name an existing file, by their key, such as 'task.path'."""
    found: dict[str, Path] = {}
    for name, value in arguments.items():
        key = f"{prefix}{name}"
        if isinstance(value, list | tuple):
            value = {str(i): item for i, item in enumerate(value)}
        if isinstance(value, Mapping):
            found |= data_files(value, f"{key}.")
        elif isinstance(value, str) and name not in ("name", "_target_") and _is_file(value):
            found[key] = Path(value)
    return found


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # too long for a path, or with a null character in it
        return False


def own_modules(targets: Sequence[str]) -> dict[str, Path]:
    """The modules of the targets that are the user's own, and those that they import from the same folder, by name.

    Neither our packages nor installed ones count.
    """
    found: dict[str, Path] = {}
    for target in dict.fromkeys(targets):
        name = getattr(locate(target), "__module__", "")
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).is_file() and _is_own(Path(file)):
            path = Path(file)
            depth = name.count(".") + (path.stem == "__init__")
            _add_imported(name, path, path.resolve().parents[depth], found)
    return found


@lru_cache(maxsize=1000)
def _is_own(path: Path) -> bool:
    path = path.resolve()
    root = Path(__file__).resolve().parents[2]
    ours = [root / package for package in PACKAGES] + [Path(sysconfig.get_path("stdlib"))]
    return path.suffix == ".py" and INSTALLED.isdisjoint(path.parts) and not any(map(path.is_relative_to, ours))


def _add_imported(name: str, path: Path, root: Path, found: dict[str, Path]) -> None:
    """Add a module, and what it imports of the modules beneath `root`."""
    if name in found:
        return
    found[name] = path
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for imported in _imports(str(path), package, path.stat().st_mtime_ns):
        beside = root.joinpath(*imported.split("."))
        for file in (beside.with_name(f"{beside.name}.py"), beside / "__init__.py"):
            if file.is_file() and _is_own(file):
                _add_imported(imported, file, root, found)


@lru_cache(maxsize=1000)
def _imports(path: str, package: str, modified: int) -> tuple[str, ...]:
    """The modules that a file may import, by their full names; of `from a import b`, a and a.b."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except SyntaxError:  # a file beside the module that no Python of this version imports
        return ()
    return tuple(dict.fromkeys(_imported_names(tree, package)))


def _imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = [part for part in name.split(".") if part]
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))
