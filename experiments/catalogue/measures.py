"""The measures there are and the columns of their CSV files, read from their source without importing torch."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

from experiments.catalogue.figures import modules_in, parse
from experiments.errors import UsageError

FOLDER = Path(__file__).parent.parent / "measures"

TAKEN = (
    *("metrics", "evaluation", "jacobian", "lyapunov", "summary", "states", "claims"),
    *("every", "windows", "evaluate_every", "evaluate_samples", "lag_samples", "tensorboard"),
    *("spike_limit", "spike_batches"),
)
"""Names of bptt's other CSV files and of the other keys in `record`."""


class Columns(NamedTuple):
    """The columns of a measure's CSV file.

    Attributes:
        names: All columns in their order.
        words: Those that hold words; all others hold numbers.
    """

    names: tuple[str, ...]
    words: tuple[str, ...]


def measures(config_dir: Path | None = None) -> dict[str, Path]:
    """The module of each measure by name; the user's own, from the folder `measure`, come after ours.

    Raises:
        UsageError: A measure of the user's own has a name that is taken.
    """
    ours = {path.stem: path for path in modules_in(FOLDER) if path.stem != "measure"}
    own = {} if config_dir is None else {path.stem: path for path in modules_in(config_dir / "measure")}
    for name in own.keys() & {*ours, *TAKEN}:
        raise UsageError(f"{own[name]}: {name} is a name of bptt's own, so yours needs another one")
    return ours | own


@cache
def columns_of(path: Path) -> Columns:
    """The columns that a measure's class declares; empty if it declares none."""
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
                if isinstance(target, ast.Name) and target.id in ("columns", "words"):
                    found[target.id] = ast.literal_eval(line.value)  # type: ignore[attr-defined]
    return Columns(found.get("columns", ()), found.get("words", ()))
