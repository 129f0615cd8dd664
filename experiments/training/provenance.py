"""Where a result comes from: what has to be the same for the same numbers to come out again."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from pydoc import locate
from typing import Any

import torch

COMPUTES = (
    "models",
    *(
        f"experiments/{name}"
        for name in ("clipping", "config", "measures", "optimizers", "remedies", "schedules", "tasks", "training")
    ),
)
"""The packages and modules of ours that a training computes with. What only reads results is none of them."""

PACKAGES = ("torch", "numpy", "pandas", "hydra-core", "scikit-learn")


@cache
def provenance() -> dict[str, Any]:
    """Versions, the code's commit, the command line and the machine."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": _commit(Path(__file__).parent),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def _versions() -> dict[str, str]:
    """Of torch with its build, such as 2.13.0+cpu or 2.13.0+cu130, which the installed wheel's name may leave out."""
    return {**{package: version(package) for package in PACKAGES}, "torch": str(torch.__version__)}


def digest_of_source(targets: Sequence[str]) -> str:
    """A digest of the source that makes a run: ours, and the modules of its choices, which may be a user's."""
    digest = hashlib.sha256(_own_source())
    for target in targets:
        module = sys.modules.get(getattr(locate(target), "__module__", ""))
        file = getattr(module, "__file__", None)
        if file and Path(file).suffix == ".py":
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]


@cache
def _own_source() -> bytes:
    """The Python source of everything that a training computes with: `COMPUTES`."""
    root = Path(__file__).parents[2]
    files = [file for name in COMPUTES for file in sorted((root / name).rglob("*.py")) or [root / f"{name}.py"]]
    return b"".join(file.read_bytes() for file in files)


def _commit(folder: Path) -> dict[str, Any] | None:
    """The commit that the code was run from, and whether it was changed since; None outside a checkout."""
    try:
        commit, *changes = _git(folder, "rev-parse", "HEAD") + _git(
            folder, "status", "--porcelain", "--untracked-files=no"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "modified": bool(changes)}


def _git(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=5)
    return done.stdout.splitlines()


def _processor() -> str:
    """The processor's model, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
