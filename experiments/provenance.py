"""Where a result comes from: what has to be the same for the same numbers to come out again."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "pandas", "hydra-core", "scikit-learn")


def provenance() -> dict[str, Any]:
    """Versions, the code's commit, the command line and the machine."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": _commit(Path(__file__).parent),
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


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
