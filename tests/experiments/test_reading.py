"""Many runs' CSV files as one table."""

import pandas as pd
import pytest

from experiments.errors import UsageError
from experiments.reading import read_tables
from experiments.study import Run


@pytest.fixture
def runs(tmp_path):
    """Runs with a table of these texts."""

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


def test_tables_stand_one_below_the_other_with_what_is_known_of_each_run(runs):
    texts = ["step,state,grad_norm\n1,h,0.5\n2,h,nan\n", None, "step,state,grad_norm\n1,c,2\n7,c"]
    table = read_tables(runs(*texts), "gradients", {"gain": [0.5, 1.0, 1.5]})
    expected = {"step": [1, 2, 1], "state": ["h", "h", "c"], "grad_norm": [0.5, float("nan"), 2.0]}
    expected |= {"run_id": ["run0", "run0", "run2"], "gain": [0.5, 0.5, 1.5]}
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected), check_dtype=False, check_categorical=False)


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
    text = "step,lag\n" + "".join(f"{step},{i}\n" for i, step in enumerate(steps))
    table = read_tables(runs(text, text), "gradients", ends=True)
    assert list(table["step"]) == kept * 2
    assert list(table["lag"]) == [i for i, step in enumerate(steps) if step in (kept[0], kept[-1])] * 2


def test_a_table_without_steps_has_no_ends(runs):
    assert len(read_tables(runs("layer,lag\n0,1\n0,2\n0,3\n", name="jacobian"), "jacobian", ends=True)) == 3


def test_a_damaged_file_is_named(runs):
    found = runs("step,lag\n1,2\n", "step,lag\n1,2\n1,2,3,4\n")
    with pytest.raises(UsageError, match=r"run1/gradients\.csv: is not a CSV file of a run"):
        read_tables(found, "gradients")
