"""The seeds of verdicts in words, and the comparison with verdicts on other seeds."""

import pytest

from experiments.claims.claim import Claim
from experiments.claims.evaluation import EvaluatedClaim
from experiments.claims.quantity import everywhere
from experiments.claims.seeds import OtherSeeds, read_other_seeds, read_seeds, seeds_in_words
from experiments.claims.tables import claims_table, count_verdicts, markdown_table
from experiments.errors import UsageError
from experiments.store.files import to_csv
from experiments.store.studies import Run

QUANTITIES = {
    "holds": everywhere("x|y", [1], at_least=0),
    "undecided": everywhere("x|y", [float("nan")], at_least=0),
    "does not hold here": everywhere("x|y", [-1], at_least=0),
}


def judged(tmp_path, verdict, seeds, name="mine", **more):
    runs = [Run(tmp_path, {"seed": seed}, {}) for seed in seeds]
    claim = Claim(name, "I claim", "me", "x is positive", list, refuted_by="a negative x", control="y")
    return EvaluatedClaim(tmp_path / "study", claim, [QUANTITIES[verdict]], runs, **more)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([3], "3"), ([], ""), (range(100, 120), "100 to 119"), ([7, 0, 2, 1, 9, 10], "0 to 2, 7, 9 to 10")],
)
def test_seeds_are_named_as_ranges_and_read_again(seeds, words):
    assert seeds_in_words([*seeds, *seeds]) == words
    assert read_seeds(words) == set(seeds)


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ("holds", "holds", "same on 5 other seeds"),
        ("holds", "undecided", "fragile: undecided on 5 other seeds"),
        ("does not hold here", "holds", "fragile: holds on 5 other seeds"),
    ],
)
def test_a_verdict_is_fragile_if_it_is_another_one_on_other_seeds(tmp_path, here, there, said):
    file = tmp_path / "claims.csv"
    file.write_text(to_csv(claims_table([judged(tmp_path, there, range(200, 205))])))
    others = read_other_seeds(file, range(100, 120))
    assert others == {"mine": OtherSeeds(there, frozenset(range(200, 205)))}
    one = judged(tmp_path, here, range(100, 120), others=others["mine"])
    assert one.on_other_seeds == said
    assert claims_table([one])["other_seeds"].tolist() == [said]
    assert one.in_words()["Seeds"] == f"100 to 119; {said}"
    assert f"| [{here}](#mine) | I claim | none | {said} |" in markdown_table([one], "figures")


def test_without_other_seeds_the_table_has_no_column_for_them(tmp_path):
    one = judged(tmp_path, "holds", [1])
    assert claims_table([one])["other_seeds"].tolist() == [""]
    text = markdown_table([one], "figures")
    assert text.startswith("| verdict | claim | holds on its null |\n")
    assert "| x&#124;y | at least 0 | 1 | holds |\n" in text
    for line in ("* Predicted: x is positive", "* Would refute it: a negative x", "* Control: y", "* Seeds: 1"):
        assert f"{line}\n" in text
    assert "Kind" not in text


def test_a_file_with_the_same_seeds_is_refused(tmp_path):
    file = tmp_path / "other.csv"
    file.write_text(to_csv(claims_table([judged(tmp_path, "holds", range(100, 103))])))
    with pytest.raises(UsageError, match="seeds 101 to 102 are among these runs, too"):
        read_other_seeds(file, [101, 102, 103])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("claim,verdict\n", "has no column seeds; give the claims.csv of a `bptt reproduce`"),
        ("claim,verdict,seeds\nmine,maybe,1 to 2\n", "mine: verdict=maybe: must be one of holds, does not"),
        ('"', "is not a CSV file: "),
        ("", "is not a CSV file: "),
        (b"\xff\xfe\n", "is not a text file"),
    ],
)
def test_what_is_no_table_of_claims_is_refused_in_one_line(tmp_path, content, said):
    file = tmp_path / "other.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=rf"^--against .*other.csv: {said}") as error:
        read_other_seeds(file, [1])
    assert "\n" not in str(error.value)


def test_verdicts_are_counted_in_words(tmp_path):
    verdicts = ("holds", "holds", "does not hold here", "does not hold here", "does not hold here", "undecided")
    assert count_verdicts([judged(tmp_path, verdict, [1]) for verdict in verdicts]) == (
        "6 claims: 3 do not hold here, 2 hold, 1 undecided"
    )
    assert count_verdicts([judged(tmp_path, "does not hold here", [1])]) == "1 claim: 1 does not hold here"
