import io
import math

import pandas as pd
import pytest

from experiments.store.csv_columns import COLUMNS
from experiments.store.csv_writer import CsvWriter, RunWriter
from experiments.store.files import read_csv, to_csv, write_whole


def test_values_come_back_as_they_were(tmp_path):
    values = [0.1, 1e-300, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3, math.inf, -math.inf]
    table = CsvWriter(tmp_path / "t.csv", ("x",))
    table.append((value,) for value in values)
    table.close()
    assert read_csv(tmp_path / "t.csv")["x"].tolist() == values


def test_a_whole_number_has_no_point_also_beside_missing_ones():
    frame = pd.DataFrame([{"a": 1, "b": 1.0}, {"a": None, "b": math.nan}, {"a": 3, "b": None}], dtype=object)
    assert to_csv(frame) == "a,b\n1,1.0\n,nan\n3,\n"


def test_missing_is_empty_and_nan_is_nan(tmp_path):
    table = CsvWriter(tmp_path / "t.csv", ("a", "b", "c"))
    table.append([(1, None, math.nan), (2, math.inf, "x")])
    table.close()
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n1,,nan\n2,inf,x\n"
    assert to_csv(pd.DataFrame({"a": [None, math.nan]}, dtype=object)) == 'a\n""\nnan\n'


def test_rows_reach_the_disk_while_the_run_goes_on(tmp_path):
    table = CsvWriter(tmp_path / "t.csv", ("a",), flush_seconds=0)
    table.append([(1,)])
    assert read_csv(tmp_path / "t.csv")["a"].tolist() == [1]
    table.close()


def test_a_line_that_is_being_written_is_not_read(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2.5\n2,3.1")
    assert read_csv(tmp_path / "t.csv")["b"].tolist() == [2.5]


def test_a_write_that_fits_only_in_part_leaves_whole_rows(tmp_path):
    class SmallDisk(io.FileIO):
        def write(self, data):
            if self.tell() > 4:
                raise OSError(28, "No space left on device")
            return super().write(data[:3])

    table = CsvWriter(tmp_path / "t.csv", ("a",))
    table.append([(1,)])
    table.flush()
    table._file.close()
    table._file = SmallDisk(tmp_path / "t.csv", "ab")
    table.append([(22222,), (33333,)])
    with pytest.raises(OSError, match="No space left on device"):
        table.flush()
    table.close()
    assert (tmp_path / "t.csv").read_text() == "a\n1\n"


def test_leaving_a_folder_writes_what_was_kept_back_even_after_an_error(tmp_path):
    def begin_and_fail():
        with RunWriter(tmp_path) as files:
            files.table("lyapunov").append([(0, 1, -0.5)])
            files.table("gates").append([(1, 0, "update", 9, 0.5, 0.25, 0.0, 1.0, 0.5, 0.75, 0.25)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_and_fail()
    for name, row in (("lyapunov", "0,1,-0.5"), ("gates", "1,0,update,9,0.5,0.25,0.0,1.0,0.5,0.75,0.25")):
        assert (tmp_path / f"{name}.csv").read_text() == f"{','.join(COLUMNS[name])}\n{row}\n"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "f.txt"
    write_whole(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
