"""Evaluating claims on the runs of a study, and on null versions of their data."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.analysis.run_tables import RunTables
from experiments.claims.claim import Claim
from experiments.claims.null import Null
from experiments.claims.quantity import Quantity
from experiments.claims.seeds import OtherSeeds, seeds_in_words
from experiments.claims.verdict import Verdict, combine_verdicts
from experiments.store.status import FINISHED
from experiments.store.studies import Run, damage_report, read_runs
from experiments.wording import counted

NULL_DRAWS = 10
"""Number of draws of a null version."""


class NullOutcome(NamedTuple):
    """What became of a claim on a null version of its tables.

    Attributes:
        what: What was done to the tables, such as 'cell shuffled'.
        holds: Number of draws on which the claim holds.
        draws: Number of draws on which it could be measured: noise may leave a claim without a value to compute with.
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
        registered: Commit that fixed what decides the verdict; see `registration`.
        command: Command that prints the numbers.
        others: Verdict on other seeds; None if there is nothing to compare with.
    """

    study: Path
    claim: Claim
    quantities: Sequence[Quantity]
    runs: Sequence[Run]
    damage_report: Sequence[str] = ()
    nulls: Sequence[NullOutcome] = ()
    registered: str = ""
    command: str = ""
    others: OtherSeeds | None = None

    @property
    def verdict(self) -> Verdict:
        return combine_verdicts([quantity.verdict for quantity in self.quantities])

    @property
    def seeds(self) -> str:
        """The seeds of the runs, such as '100 to 119'."""
        return seeds_in_words(int(str(run.config["seed"])) for run in self.runs)

    @property
    def on_other_seeds(self) -> str:
        """Whether the verdict is the same on other seeds: 'same on 5 other seeds', or 'fragile: undecided on ...'."""
        if self.others is None:
            return ""
        seeds = counted(len(self.others.seeds), "other seed")
        return (
            f"same on {seeds}" if self.others.verdict == self.verdict else f"fragile: {self.others.verdict} on {seeds}"
        )

    def in_words(self) -> dict[str, str]:
        """What a reader needs besides the numbers, by heading; what there is not is left out."""
        claim = self.claim
        words = {
            "Predicted": claim.prediction,
            "Would refute it": claim.refuted_by,
            "Control": claim.control,
            "Null": "; ".join(f"{null.what}: holds in {null} draws" for null in self.nulls),
            "Kind": "a check of the program, which follows from definitions" if claim.kind == "check" else "",
            "Seeds": "; ".join(filter(None, [self.seeds, self.on_other_seeds])),
            "Registered": self.registered,
            "Command": f"`{self.command}`" if self.command else "",
        }
        return {heading: text for heading, text in words.items() if text}

    @property
    def fault(self) -> str:
        """The sentence that says that the claim holds on a null version, too, or was measured on none; else empty."""
        name = self.claim.name
        if found := [f"{null.what}: {null} draws" for null in self.nulls if null.holds]:
            return f"{name} holds on its null, too, so it cannot fail ({'; '.join(found)})"
        if found := [null.what for null in self.nulls if not null.draws]:
            return f"{name} could not be measured on any draw of its null ({'; '.join(found)}); give it another NULL"
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
    outcomes: dict[tuple[str, Null], Counter[Verdict]] = {
        (claim.name, null): Counter() for claim in claims for null in claim.nulls
    }
    for null in dict.fromkeys(null for _, null in outcomes):
        for number in range(draws):
            drawn = null.draw(tables, np.random.default_rng(number))
            for claim in claims:
                if null in claim.nulls:
                    with np.errstate(all="ignore"), suppress(ArithmeticError, LookupError, ValueError):
                        verdict = combine_verdicts([quantity.verdict for quantity in claim.measure(drawn)])
                        outcomes[claim.name, null][verdict] += 1
    return [
        tuple(
            NullOutcome(null.what, verdicts["holds"], verdicts.total())
            for null in claim.nulls
            for verdicts in [outcomes[claim.name, null]]
        )
        for claim in claims
    ]
