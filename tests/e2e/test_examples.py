"""The cells, tasks and other choices that the READMEs show as examples run as they stand there."""

import pytest

from tests.test_docs import files_of

PAGES = ("experiments/README.md", "models/README.md")
CHOICES = [
    pytest.param(page, *path.removesuffix(".yaml").split("/")[1:], id=path)
    for page in PAGES
    for path in files_of(page)
    if path.endswith(".yaml") and "/study/" not in path
]


@pytest.mark.parametrize(("page", "group", "name"), CHOICES)
def test_an_example_trains(page, group, name, bptt, tmp_path):
    for path, content in files_of(page).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    small = ("task.length=10", "steps=3", "model.hidden_size=8", "record.evaluate_samples=20")
    done = bptt("run", f"{group}={name}", *small, "--config-dir", "mine")
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout
