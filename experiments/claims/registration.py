"""Registering claims: which commit fixed what decides each verdict, before the verdict seeds were run.

What decides is the code of the claim's module and the study's configuration, without words, figures and comments. Its
fingerprint stands in registered.csv, which `make register` writes from the last commit. A claim whose fingerprint has
changed since then says so in claims.csv.
"""

import ast
import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from experiments.catalogue.choices import CONF, choices, claims_of_studies
from experiments.claims import published
from experiments.claims.claim import NAMES
from experiments.errors import UsageError
from experiments.store.files import write_whole

WORDS = ("STATEMENT", "SOURCE", "PREDICTION", "REFUTED_BY", "CONTROL", "REMARK", "FIGURE", "VIEW", "KIND")
"""Constants of a claim that decide nothing: they are words, or say how to draw."""

OTHER_SCALES = ("tuning", "paper")
"""Scales of a study that the verdicts do not come from."""

ROOT = CONF.parent
PUBLISHED = published.__name__
REGISTERED = ROOT / "experiments/claims/registered.csv"

Read = Callable[[str], str]
"""Function that reads a file of ours, by its path in the repository."""


class Registered(NamedTuple):
    """A row of registered.csv.

    Attributes:
        claim: Name of the claim.
        fingerprint: Fingerprint of what decides its verdict.
        commit: Commit that has it.
        date: Day of that commit.
    """

    claim: str
    fingerprint: str
    commit: str
    date: str


def read_ours(path: str) -> str:
    """Read a file of the working tree."""
    return (ROOT / path).read_text(encoding="utf-8")


def fingerprint(claim: str, study: str, read: Read = read_ours) -> str:
    """Compute the fingerprint of what decides the verdict on one of our claims: twelve digits of a SHA-256.

    Args:
        claim: Name of the claim.
        study: Path of the study's YAML file.
        read: Function that reads a file by its path.
    """
    setting = yaml.safe_load(read(study))
    setting.pop("claims", None)  # a further claim changes nothing for this one
    setting["scales"] = {key: grid for key, grid in setting.get("scales", {}).items() if key not in OTHER_SCALES}
    code = _modules(claim, read)
    deciding = [*sorted(code.items()), json.dumps(setting, sort_keys=True)]
    return hashlib.sha256(repr(deciding).encode()).hexdigest()[:12]


def _modules(claim: str, read: Read) -> dict[str, Any]:
    """What decides in the module of a claim, and in those modules of claims that it imports, by name."""
    found: dict[str, Any] = {}
    names = [claim]
    for name in names:
        module = ast.parse(read(f"{PUBLISHED.replace('.', '/')}/{name}.py"))
        found[name] = _canonical(module)
        names += dict.fromkeys(other for other in _imported_claims(module) if other not in names)
    return found


def _imported_claims(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            paths = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            paths = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for path in paths if (name := path.removeprefix(f"{PUBLISHED}.")) in NAMES and name != path)


def _canonical(node: Any) -> Any:
    """A syntax tree as nested tuples without docstrings and words; the same in all versions of Python."""
    if isinstance(node, list):
        return tuple(_canonical(item) for item in node if not _only_words(item))
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return type(node).__name__, *((name, _canonical(value)) for name, value in fields)


def _only_words(node: Any) -> bool:
    """Whether a statement is a docstring, or an assignment to constants of `WORDS` alone."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if not isinstance(node, ast.Assign):
        return False
    names = {one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return names <= set(WORDS)


def registered_claims() -> dict[str, Registered]:
    """Read registered.csv: its rows by the name of the claim."""
    return {row["claim"]: Registered(**row) for row in csv.DictReader(io.StringIO(read_ours(str(REGISTERED))))}


def registration(claim: str, study: Path, overrides: Sequence[str] = ()) -> str:
    """Say which commit fixed what decides the verdict on a claim.

    Args:
        claim: Name of the claim.
        study: The study's YAML file.
        overrides: Settings for all runs of the study, as KEY=VALUE.

    Returns:
        The commit, 'changed since COMMIT', or 'COMMIT, but with KEY=VALUE'; empty for a claim that is not registered.
    """
    if (row := registered_claims().get(claim)) is None:
        return ""
    if fingerprint(claim, str(study)) != row.fingerprint:
        return f"changed since {row.commit}"
    other = [override for override in overrides if not override.startswith(("results_dir=", "hydra"))]
    return f"{row.commit}, but with {' '.join(other)}" if other else row.commit


def register() -> list[str]:
    """Write registered.csv: the last commit for each claim that is new or has changed; others keep their row.

    Returns:
        Names of the claims that are registered anew.

    Raises:
        UsageError: What decides a verdict has changes that are not committed.
    """
    commit, date = _git("show", "--no-patch", "--format=%h %cs", "--abbrev=10", "HEAD").split()
    known, rows = registered_claims(), []
    for study, claims in claims_of_studies().items():
        path = choices("study")[study].relative_to(ROOT).as_posix()
        for claim in claims:
            now = fingerprint(claim, path)
            if now != committed_fingerprint(claim, path, commit):
                raise UsageError(f"{claim}: its module or {path} differs from commit {commit}; commit the change first")
            old = known.get(claim)
            rows.append(old if old and old.fingerprint == now else Registered(claim, now, commit, date))
    lines = [Registered._fields, *sorted(rows)]
    write_whole(REGISTERED, "".join(f"{','.join(line)}\n" for line in lines))
    return [row.claim for row in rows if known.get(row.claim) != row]


def committed_fingerprint(claim: str, study: str, commit: str) -> str:
    """Compute the fingerprint at a commit; empty if the files are not there.

    Raises:
        UsageError: This is no git repository.
    """
    try:
        return fingerprint(claim, study, lambda path: _git("show", f"{commit}:{path}"))
    except UsageError:
        _git("rev-parse", commit)
        return ""


def _git(*arguments: str) -> str:
    run = partial(subprocess.run, capture_output=True, text=True, encoding="utf-8", check=False)
    try:
        done = run(["git", "-C", str(ROOT), *arguments])
    except OSError as error:
        raise UsageError(f"git: {error.strerror}") from None
    if done.returncode:
        raise UsageError(f"git {arguments[0]}: {done.stderr.strip()}")
    return str(done.stdout)


if __name__ == "__main__":
    try:
        anew = register()
    except UsageError as wrong:
        sys.exit(str(wrong))
    print(f"registered anew: {', '.join(anew) or 'none'}; commit {REGISTERED.relative_to(ROOT)}")
