"""The report as a reader sees it: opened from disk in headless Chromium."""

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

import experiments.reports.study_report
from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.plotting.rendering import Renderer
from experiments.reports.html import render_page
from experiments.reports.pdf import find_browser, print_to_pdf
from experiments.reports.study_report import write_report
from experiments.store.studies import Runs, read_studies
from experiments.training.run import run

SMALL = ["task.length=10", "model.hidden_size=5", "batch_size=3", "record.every=5", "record.windows=5"]
NAME = "<script>alert(1)<script> 기울기"
SILENT = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]

ALONE = partial(Renderer, alone=True)
"""Starts no processes, which import matplotlib first."""

CONTRAST = """() => {
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = numbers(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((element) => !element.closest("script, figure")
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  return texts.map((element) => {
    const [a, b] = [numbers(getComputedStyle(element).color).slice(0, 3), behind(element)].map(luminance);
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.tagName, element.textContent.slice(0, 40)];
  });
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    try:
        path = find_browser()
    except UsageError as missing:
        pytest.skip(str(missing))
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *SILENT])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """Open a page from disk; what it says on the console and asks for is kept."""

    def opened(path, **context):
        page = browser.new_context(**context).new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: (page.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.resolve().as_uri())
        return page

    return opened


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of four runs, one of which diverges; the tests of this module only read it."""
    results = tmp_path_factory.mktemp("report") / "results"
    exploding = ["cell.nonlinearity=identity", "init.gain=3", "task.length=100"]
    for overrides in (*([f"init.gain={gain}", *SMALL, "steps=12"] for gain in (0.9, 1, 1.1)), exploding):
        run(compose(["init=orthogonal", *overrides, f'study="{NAME}"', f"results_dir={results}"]))
    return write_report([results / NAME])


def test_it_opens_without_an_error_and_asks_for_nothing(open_page, report):
    page = open_page(report)
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [report.resolve().as_uri()]
    assert page.locator("h1").inner_text() == NAME
    assert page.locator("figure svg").count() >= 6
    for box in page.locator("figure svg").all():
        assert box.bounding_box()["width"] > 200
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_table_sorts_by_any_column_both_ways(open_page, report):
    page = open_page(report)
    headings = page.locator("#runs th").all_inner_texts()
    for name in ("init.gain", "final_loss", "run", "diverged_at_step"):
        column = next(i for i, heading in enumerate(headings) if heading.split()[0] == name)
        cells = page.locator(f"#runs tbody tr td:nth-child({column + 1})")
        heading = page.locator("#runs th").nth(column)
        for order in ("ascending", "descending"):
            heading.locator("button").click()
            assert heading.get_attribute("aria-sort") == order
            keys = [cell.get_attribute("data-key") for cell in cells.all()]
            known = [key for key in keys if key != ""]
            values = known if name == "run" else [float(key) for key in known]
            assert values == sorted(values, reverse=order == "descending"), name
            assert keys == known + [""] * (len(keys) - len(known))  # what is missing comes last


