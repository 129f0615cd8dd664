"""Printing an HTML page to PDF with a headless browser."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.errors import UsageError
from experiments.store.files import write_whole

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
"""Programs that can print a page, in the order in which they are tried."""


def print_to_pdf(page: Path) -> Path:
    """Print an HTML page to a PDF file of the same name beside it, with a headless Chromium.

    Args:
        page: Path of the HTML page.

    Returns:
        Path of the PDF file.

    Raises:
        UsageError: No Chromium is on the path.
        OSError: The browser did not print the page.
    """
    browser = find_browser()
    path = page.with_suffix(".pdf")
    with TemporaryDirectory(prefix="bptt-") as profile:
        quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        done = subprocess.run(
            [
                *(browser, "--headless", "--disable-gpu", "--no-sandbox", *quiet, f"--user-data-dir={profile}"),
                *("--no-pdf-header-footer", f"--print-to-pdf={profile}/report.pdf", page.resolve().as_uri()),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        printed = Path(profile) / "report.pdf"
        if not printed.is_file():
            raise OSError(f"{browser}: did not print {page}: {done.stderr.strip()[-300:]}")
        write_whole(path, printed.read_bytes())
    return path


def find_browser() -> str:
    """Find the first of `BROWSERS` on the path.

    Raises:
        UsageError: None of them is there.
    """
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise UsageError(f"--pdf: needs Chromium, but none of {', '.join(BROWSERS)} is on the path")
