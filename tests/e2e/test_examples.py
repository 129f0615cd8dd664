"""The cells, tasks, measures and other parts that the READMEs show as examples run as they stand there."""

import re

import pytest

from tests.test_docs import files_of

PAGES = ("experiments/README.md", "models/README.md")
CHOICE = re.compile(r"mine/(?!study/)(\w+)/(\w+)\.yaml")
MEASURE = re.compile(r"mine/measure/(\w+)\.py")
OVERRIDES = [
    pytest.param(page, override, id=override)
    for page in PAGES
    for path in files_of(page)
    for override in [
        *("{}={}".format(*choice) for choice in CHOICE.findall(path)),
        *(f"record.{name}=true" for name in MEASURE.findall(path)),
    ]
]


@pytest.mark.parametrize(("page", "override"), OVERRIDES)
def test_an_example_trains(page, override, bptt, tmp_path):
    for path, content in files_of(page).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    small = ("task.length=10", "steps=3", "model.hidden_size=8", "record.evaluate_samples=20")
    done = bptt("run", override, *small, "--config-dir", "mine")
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout
