"""The report as a reader sees it: opened from disk in headless Chromium."""

import re

import pytest

from experiments.errors import UsageError
from experiments.report import find_browser, print_to_pdf, write_report

SMALL = ["task.length=10", "model.hidden_size=5", "batch_size=3", "record.every=5", "record.windows=5"]
NAME = "<script>alert(1)<script> 기울기"
SILENT = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]

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


@pytest.fixture
def report(make_run, tmp_path):
    for gain in (0.9, 1, 1.1):
        make_run("init=orthogonal", f"init.gain={gain}", *SMALL, "steps=12", f'study="{NAME}"')
    exploding = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=3", "task.length=100"]
    make_run(*exploding, f'study="{NAME}"')
    return write_report([tmp_path / "results" / NAME])


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
    turned = [figure.evaluate("f => getComputedStyle(f).filter") for figure in page.locator("figure.lines svg").all()]
    assert {value != "none" for value in turned} == {scheme == "dark"}
    maps = page.locator("figure.map svg text").first.evaluate("text => getComputedStyle(text).fill")
    assert maps == page.evaluate("getComputedStyle(document.body).color") or scheme == "light"


def test_it_can_be_read_on_a_phone(open_page, report):
    page = open_page(report, viewport={"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_prints_to_pdf(browser, report):
    pdf = print_to_pdf(report)
    assert pdf == report.with_suffix(".pdf")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) > 1


def test_a_report_of_500_runs_is_small(open_page, make_run, tmp_path, monkeypatch):
    """One real run stands for all: its files under 500 configurations."""
    from dataclasses import replace

    import experiments.report
    from experiments.study import read_studies

    study = make_run("cell=lstm", *SMALL, "task.length=60", "record.windows=20", "steps=200", "study=single")
    study = study.folder.parent.parent

    def many(studies):
        (run,) = read_studies(studies)
        gains, lengths = [i / 10 for i in range(1, 11)], [10, 20, 30, 40, 50]
        return [
            replace(
                run,
                prefix=f"{cell} {gain} {length} ",
                config={**run.config, "cell": cell, "init.gain": gain, "task.length": length, "seed": seed},
            )
            for cell in ("lstm", "gru")
            for gain in gains
            for length in lengths
            for seed in range(5)
        ]

    monkeypatch.setattr(experiments.report, "read_studies", many)
    page = write_report([study])
    assert page.read_text().count("<tr>") == 501
    assert page.stat().st_size < 5e6
    opened = open_page(page)
    opened.locator("#runs th button").nth(3).click()
    assert opened.said == []
