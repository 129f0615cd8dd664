"""bptt probe"""

from pathlib import Path
from typing import Annotated

import typer

from cli import completion
from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Fresh, Jobs, Overrides, Quiet
from cli.terminal import say


@one_line
def probe(
    overrides: Overrides = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A trained run's folder: probe its network.", show_default=False, autocompletion=completion.runs
        ),
    ] = None,
    jobs: Jobs = None,
    config_dir: ConfigDir = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Look at the gradient flow before training.

    The untrained network on the task's own inputs: the Jacobians of its state through time, Lyapunov exponents, the
    horizon, and a clipping threshold to start from. With lists or ranges, a whole grid: summary.csv then has the same
    columns as after a sweep, in seconds.

    Example: bptt probe init=gaussian init.gain=0.8,1.0,1.2 task.length=100
    """
    from cli.progress import shown
    from cli.table import print_probe, print_runs
    from experiments.composition import extend_path
    from experiments.errors import UsageError
    from experiments.forkserver import start_early
    from experiments.grid import expand
    from experiments.housekeeping import reopen
    from experiments.launching import choose
    from experiments.status import Task

    extend_path(config_dir)
    if checkpoint is not None:
        if overrides:
            raise UsageError(f"{overrides[0]}: --checkpoint comes with the run's own configuration; leave this out")
        from experiments.probe import config_of_checkpoint, probe_folder
        from experiments.probe import probe as probe_one

        config = config_of_checkpoint(checkpoint)
        study, folders = config.study_folder, [probe_folder(config, trained=True)]
        reopen(folders[0], fresh=fresh, retry=True)
        with shown([Task(folders[0], folders[0].name, config.probe.batches)], quiet=quiet):
            results = [probe_one(config, checkpoint=checkpoint)]
    else:
        grid = expand(overrides or [], config_dir)
        launcher, jobs = choose(None, jobs, len(grid.points))
        start_early(launcher, jobs, training=False)
        from experiments.probe import probe as probe_one
        from experiments.sweep import plan_grid, reopen_all, sweep

        planned = plan_grid(grid, config_dir, probe_one)
        reopen_all(planned, fresh=fresh, retry=True)
        with shown(planned.tasks(), quiet=quiet):
            results = sweep(planned, launcher=launcher, jobs=jobs)
        study, folders = planned.study_folder, planned.folders
    print_runs(study, [folder.name for folder in folders], quiet=quiet)
    if len(folders) == 1 and results[0].status == "completed" and not quiet:
        print_probe(study, folders[0].name)
    typer.echo(folders[0] if len(folders) == 1 else study)
    failed = [result for result in results if result.status == "failed"]
    for result in failed:
        say(f"{result.folder.name} failed: {result.error}", err=True)
    if failed:
        raise typer.Exit(FAILED)
