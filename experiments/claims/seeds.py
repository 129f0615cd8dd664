"""The seeds of verdicts, in words, and the verdicts that the same claims have on other seeds."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, get_args

from experiments.claims.verdict import Verdict
from experiments.errors import UsageError
from experiments.store.files import read_csv


class OtherSeeds(NamedTuple):
    """The verdict on a claim on other seeds.

    Attributes:
        verdict: The verdict.
        seeds: The seeds.
    """

    verdict: Verdict
    seeds: frozenset[int]


def seeds_in_words(seeds: Iterable[int]) -> str:
    """Name seeds as ranges: '100 to 119', or '0 to 2, 7'."""
    ranges: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1][1:] = [seed]
        else:
            ranges.append([seed])
    return ", ".join(" to ".join(map(str, ends)) for ends in ranges)


def read_seeds(words: str) -> frozenset[int]:
    """Read what `seeds_in_words` wrote."""
    ends = re.findall(r"(\d+)(?: to (\d+))?", words)
    return frozenset(seed for low, high in ends for seed in range(int(low), int(high or low) + 1))


def read_other_seeds(path: Path, seeds: Iterable[int]) -> dict[str, OtherSeeds]:
    """Read the verdicts on other seeds from a claims.csv, by the name of the claim.

    Args:
        path: Path of the file.
        seeds: Seeds of the verdicts that are compared with them.

    Raises:
        UsageError: The file cannot be read, is no claims.csv of this version, or has one of these seeds.
    """
    try:
        table = read_csv(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--against {path}: {getattr(error, 'strerror', 'is not a text file')}") from None
    except ValueError as error:
        raise UsageError(f"--against {path}: is not a CSV file: {error}") from None
    if missing := {"claim", "verdict", "seeds"} - set(table):
        raise UsageError(f"--against {path}: has no column {min(missing)}; give the claims.csv of a `bptt reproduce`")
    rows: Mapping[str, tuple[Verdict, str]] = {
        str(name): (rows["verdict"].iloc[0], str(rows["seeds"].iloc[0]))
        for name, rows in table.groupby("claim", sort=False)
    }
    others = {name: OtherSeeds(verdict, read_seeds(words)) for name, (verdict, words) in rows.items()}
    for name, other in others.items():
        if other.verdict not in (verdicts := get_args(Verdict)):
            raise UsageError(f"--against {path}: {name}: verdict={other.verdict}: must be one of {', '.join(verdicts)}")
    theirs: frozenset[int] = frozenset().union(*(other.seeds for other in others.values()))
    if common := theirs.intersection(seeds):
        shared = seeds_in_words(common)
        raise UsageError(f"--against {path}: seeds {shared} are among these runs, too; give a claims.csv of others")
    return others
