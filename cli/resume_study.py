"""`bptt sweep study=NAME`: which earlier sweeps of a study it resumes."""

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from pathlib import Path


class SweepRequest(NamedTuple):
    """A sweep that a command line asks for.

    Attributes:
        overrides: `KEY=VALUE` arguments.
        config_dir: Folder with the user's own YAML files.
        launcher: Name of the launcher; None: the default.
        jobs: Number of runs at a time; None: the default.
        objective: Column of summary.csv that a search minimises; None: the default.
        command: Earlier command that is resumed; None: the command of this process.
    """

    overrides: "list[str]"
    config_dir: "Path | None"
    launcher: str | None
    jobs: int | None
    objective: str | None
    command: str | None = None

    @property
    def only_names_study(self) -> bool:
        """Whether the request only names a study that no YAML file describes, and changes no other key."""
        from experiments.catalogue.choices import choices

        given = {override.partition("=")[0]: override.partition("=")[2] for override in self.overrides}
        own = "study.name" in given or given.get("study", "none") not in choices("study", self.config_dir)
        return own and given.keys() <= {"study", "study.name", "results_dir"}


def earlier_sweeps(request: SweepRequest) -> list[SweepRequest]:
    """The sweeps to resume if a request only names a study; an empty list otherwise, or if no sweep is recorded.

    Raises:
        UsageError: An earlier command is no longer valid, for example because its `--config-dir` is gone.
    """
    from experiments.config.composing import compose
    from experiments.errors import UsageError
    from experiments.store.plans import read_plans

    if not request.only_names_study:
        return []
    sweeps = []
    for planned in read_plans(compose(request.overrides, request.config_dir).study_folder):
        words = shlex.split(planned.command)[1:]
        if words[:1] != ["sweep"]:
            continue
        try:
            earlier = _parse(words[1:])
        except Exception as error:  # Click's errors have no common public class here
            raise UsageError(f"{planned.command}: cannot be resumed: {error}") from None
        typer.echo(f"resuming: {planned.command}", err=True)
        sweeps.append(
            SweepRequest(
                earlier["overrides"] or [],
                request.config_dir or earlier["config_dir"],
                request.launcher or earlier["launcher"],
                request.jobs or earlier["jobs"],
                earlier["objective"],
                planned.command,
            )
        )
    return sweeps


def _parse(words: list[str]) -> dict[str, Any]:
    """The arguments and options of a `bptt sweep` command line, by parameter name."""
    from cli.main import app

    program: Any = typer.main.get_command(app)
    return dict(program.commands["sweep"].make_context("sweep", words).params)
