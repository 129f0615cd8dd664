"""Claims held against the runs of a study: verdicts, and the table of them. Reads CSV files only."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.claim import Claim
from experiments.claims.quantity import Quantity, Verdict, combined_verdict
from experiments.errors import UsageError
from experiments.store.files import write_whole
from experiments.store.studies import Run, left_out, read_runs

BEGIN, END = "<!-- claims: made by `bptt reproduce --markdown` -->", "<!-- /claims -->"
"""Between these two lines of a Markdown file stands the table."""

PLACE = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


class Judged(NamedTuple):
    """A claim held against the runs of a study.

    Attributes:
        study: its folder.
        claim: what is claimed.
        quantities: what was measured.
        runs: that it was measured on.
        left_out: Lines that name the damaged runs; empty if none is.
    """

    study: Path
    claim: Claim
    quantities: Sequence[Quantity]
    runs: Sequence[Run]
    left_out: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        return combined_verdict(self.quantities)


def judge(study: Path, run_ids: Collection[str], claims: Sequence[Claim]) -> list[Judged]:
    """Hold claims against those runs of a study that are among some and came to an end.

    Args:
        study: its folder.
        run_ids: of the runs that were planned; what else lies in the folder does not count.
        claims: to hold against them.
    """
    wanted = set(run_ids)
    of_study = read_runs(study)
    runs = [run for run in of_study if run.id in wanted and run.info["status"] in ("completed", "diverged")]
    lines = left_out([damaged for damaged in of_study.damaged if damaged.folder.name in wanted], len(wanted))
    tables = RunTables(runs)
    return [Judged(study, claim, list(claim.measure(tables)) if runs else [], runs, lines) for claim in claims]


def table_of(judged: Sequence[Judged]) -> pd.DataFrame:
    """claims.csv: a row for each quantity of each claim."""
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
            }
            for one in judged
            for quantity in one.quantities
        ],
        dtype=object,
    )


def counts(judged: Sequence[Judged]) -> dict[Verdict, int]:
    """How many claims got which verdict."""
    return dict(Counter(one.verdict for one in judged).most_common())


def markdown(judged: Sequence[Judged], figures: str) -> str:
    """The table of claims.

    Args:
        judged: in the order of the rows.
        figures: the path to the folder with the claims' figures, for links.
    """
    lines = ["| claim | predicted | measured | verdict |", "| --- | --- | --- | --- |"]
    for one in judged:
        claim = one.claim
        statement = f"**{one.study.name}**: {claim.statement} ({claim.source})"
        measured = [f"{quantity.what}: {quantity.measured}" for quantity in one.quantities] or ["no runs"]
        verdict = f"[{one.verdict}]({figures}/{claim.name}.png)" if claim.figure and one.runs else one.verdict
        rest = "<br>".join([*measured, claim.remark] if claim.remark else measured)
        lines.append(f"| {statement} | {claim.prediction} | {rest} | {verdict} |")
    return "\n".join(lines) + "\n"


def put_into(page: Path, table: str) -> None:
    """Put the table of claims into a Markdown file, in place of the one between `BEGIN` and `END`.

    Raises:
        UsageError: the file has no such lines.
    """
    text = check_place(page)
    write_whole(page, PLACE.sub(lambda _: f"\n{table}\n", text))


def check_place(page: Path) -> str:
    """The text of a Markdown file, if it has a place for the table.

    Raises:
        UsageError: it has not.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--markdown {page}: {error.strerror}") from None
    if not PLACE.search(text):
        raise UsageError(f"--markdown {page}: has no lines '{BEGIN}' and '{END}' for the table to stand between")
    return text
