"""The user's own folder, `--config-dir`: how Hydra finds its YAML files and Python its modules. Imports no Hydra."""

import sys
from pathlib import Path

from experiments.config.overrides import quote

SCHEME = "user-folder"
"""Scheme of the folder in Hydra's search path; `hydra_internals.UserFolderSource` reads it."""


def search_path_override(config_dir: Path | None) -> list[str]:
    """The override that lets Hydra find the user's own choices; none without a folder."""
    return [] if config_dir is None else [f"hydra.searchpath=[{quote(f'{SCHEME}://{config_dir.resolve()}')}]"]


def extend_python_path(config_dir: Path | None) -> None:
    """Let Python find the user's own modules in their folder and beside it, after ours."""
    if config_dir is not None:
        sys.path += [
            folder for folder in map(str, (config_dir.resolve(), config_dir.resolve().parent)) if folder not in sys.path
        ]
