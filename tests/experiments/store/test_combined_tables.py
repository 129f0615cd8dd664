"""Reading the CSV files of many runs as one table."""

import numpy as np
import pandas as pd
import pytest

from experiments.errors import UsageError
from experiments.store.combined_tables import read_combined_table
from experiments.store.csv_columns import COLUMNS
from experiments.store.studies import Run


@pytest.fixture
def runs(tmp_path):
    """Write runs whose CSV files have these texts."""

    def write(*texts, name="gradients"):
        found = []
        for i, text in enumerate(texts):
            folder = tmp_path / f"run{i}"
            folder.mkdir()
            if text is not None:
                (folder / f"{name}.csv").write_text(text)
            found.append(Run(folder, {}, {}))
        return found

    return write


def text_of(name, **columns):
    """The text of a table in which all other columns are empty."""
    return pd.DataFrame(columns).reindex(columns=COLUMNS[name]).to_csv(index=False)


def test_tables_stand_one_below_the_other_with_what_is_known_of_each_run(runs):
    first = text_of("gradients", step=[1, 2], state=["h", "h"], grad_norm=[0.5, float("nan")])
    third = text_of("gradients", step=[1], state=["c"], grad_norm=[2]) + "7,0,c"
    table = read_combined_table(runs(first, None, third), "gradients", {"gain": [0.5, 1.0, 1.5]})
    expected = {"step": [1, 2, 1], "state": ["h", "h", "c"], "grad_norm": [0.5, float("nan"), 2.0]}
    expected |= {"run_id": ["run0", "run0", "run2"], "gain": [0.5, 0.5, 1.5]}
    pd.testing.assert_frame_equal(
        table[list(expected)], pd.DataFrame(expected), check_dtype=False, check_categorical=False
    )


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([1, 1, 10, 10, 100, 100], [1, 1, 100, 100]),
        ([1, 11, 111], [1, 111]),
        ([10, 1000, 1001, 100], [10, 100]),
        ([1, 1, 10], [1, 1, 10]),
        ([3, 3], [3, 3]),
        ([5], [5]),
    ],
)
def test_the_ends_are_the_rows_of_the_first_and_the_last_step(runs, steps, kept):
    text = text_of("gradients", step=steps, lag=range(len(steps)))
    table = read_combined_table(runs(text, text), "gradients", ends=True)
    assert list(table["step"]) == kept * 2
    assert list(table["lag"]) == [i for i, step in enumerate(steps) if step in (kept[0], kept[-1])] * 2


def test_a_table_without_steps_has_no_ends(runs):
    text = text_of("jacobian", layer=[0, 0, 0], lag=[1, 2, 3])
    assert len(read_combined_table(runs(text, name="jacobian"), "jacobian", ends=True)) == 3


@pytest.mark.parametrize("rest", ["", "1,0,h", "1,0,h,5,0,99999999999999999999\n"])
def test_a_table_that_has_only_begun_is_none_and_a_number_may_be_large(runs, rest):
    found = runs(text_of("gradients") + rest)
    rows = rest.count("\n")
    assert len(read_combined_table(found, "gradients")) == len(found[0].table("gradients")) == rows


def test_a_column_that_was_added_later_may_be_missing(runs):
    text = text_of("evaluation", step=[1], error=[0.5]).replace(",samples", "").replace(",\n", "\n")
    found = runs(text, text_of("evaluation", step=[1], samples=[7]), name="evaluation")
    assert read_combined_table(found, "evaluation")["samples"].tolist() == pytest.approx([np.nan, 7], nan_ok=True)
    assert found[0].table("evaluation")["samples"].isna().all()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text + "1,0,h,5,4,0.5,0,,8\n", "Expected 8 fields in line 4, saw 9"),
        (lambda text: text.replace("0.5", "0,5"), "Expected 8 fields in line 3, saw 9"),
        (lambda text: text.replace("0.5", "half"), "grad_norm is half in row 2"),
        (lambda text: text.replace("lag,", "delay,"), "it has no column lag"),
    ],
)
def test_a_damaged_file_is_named(runs, damage, said):
    text = text_of("gradients", step=[1, 1], state=["h", "h"], lag=[0, 1], grad_norm=[float("inf"), 0.5])
    found = runs(text, damage(text), text)
    for read in (lambda: read_combined_table(found, "gradients"), lambda: found[1].table("gradients")):
        with pytest.raises(UsageError, match=rf"run1/gradients\.csv: is not a CSV file of a run: .*{said}"):
            read()


def test_a_table_of_the_users_own_measure_has_the_columns_that_its_header_says(runs):
    """Written by a measure of the user's own, and read like any other table."""
    found = runs(
        "step,layer,name,rank,note\n1,0,W,3.5,\n2,0,U,4,\n",
        None,
        "step,layer,name,rank,note\n1,1,V,,odd\n9,1,un",
        "step,other\n1,2\n",
        name="ranks",
    )
    table = read_combined_table(found, "ranks", {"gain": [1.0, 2.0, 3.0, 4.0]})
    assert list(table) == ["step", "layer", "name", "rank", "note", "other", "run_id", "gain"]
    assert table["run_id"].tolist() == ["run0", "run0", "run2", "run3"]
    assert table["gain"].tolist() == [1.0, 1.0, 3.0, 4.0]
    for words in ("name", "note", "run_id"):
        assert isinstance(table[words].dtype, pd.CategoricalDtype)
    assert table["name"].tolist()[:3] == ["W", "U", "V"]
    assert table["note"].tolist()[2] == "odd"
    np.testing.assert_array_equal(table["rank"], [3.5, 4, np.nan, np.nan])
    assert found[0].table("ranks")["rank"].tolist() == [3.5, 4.0]
    assert found[1].table("ranks").empty
    assert read_combined_table(found, "ranks")["step"].tolist() == [1, 2, 1, 1]
