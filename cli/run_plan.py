"""Running the runs of a plan, and what the commands say about them afterwards."""

from collections import Counter
from typing import TYPE_CHECKING

import typer

from cli.confirmation import confirm, confirm_fresh
from cli.printing import print_wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from experiments.sweeps.plan import Plan
    from experiments.training.execution import Result


def requested_launcher(launcher: str | None, overrides: "Sequence[str]") -> str | None:
    """The launcher given by `--launcher` or by `hydra/launcher=` among the overrides; None if neither is given.

    Raises:
        UsageError: The two name different launchers.
    """
    from experiments.config.hydra_keys import launcher_named
    from experiments.errors import UsageError

    named = launcher_named(overrides)
    if launcher and named and launcher != named:
        raise UsageError(f"hydra/launcher={named}: --launcher is {launcher}; give only one of them")
    return launcher or named


def run_plan(
    planned: "Plan",
    *,
    launcher: str | None,
    jobs: int | None,
    fresh: bool,
    retry: bool,
    yes: bool,
    quiet: bool,
    command: str | None = None,
    searching: bool = False,
) -> list["Result"]:
    """Run the runs of a plan and show their progress. The keyword arguments are the options of `bptt sweep`.

    Args:
        planned: Runs to run.
        command: Earlier command that is resumed; None: the command of this process.
        searching: Whether the runs are trials of a search, which cannot start over.
    """
    from cli.show_progress import show_progress
    from experiments.config.hydra_keys import launcher_named
    from experiments.store.run_folders import delete_run
    from experiments.sweeps.launchers import choose_launcher
    from experiments.sweeps.plan import check_launcher_options
    from experiments.sweeps.sweep import find_damaged_or_outdated, prepare_run_folders, sweep

    launcher, workers = choose_launcher(launcher or launcher_named(planned.launcher), jobs, len(planned.configs))
    check_launcher_options(planned, launcher, workers)
    if fresh:
        confirm_fresh(planned.folders, yes=yes)
    if retry and not fresh and (rerun := find_damaged_or_outdated(planned)):
        confirm(f"--retry deletes finished runs in {planned.study_folder}: {describe_doubtful(rerun)}", yes=yes)
        for result in rerun:
            delete_run(result.folder)
    prepare_run_folders(planned, fresh=fresh, retry=retry)
    with show_progress(planned.followed_runs(), quiet=quiet, may_be_fresh=not searching):
        return sweep(planned, launcher=launcher, jobs=workers, command=command)


def warn_of_doubtful(results: "Sequence[Result]", option: str = "--retry") -> bool:
    """Print how many finished runs are damaged or outdated; return whether there are any.

    Args:
        results: Results of the runs.
        option: Option that runs them again.
    """
    doubtful = list({result.folder: result for result in results if result.is_doubtful}.values())
    if doubtful:
        them = "it" if len(doubtful) == 1 else "them"
        print_wrapped(f"{describe_doubtful(doubtful)}; {option} runs {them} again", err=True)
    return bool(doubtful)


def warn_of_unrecorded(results: "Sequence[Result]") -> bool:
    """Print which finished runs were recorded with less than was asked for; return whether there are any."""
    from experiments.wording import counted

    lacking: dict[tuple[str, ...], list[Path]] = {}
    for result in results:
        if result.unrecorded:
            asked = tuple(f"record.{key}={str(value).lower()}" for key, value in result.unrecorded.items())
            lacking.setdefault(asked, []).append(result.folder)
    for asked, folders in lacking.items():
        one = len(folders) == 1
        which = (
            f"{counted(len(folders), 'finished run')} {'was' if one else 'were'} recorded without {', '.join(asked)}"
        )
        again = f"bptt replay {folders[0] if one else folders[0].with_name('*')} {' '.join(asked)}"
        print_wrapped(f"{which}; to record {'it' if one else 'them'} again: {again}", err=True)
    return bool(lacking)


def describe_doubtful(doubtful: "Sequence[Result]") -> str:
    """What is wrong with how many runs: '1 run is damaged, 2 runs used another version of sensor.csv'."""
    from experiments.wording import counted

    descriptions = []
    for files, number in Counter("" if one.status == "damaged" else one.changed for one in doubtful).items():
        problem = f"used another version of {files}" if files else f"{'is' if number == 1 else 'are'} damaged"
        descriptions.append(f"{counted(number, 'run')} {problem}")
    return ", ".join(descriptions)


def warn_of_unfinished(folders: "Sequence[Path]") -> bool:
    """Print which runs failed or were interrupted and how to finish them; return whether there are any."""
    from experiments.store.files import read_json
    from experiments.store.run_folders import folders_with_status
    from experiments.wording import counted

    failed, interrupted = folders_with_status(folders, "failed"), folders_with_status(folders, "interrupted", None)
    for folder in failed:
        print_wrapped(f"{folder.name} failed: {read_json(folder / 'run.json')['error']}", err=True)
    if interrupted:
        them = "it" if len(interrupted) == 1 else "them"
        print_wrapped(
            f"{counted(len(interrupted), 'run')} interrupted; run the same command again to resume {them}", err=True
        )
    if any(not read_json(folder / "run.json").get("retry") for folder in failed):
        typer.echo("to rerun failed runs, add --retry", err=True)
    return bool(failed or interrupted)
