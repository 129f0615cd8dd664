"""The user's own files that a run depends on: the modules of its choices, and the data files that they read."""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.config.schema import CHOICES, Config
from experiments.errors import is_users_code
from experiments.measures.measure import find_measure
from models.address import locate


def user_files(config: Config) -> dict[str, Path]:
    """The user's own files that a run depends on: data files by their key, modules by their name."""
    chosen = {group: getattr(config, group) for group in CHOICES}
    return data_files(chosen) | files_in_folder(chosen["task"]) | user_modules(chosen_targets(config))


def files_in_folder(task: Mapping[str, Any]) -> dict[str, Path]:
    """The files that a task reads from the folder `task.path`, such as 'task.path/train-images-idx3-ubyte'.

    Args:
        task: Arguments of the task, with `_target_`. Its class names the files in a method `files_in`.
    """
    files_in, path = getattr(locate(str(task["_target_"])), "files_in", None), task.get("path")
    if files_in is None or not isinstance(path, str):
        return {}
    return {f"task.path/{name}": file for name, file in files_in(path).items()}


def chosen_targets(config: Config) -> list[str]:
    """The addresses of all classes and functions that a run chooses, measures included."""
    measures = [find_measure(name) for name in config.record.measures]
    chosen = [str(getattr(config, group)["_target_"]) for group in CHOICES]
    return chosen + [f"{measure.__module__}.{measure.__qualname__}" for measure in measures]


def data_files(arguments: Mapping[str, Any], prefix: str = "") -> dict[str, Path]:
    """The arguments of choices that name an existing file, by their key, such as 'task.path'.

    Args:
        arguments: Arguments by name, nested as in the configuration.
        prefix: Start of every key.
    """
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
    except (OSError, ValueError):  # too long for a path, or contains a null character
        return False


def user_modules(targets: Sequence[str]) -> dict[str, Path]:
    """The user's own modules among the targets and those that they import from the same folder, by name.

    Our packages and installed packages are left out.

    Args:
        targets: Addresses of classes and functions, as in `_target_`.
    """
    found: dict[str, Path] = {}
    for target in dict.fromkeys(targets):
        name = getattr(locate(target), "__module__", "")
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).is_file() and is_users_code(Path(file)):
            path = Path(file)
            depth = name.count(".") + (path.stem == "__init__")
            _add_imported(name, path, path.resolve().parents[depth], found)
    return found


def _add_imported(name: str, path: Path, root: Path, found: dict[str, Path]) -> None:
    """Add a module and, recursively, the modules under `root` that it imports."""
    if name in found:
        return
    found[name] = path
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for imported in _imports(str(path), package, path.stat().st_mtime_ns):
        beside = root.joinpath(*imported.split("."))
        for file in (beside.with_name(f"{beside.name}.py"), beside / "__init__.py"):
            if file.is_file() and is_users_code(file):
                _add_imported(imported, file, root, found)


@lru_cache(maxsize=1000)
def _imports(path: str, package: str, modified: int) -> tuple[str, ...]:
    """The full names of all modules that a file may import; for `from a import b`, both a and a.b.

    `modified` is the file's modification time. It makes the cache miss if the file changes.
    """
    try:
        tree = ast.parse(Path(path).read_bytes())
    except SyntaxError:  # an imported file that this version of Python cannot parse
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
