"""The user's own files that a run depends on."""

import sys

from experiments.training.user_files import data_files, user_modules


def test_modules_of_the_users_own_with_what_they_import_beside_them(tmp_path, monkeypatch):
    package = tmp_path / "own_package_of_test"
    (package / "inner").mkdir(parents=True)
    for name, content in {
        "__init__": "",
        "cells": "import json, torch, flat_of_test\nfrom models.rnn import RNN\n"
        "from . import gates\nfrom .inner.deep import X",
        "gates": "def f():\n    from own_package_of_test.late import y",
        "late": "y = 1",
        "unused": "",
        "inner/__init__": "",
        "inner/deep": "from ..gates import f\nX = 1",
    }.items():
        (package / f"{name}.py").write_text(content + "\nclass Cell: ...\n")
    (tmp_path / "flat_of_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    found = user_modules(["own_package_of_test.cells.Cell", "models.lstm.LSTM", "torch.optim.Adam", "pathlib.Path"])
    names = ["", ".cells", ".gates", ".inner", ".inner.deep", ".late"]
    assert sorted(found) == ["flat_of_test", *(f"own_package_of_test{name}" for name in names)]
    assert found["own_package_of_test.inner.deep"] == package / "inner" / "deep.py"
    for name in [name for name in sys.modules if name.startswith(("own_package_of_test", "flat_of_test"))]:
        monkeypatch.delitem(sys.modules, name)


def test_arguments_that_name_a_file_are_data_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sensor.csv").write_text("1")
    (tmp_path / "adding").write_text("a file with the name of the choice")
    task = {"name": "adding", "path": "sensor.csv", "more": ["x", str(tmp_path / "sensor.csv")], "at": {"deep": "."}}
    found = data_files({"task": {**task, "n": 3, "long": "x" * 10_000, "zero": "a\0b"}})
    assert {key: path.name for key, path in found.items()} == {"task.path": "sensor.csv", "task.more.1": "sensor.csv"}
