"""The statuses of a run, and which of them mean that it finished, is skipped or is unfinished."""

from typing import Literal

Status = Literal["running", "completed", "diverged", "failed", "interrupted", "damaged"]

FINISHED: tuple[Status, ...] = ("completed", "diverged")
"""The run reached its last step, or the step at which it diverged."""

SKIPPED: tuple[Status, ...] = (*FINISHED, "failed")
"""A sweep skips runs with these statuses unless it is asked to run them again."""

UNFINISHED: tuple[Status | None, ...] = ("running", "interrupted", None)
"""A sweep starts or resumes these runs; None is a run that has not started."""

ENDED: tuple[Status, ...] = (*SKIPPED, "interrupted")
"""No process is working on the run any more."""
