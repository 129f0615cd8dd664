"""Addresses of classes: what happens when their module is interrupted or fails."""

import sys

import pytest

from models.address import ErrorDuringImport, locate


@pytest.mark.parametrize(("kind", "error"), [("KeyboardInterrupt", KeyboardInterrupt), ("OSError", ErrorDuringImport)])
def test_ctrl_c_during_an_import_is_not_an_error_of_the_module(tmp_path, monkeypatch, kind, error):
    (tmp_path / f"module_that_raises_{kind}.py").write_text(f"raise {kind}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error):
        locate(f"module_that_raises_{kind}.Cell")


def test_an_address_that_does_not_exist_is_none():
    assert locate("models.no_such_module.Cell") is None
    assert "models.no_such_module" not in sys.modules
