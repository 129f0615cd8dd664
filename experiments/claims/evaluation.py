"""Evaluating claims on the runs of a study, and the tables of verdicts in CSV and Markdown."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.claim import Claim
from experiments.claims.null import Null
from experiments.claims.quantity import Quantity
from experiments.claims.verdict import Verdict, combine_verdicts
from experiments.errors import UsageError
from experiments.store.files import write_whole
from experiments.store.status import FINISHED
from experiments.store.studies import Run, damage_report, read_runs

BEGIN, END = "<!-- claims: made by `bptt reproduce --markdown` -->", "<!-- /claims -->"
"""The lines of a Markdown file between which the table of claims is inserted."""

PLACE = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


NULL_DRAWS = 10
"""Number of draws of a null version."""


class NullOutcome(NamedTuple):
    """What became of a claim on a null version of its tables.

    Attributes:
        what: What was done to the tables, such as 'cell shuffled'.
        holds: Number of draws on which the claim holds.
        draws: Number of draws.
    """

    what: str
    holds: int
    draws: int

    def __str__(self) -> str:
        return f"{self.holds} of {self.draws}"


class EvaluatedClaim(NamedTuple):
    """A claim with what was measured on the runs of a study.

    Attributes:
        study: Folder of the study.
        claim: The claim.
        quantities: Measured quantities.
        runs: Runs that they were measured on.
        damage_report: Lines that name the damaged runs; empty if none is.
        nulls: What became of it on each of its null versions.
    """

    study: Path
    claim: Claim
    quantities: Sequence[Quantity]
    runs: Sequence[Run]
    damage_report: Sequence[str] = ()
    nulls: Sequence[NullOutcome] = ()

    @property
    def verdict(self) -> Verdict:
        return combine_verdicts([quantity.verdict for quantity in self.quantities])

    @property
    def fault(self) -> str:
        """The sentence that says that the claim holds on a null version, too; empty if it does not."""
        if found := [f"{null.what}: {null} draws" for null in self.nulls if null.holds]:
            return f"{self.claim.name} holds on its null, too, so it cannot fail ({'; '.join(found)})"
        return ""


def evaluate_claims(
    study: Path, run_ids: Collection[str], claims: Sequence[Claim], null_draws: int = NULL_DRAWS
) -> list[EvaluatedClaim]:
    """Evaluate claims on the finished runs listed in `run_ids`.

    Args:
        study: Folder of the study.
        run_ids: Ids of the planned runs; other runs in the folder are ignored.
        claims: Claims to evaluate.
        null_draws: Number of draws of each null version.
    """
    wanted = set(run_ids)
    of_study = read_runs(study)
    runs = [run for run in of_study if run.id in wanted and run.info["status"] in FINISHED]
    damaged = damage_report([one for one in of_study.damaged if one.folder.name in wanted], len(wanted))
    tables = RunTables(runs)
    measured = [list(claim.measure(tables)) if runs else [] for claim in claims]
    nulls = evaluate_nulls(tables, claims, null_draws) if runs else [()] * len(claims)
    return [
        EvaluatedClaim(study, claim, quantities, runs, damaged, outcomes)
        for claim, quantities, outcomes in zip(claims, measured, nulls, strict=True)
    ]


def evaluate_nulls(tables: RunTables, claims: Sequence[Claim], draws: int) -> list[tuple[NullOutcome, ...]]:
    """Evaluate claims on draws of their null versions; claims with the same null share its draws.

    Args:
        tables: Tables of a study's runs.
        claims: Claims to evaluate.
        draws: Number of draws of each null version; they are the same at each call.

    Returns:
        The outcomes of each claim, in the order of its null versions.

    Raises:
        UsageError: The tables lack what a null version names.
    """
    holds: Counter[tuple[str, Null]] = Counter()
    for null in dict.fromkeys(null for claim in claims for null in claim.nulls):
        for number in range(draws):
            drawn = null.draw(tables, np.random.default_rng(number))
            for claim in claims:
                if null in claim.nulls:
                    with np.errstate(all="ignore"):
                        verdict = combine_verdicts([quantity.verdict for quantity in claim.measure(drawn)])
                    holds[claim.name, null] += verdict == "holds"
    return [tuple(NullOutcome(null.what, holds[claim.name, null], draws) for null in claim.nulls) for claim in claims]


def claims_table(evaluated: Sequence[EvaluatedClaim]) -> pd.DataFrame:
    """Build claims.csv: a row for each quantity of each claim."""
    return pd.DataFrame(
        [
            {
                "study": one.study.name,
                "claim": one.claim.name,
                "verdict": one.verdict,
                "quantity": quantity.what,
                "low": quantity.low,
                "measured": quantity.middle,
                "high": quantity.high,
                "over": quantity.over,
                "at_least": quantity.at_least,
                "at_most": quantity.at_most,
                "as_predicted": quantity.verdict,
                "null": "; ".join(null.what for null in one.nulls),
                "null_holds": "; ".join(map(str, one.nulls)),
            }
            for one in evaluated
            for quantity in one.quantities
        ],
        dtype=object,
    )


def count_verdicts(evaluated: Sequence[EvaluatedClaim]) -> dict[Verdict, int]:
    """Count the claims by verdict, the most frequent one first."""
    return dict(Counter(one.verdict for one in evaluated).most_common())


def markdown_table(evaluated: Sequence[EvaluatedClaim], figures: str) -> str:
    """Format the table of claims in Markdown.

    Args:
        evaluated: Evaluated claims, in the order of the rows.
        figures: Path of the folder with the claims' figures, for links.
    """
    lines = ["| claim | predicted | measured | verdict |", "| --- | --- | --- | --- |"]
    for one in evaluated:
        claim = one.claim
        statement = f"**{one.study.name}**: {claim.statement} ({claim.source})"
        measured = [f"{quantity.what}: {quantity.measured}" for quantity in one.quantities] or ["no runs"]
        verdict = f"[{one.verdict}]({figures}/{claim.name}.png)" if claim.figure and one.runs else one.verdict
        rest = "<br>".join([*measured, claim.remark] if claim.remark else measured)
        lines.append(f"| {statement} | {claim.prediction} | {rest} | {verdict} |")
    return "\n".join(lines) + "\n"


def insert_table(page: Path, table: str) -> None:
    """Replace the table between the lines `BEGIN` and `END` of a Markdown file.

    Raises:
        UsageError: The file cannot be read, or has no such lines.
    """
    text = read_page(page)
    write_whole(page, PLACE.sub(lambda _: f"\n{table}\n", text))


def read_page(page: Path) -> str:
    """Read a Markdown file, and check that it has the lines `BEGIN` and `END`.

    Raises:
        UsageError: The file cannot be read, or has no such lines.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--markdown {page}: {error.strerror}") from None
    if not PLACE.search(text):
        raise UsageError(f"--markdown {page}: has no lines '{BEGIN}' and '{END}'; add them where the table should be")
    return text