def test_its_links_lead_somewhere(open_page, report):
    page = open_page(report)
    links = [link.get_attribute("href") for link in page.locator("a").all()]
    assert len(links) > 10
    for link in links:
        if link.startswith("#"):
            assert page.locator(link).count() == 1
        elif not link.startswith("data:text/csv"):
            assert (report.parent / link).is_dir(), link
    with page.expect_download() as download:
        page.locator("a[download='gradient_flow.csv']").click()
    assert download.value.path().read_text().startswith("panel,line,x,y")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_both_schemes(open_page, report, scheme):
    page = open_page(report, color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 50
    assert min(ratios)[0] >= 4.5, min(ratios)


def test_figures_look_in_the_dark_as_on_paper(open_page, make_run, tmp_path, monkeypatch):
    """With two studies: the lines of the second have the lighter and the darker colours."""
    for study, cells in (("first", ("rnn", "lstm")), ("second", ("rnn", "lstm", "gru"))):
        for cell in cells:
            make_run(f"cell={cell}", *SMALL, "steps=6", f"study={study}")
    monkeypatch.setattr(experiments.reports.study_report, "figure_names", lambda _: FEW)
    monkeypatch.setattr(experiments.reports.study_report, "Renderer", ALONE)
    report = write_report([tmp_path / "results" / study for study in ("first", "second")])
    light, dark = (open_page(report, color_scheme=scheme) for scheme in ("light", "dark"))
    assert dark.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    figures = list(zip(light.locator("figure svg").all(), dark.locator("figure svg").all(), strict=True))
    assert len(figures) == len(FEW)
    for on_paper, in_the_dark in figures:
        pixels = [imread(BytesIO(figure.screenshot()))[:-1] for figure in (in_the_dark, on_paper)]
        np.testing.assert_array_equal(*pixels)  # but for the last row, which the page may show through


NARROW_LINES = """() => [...document.querySelectorAll("td.number, td:not(.words, .name)")].filter((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1;
}).map((cell) => cell.textContent)"""


def test_it_can_be_read_on_a_phone(open_page, report):
    page = open_page(report, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(NARROW_LINES) == []
    sizes = page.locator("figure svg text").evaluate_all(
        "texts => texts.map(text => text.getBoundingClientRect().height)"
    )
    assert min(sizes) > 6  # no figure is shrunk: its box scrolls
    keys = page.locator("dt").first.bounding_box(), page.locator("dd").first.bounding_box()
    assert keys[1]["y"] >= keys[0]["y"] + keys[0]["height"] - 1  # a value has the whole line


FEW = ("gradient_flow", "training", "clipping", "gates")
"""Figures enough to fill some pages."""


@pytest.fixture(scope="module")
def wide_report(tmp_path_factory):
    """A real run under 12 configurations that differ in nine keys, some of long names; of 264,193 parameters."""
    results = tmp_path_factory.mktemp("wide") / "results"
    run(compose(["cell=lstm", *SMALL, "steps=6", "study=wide", f"results_dir={results}"]))
    keys = ["optimizer.lr", "optimizer.beta1", "optimizer.beta2", "init.gain", "model.hidden_size", "batch_size"]
    keys += ["record.evaluate_samples", "clip.threshold_of_the_recurrent_weights", "task.length"]

    def many(studies):
        (only,) = read_studies(studies)
        return Runs(
            replace(
                only,
                prefix=f"{number} ",
                config={**only.config, **dict.fromkeys(keys, (number + 1) * 1.23456), "clip": "value"},
                info={**only.info, "parameters": 264193},
            )
            for number in range(12)
        )

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(experiments.reports.study_report, "read_studies", many)
        patched.setattr(experiments.reports.study_report, "figure_names", lambda _: FEW)
        patched.setattr(experiments.reports.study_report, "Renderer", ALONE)
        return write_report([results / "wide"])


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_on_paper_nothing_is_cut_and_no_heading_stands_alone(browser, wide_report, tmp_path, paper):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    page = browser.new_page()
    page.goto(wide_report.resolve().as_uri())
    page.pdf(path=str(tmp_path / "report.pdf"), format=paper)
    printed = subprocess.run(["pdftotext", "-layout", tmp_path / "report.pdf", "-"], capture_output=True, text=True)
    pages = [text.rstrip() for text in printed.stdout.rstrip("\f").split("\f")]
    words = Counter(printed.stdout.split())
    for text, count in Counter(page.locator("#runs td:not(.name)").all_inner_texts()).items():
        assert not text or words[text] >= count, text
    assert words["264193"] == 12
    headings = page.locator("h1, h2, h3, summary, figcaption").all_inner_texts()
    for text in pages:
        assert text.splitlines()[-1].strip() not in headings
    captions = page.locator("figure svg").count()
    names = page.locator("section.figure h3").all_inner_texts()
    assert captions == len(names) == len(FEW)
    for name in names:
        (own,) = [text for text in pages if re.search(rf"^ *{name} *$", text, re.MULTILINE)]
        assert "wide: adding" in own  # the caption at the foot of the figure


@pytest.mark.parametrize("width", [695, 717])  # what A4 and Letter leave between their margins
def test_on_paper_all_fits_the_page(open_page, wide_report, width):
    page = open_page(wide_report, viewport={"width": width, "height": 900})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#runs table").bounding_box()["width"] <= width
    assert page.evaluate(NARROW_LINES) == []
    heights = page.locator("section.figure").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert max(heights) < (279 - 28) / 25.4 * 96


def test_a_figure_higher_than_a_page_is_made_smaller_on_paper(open_page, tmp_path):
    figure = '<figure><svg viewBox="0 0 475 1400" width="475pt" height="1400pt"></svg></figure>'
    style = re.search("<style>.*</style>", render_page("page.html.j2"), re.DOTALL)[0]
    (tmp_path / "high.html").write_text(
        f"<!doctype html>{style}<section class='figure'><h3>high</h3>{figure}</section>"
    )
    page = open_page(tmp_path / "high.html")
    page.emulate_media(media="print")
    box = page.locator("svg").bounding_box()
    assert box["height"] <= 206 / 25.4 * 96
    assert box["width"] / box["height"] == pytest.approx(475 / 1400, rel=0.01)


def test_it_prints_to_pdf(browser, report):
    pdf = print_to_pdf(report)
    assert pdf == report.with_suffix(".pdf")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) > 1


def test_a_report_of_200_runs_is_small(open_page, make_run, tmp_path, monkeypatch):
    """One real run stands for all: its files under 200 configurations."""
    study = make_run("cell=lstm", *SMALL, "task.length=60", "record.windows=20", "steps=200", "study=single")
    study = study.folder.parent.parent

    def many(studies):
        (only,) = read_studies(studies)
        gains, lengths = [i / 10 for i in range(1, 11)], [10, 20, 30, 40, 50]
        return Runs(
            replace(
                only,
                prefix=f"{cell} {gain} {length} {seed} ",
                config={**only.config, "cell": cell, "init.gain": gain, "task.length": length, "seed": seed},
            )
            for cell in ("lstm", "gru")
            for gain in gains
            for length in lengths
            for seed in range(2)
        )

    monkeypatch.setattr(experiments.reports.study_report, "read_studies", many)
    monkeypatch.setattr(experiments.reports.study_report, "Renderer", ALONE)
    page = write_report([study])
    assert page.read_text().count("<tr>") == 201
    assert page.stat().st_size < 2e6
    opened = open_page(page)
    opened.locator("#runs th button").nth(3).click()
    assert opened.said == []
