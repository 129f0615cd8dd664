"""The cells, tasks, measures, figures and other parts that the READMEs show as examples run as they stand there."""

import re
import sys

import pytest

from experiments.config.composing import compose
from experiments.config.user_folder import extend_python_path
from experiments.plotting.image_files import plot_studies
from experiments.training.run import run
from tests.test_docs import files_of

PAGES = ("experiments/README.md", "models/README.md")
CHOICE = re.compile(r"mine/(?!study/)(\w+)/(\w+)\.yaml")
MEASURE = re.compile(r"mine/measure/(\w+)\.py")
FIGURE = re.compile(r"mine/figure/(\w+)\.py")
OVERRIDES = [
    pytest.param(page, override, id=override)
    for page in PAGES
    for path in files_of(page)
    for override in [
        *("{}={}".format(*choice) for choice in CHOICE.findall(path)),
        *(f"record.{name}=true" for name in MEASURE.findall(path)),
    ]
]
FIGURES = [
    pytest.param(page, name, id=name) for page in PAGES for path in files_of(page) for name in FIGURE.findall(path)
]
SMALL = ("task.length=10", "steps=3", "model.hidden_size=8", "record.evaluate_samples=20", "study.name=tried")


@pytest.fixture
def folder_with(tmp_path, monkeypatch):
    """Write the files of a page, and let Python find them until the test is over."""

    def write(page):
        for path, content in files_of(page).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        extend_python_path(tmp_path / "mine")
        return tmp_path

    monkeypatch.setattr(sys, "path", [*sys.path])
    known = {*sys.modules}
    yield write
    for name in {*sys.modules} - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)) or name == "measure":
            del sys.modules[name]


@pytest.mark.parametrize(("page", "override"), OVERRIDES)
def test_an_example_trains(page, override, folder_with):
    folder = folder_with(page)
    result = run(compose([override, *SMALL, f"results_dir={folder}"], folder / "mine"))
    assert (result.status, result.error) == ("completed", None)


@pytest.mark.parametrize(("page", "name"), FIGURES)
def test_an_example_is_drawn(page, name, folder_with):
    folder = folder_with(page)
    run(compose([*SMALL, f"results_dir={folder}"]))
    plots = plot_studies([folder / "tried"], names=[name], config_dir=folder / "mine")
    assert [path.name for path in plots.paths] == [f"{name}.png"]


def test_there_are_examples_of_all_kinds():
    groups = {re.split(r"[.=]", param.values[1])[0] for param in OVERRIDES}
    assert groups >= {"cell", "task", "clip", "schedule", "remedy", "record"}
    assert FIGURES
