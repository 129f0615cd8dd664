"""What is said on stderr while runs go on: plain lines, few."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.config import Config
    from experiments.run import Report, Result

SECONDS_BETWEEN_LINES = 5.0


class Lines:
    """A line a run every few seconds, and one at its end. Goes to the worker processes of a sweep.

    Args:
        runs: how many there are.
    """

    def __init__(self, runs: int) -> None:
        self._runs = runs

    def watch(self, number: int, config: "Config") -> "Callable[[Report], None]":
        """A function to tell of each step of run `number` (from 0)."""
        began = said = 0.0

        def tell(report: "Report") -> None:
            nonlocal began, said
            now = time.monotonic()
            if not began:
                began = said = now
                _say(f"{self._label(number)}{config.run_id}")
            if now - said < SECONDS_BETWEEN_LINES:
                return
            said = now
            error = "" if report.error is None else f"  error {report.error:.1%}"
            speed = report.step / (now - began)
            _say(
                f"{self._label(number)}step {report.step}/{report.steps}  loss {report.loss:.4g}  "
                f"grad norm {report.grad_norm:.3g}{error}  "
                f"{speed:.0f} steps/s, {(report.steps - report.step) / speed:.0f} s left"
            )

        return tell

    def ended(self, number: int, result: "Result") -> None:
        """Say how run `number` ended."""
        how = (
            f"{result.status} before; --fresh makes it again"
            if result.skipped
            else f"{result.status} in {result.seconds:.1f} s"
        )
        _say(f"{self._label(number)}{how}" + (f": {result.error}" if result.error else ""))

    def _label(self, number: int) -> str:
        return f"[{number + 1}/{self._runs}] " if self._runs > 1 else ""


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
