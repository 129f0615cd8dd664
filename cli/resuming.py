"""What a sweep is asked to make: the runs of its command line, or those that earlier sweeps planned in the study."""

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from pathlib import Path


class Asked(NamedTuple):
    """What a command asks for: which runs there are, and how they are made. The names are those of `bptt sweep`.

    Attributes:
        command: Earlier command that is resumed; None: this is the command.
    """

    overrides: "list[str]"
    config_dir: "Path | None"
    launcher: str | None
    jobs: int | None
    objective: str | None
    command: str | None = None

    @property
    def only_names(self) -> bool:
        """Whether nothing is asked for but a study of the user's own, which no YAML file describes."""
        from experiments.catalogue.choices import choices

        given = {override.partition("=")[0]: override.partition("=")[2] for override in self.overrides}
        own = "study.name" in given or given.get("study", "none") not in choices("study", self.config_dir)
        return own and given.keys() <= {"study", "study.name", "results_dir"}


def planned_before(asked: Asked) -> list[Asked]:
    """The sweeps that the study was planned with, where only its name is given; none where no sweep planned it."""
    from experiments.config.composing import compose
    from experiments.errors import UsageError
    from experiments.store.plans import read_plans

    if not asked.only_names:
        return []
    found = []
    for planned in read_plans(compose(asked.overrides, asked.config_dir).study_folder):
        words = shlex.split(planned.command)[1:]
        if words[:1] != ["sweep"]:
            continue
        try:
            said = _parse(words[1:])
        except Exception as error:  # of Click: an option, or a folder, that is gone
            raise UsageError(f"{planned.command}: cannot be resumed: {error}") from None
        typer.echo(f"resuming: {planned.command}", err=True)
        found.append(
            Asked(
                said["overrides"] or [],
                asked.config_dir or said["config_dir"],
                asked.launcher or said["launcher"],
                asked.jobs or said["jobs"],
                said["objective"],
                planned.command,
            )
        )
    return found


def _parse(words: list[str]) -> dict[str, Any]:
    """The arguments and options of `bptt sweep` in the words of a command line."""
    from cli.main import app

    program: Any = typer.main.get_command(app)
    return dict(program.commands["sweep"].make_context("sweep", words).params)
