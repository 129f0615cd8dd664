"""bptt sweep"""

from typing import TYPE_CHECKING

import typer

from cli.confirm import confirm
from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Jobs, Launcher, Overrides, Quiet, Resume, Retry, Yes

if TYPE_CHECKING:
    from experiments.sweep import Plan


@one_line
def sweep(
    overrides: Overrides = None,
    jobs: Jobs = None,
    launcher: Launcher = None,
    config_dir: ConfigDir = None,
    fresh: Resume = False,
    retry: Retry = False,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    """Train a grid of networks.

    Its axes are lists (cell=rnn,lstm), ranges (seed=range(5)), or those of a study (study=quickstart).

    All combinations are checked before the first one starts. One that fails does not stop the others. The same command
    goes on with what was cut off, and skips what is done. The study's folder, RESULTS_DIR/STUDY, with summary.csv and
    runs/, is the last line on stdout.

    Example: bptt sweep cell=rnn,lstm,gru task.length=50,100,200 'seed=range(5)' study=lengths
    """
    from cli.progress import shown
    from cli.table import print_runs
    from experiments.launching import choose
    from experiments.sweep import extend_path, plan, reopen_all
    from experiments.sweep import sweep as sweep_all

    extend_path(config_dir)
    planned = plan(overrides or [], config_dir)
    launcher, jobs = choose(launcher, jobs, len(planned.configs))
    if fresh and (finished := planned.of_status("completed", "diverged")):
        confirm(f"--fresh deletes {len(finished)} finished runs in {planned.study_folder}", yes=yes)
    reopen_all(planned, fresh=fresh, retry=retry)
    with shown(planned.tasks(), quiet=quiet):
        sweep_all(planned, launcher=launcher, jobs=jobs)
    print_runs(planned.study_folder, [folder.name for folder in planned.folders], quiet=quiet)
    unfinished = _tell_unfinished(planned)
    typer.echo(planned.study_folder)
    if unfinished:
        raise typer.Exit(FAILED)


def _tell_unfinished(planned: "Plan") -> bool:
    """Say which runs are not as they should be, and what would do; whether there are any."""
    from experiments.results import read_json

    failed, cut_off = planned.of_status("failed"), planned.of_status("interrupted", None)
    for folder in failed:
        typer.echo(f"{folder.name} failed: {read_json(folder / 'run.json')['error']}", err=True)
    if cut_off:
        typer.echo(f"{len(cut_off)} runs were cut off; the same command goes on with them", err=True)
    if any(not read_json(folder / "run.json").get("retry") for folder in failed):
        typer.echo("--retry starts over what failed", err=True)
    return bool(failed or cut_off)
