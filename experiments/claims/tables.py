"""The tables of verdicts: claims.csv, and Markdown with a row for each claim and its numbers below."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

from experiments.claims.evaluation import EvaluatedClaim
from experiments.errors import UsageError
from experiments.store.files import write_whole
from experiments.wording import counted

BEGIN, END = "<!-- claims: made by `bptt reproduce --markdown` -->", "<!-- /claims -->"
"""The lines of a Markdown file between which the table of claims is inserted."""

PLACE = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


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
                "seeds": one.seeds,
                "other_seeds": one.on_other_seeds,
                "registered": one.registered,
            }
            for one in evaluated
            for quantity in one.quantities
        ],
        dtype=object,
    )


def count_verdicts(evaluated: Sequence[EvaluatedClaim]) -> str:
    """Count the claims by verdict, the most frequent one first: '4 claims: 3 hold, 1 undecided'."""
    plural = {"holds": "hold", "does not hold here": "do not hold here"}
    counts = Counter(one.verdict for one in evaluated).most_common()
    words = [f"{number} {verdict if number == 1 else plural.get(verdict, verdict)}" for verdict, number in counts]
    return f"{counted(len(evaluated), 'claim')}: {', '.join(words)}"


def markdown_table(evaluated: Sequence[EvaluatedClaim], figures: str) -> str:
    """Format the claims in Markdown: a table with a row for each, and below it the numbers of each claim.

    Args:
        evaluated: Evaluated claims, in the order of the rows.
        figures: Path of the folder with the claims' figures, for links.
    """
    compared = any(one.others for one in evaluated)
    headings = ["verdict", "claim", "holds on its null", *(["other seeds"] if compared else [])]
    lines = [_row(headings), _row(["---"] * len(headings))]
    for one in evaluated:
        null = ", ".join(map(str, one.nulls)) or "none"
        others = [one.on_other_seeds] if compared else []
        lines.append(_row([f"[{one.verdict}](#{one.claim.name})", one.claim.statement, null, *others]))
    for study, claims in groupby(evaluated, lambda one: one.study.name):
        lines += ["", f"### {study}"]
        for one in claims:
            lines += _section(one, figures)
    return "\n".join(lines) + "\n"


def _section(one: EvaluatedClaim, figures: str) -> Iterator[str]:
    """The lines on one claim: its verdict, and what it was decided by in a part that is closed at first."""
    claim = one.claim
    yield from ("", f"#### {claim.name}", "", f"**{one.verdict}**: {claim.statement} ({claim.source})", "")
    yield from ("<details><summary>Prediction, numbers, figure</summary>", "")
    yield from (f"* {word}: {text}" for word, text in one.in_words().items())
    yield from ("", _row(["quantity", "predicted", "measured", "as predicted"]), _row(["---"] * 4))
    for quantity in one.quantities:
        yield _row([quantity.what, quantity.predicted, quantity.measured, quantity.verdict])
    if claim.remark:
        yield from ("", claim.remark)
    if claim.figure and one.runs:
        yield from ("", f"![{claim.statement}]({figures}/{claim.name}.png)")
    yield from ("", "</details>")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


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
