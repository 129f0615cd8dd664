"""The options of `bptt plot` that only the command line has."""

import pytest
from typer.testing import CliRunner

from cli.main import app


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--aspect", "16:9", "--height", "3"], "--aspect 16:9 --height 3: choose one of them"),
        (["--aspect", "16:0"], "--aspect 16:0: write width to height"),
        (["--aspect", "wide"], "--aspect wide: write width to height"),
        (["--aspect", "nan"], "--aspect nan: write width to height"),
    ],
)
def test_an_aspect_is_a_ratio_and_stands_for_a_height(options, message):
    result = CliRunner().invoke(app, ["plot", "no_study", *options])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"bptt: {message}")
    assert len(result.stderr.splitlines()) == 1
