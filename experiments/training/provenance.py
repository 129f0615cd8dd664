"""The provenance of a result: versions, source code, command and machine, as recorded in run.json."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from experiments.store.integrity import describe_inputs
from models.address import locate

if TYPE_CHECKING:
    from experiments.config.schema import Config

COMPUTES = (
    "models",
    *(
        f"experiments/{name}"
        for name in (
            *("clipping", "config", "measures", "nonfinite", "optimizers", "remedies", "schedules", "tasks"),
            "training",
        )
    ),
)
"""Our packages and modules that a training computes with, without those that only read results."""

PACKAGES = ("torch", "numpy", "pandas", "hydra-core", "scikit-learn")


@cache
def provenance() -> dict[str, Any]:
    """The command line, the commit of the code, the versions of packages and the machine."""
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
    """Versions of packages; torch's includes its build, such as 2.13.0+cu130, which package metadata may leave out."""
    return {**{package: version(package) for package in PACKAGES}, "torch": str(torch.__version__)}


def code_version(config: "Config") -> dict[str, Any]:
    """Versions of packages, digests of the source code and of the user's own files, and what is recorded.

    A run resumes from a checkpoint only if all of them are the same.
    """
    from experiments.training.user_files import chosen_targets, user_files  # needs Hydra, unlike the rest

    files = describe_inputs(user_files(config))
    return {
        "versions": provenance()["versions"],
        "source": digest_of_source(chosen_targets(config)),
        "made_from": {name: used["digest"] for name, used in files.items()},
        "record": config.record.model_dump(),
    }


def digest_of_source(targets: Sequence[str]) -> str:
    """A digest of the source code of a run: our own, and the modules of its choices, which may be the user's.

    Args:
        targets: Addresses of the classes and functions that the run uses, as in `_target_`.
    """
    digest = hashlib.sha256(own_source())
    for target in targets:
        module = sys.modules.get(getattr(locate(target), "__module__", ""))
        file = getattr(module, "__file__", None)
        if file and Path(file).suffix == ".py":
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]


@cache
def own_source(root: Path = Path(__file__).parents[2]) -> bytes:
    """The Python source of all of `COMPUTES`, in a checkout or in the folder of the installed packages."""
    files = [file for name in COMPUTES for file in sorted((root / name).rglob("*.py")) or [root / f"{name}.py"]]
    return b"".join(file.read_bytes() for file in files)


def _commit(folder: Path) -> dict[str, Any] | None:
    """The commit of the code and whether tracked files are modified; None outside a git checkout."""
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
    """The processor's model name, or what `platform` knows if the system does not provide it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
