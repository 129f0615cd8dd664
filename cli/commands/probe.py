"""bptt probe"""

from pathlib import Path
from typing import Annotated

import typer

from cli import completion
from cli.confirmation import confirm_fresh
from cli.errors import FAILED, one_line_errors
from cli.options import ConfigDir, Fresh, Jobs, Overrides, Quiet, Yes
from cli.printing import print_wrapped


@one_line_errors
def probe(
    overrides: Overrides = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a trained run: probe its network instead of an untrained one.",
            show_default=False,
            autocompletion=completion.runs,
        ),
    ] = None,
    jobs: Jobs = None,
    config_dir: ConfigDir = None,
    fresh: Fresh = False,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    """Measure the gradient flow of a network before training.

    Runs the untrained network on inputs of the task and prints its gain per timestep, its horizon, its Lyapunov
    exponents and the norm of its gradient. Lists and ranges make a grid, with a summary.csv as after a sweep.

    A probe does not train, so it cannot suggest a clipping threshold; `bptt run` prints the distribution of the
    gradient norms during training.

    Example: bptt probe init=gaussian init.gain=0.8,1.0,1.2 task.length=100
    """
    from cli.print_results import print_probe, print_runs
    from cli.run_plan import warn_of_doubtful, warn_of_unrecorded
    from cli.show_progress import show_progress
    from experiments.config.grid import expand
    from experiments.config.hydra_keys import launcher_named
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import UsageError
    from experiments.store.progress import FollowedRun
    from experiments.store.run_folders import prepare_folder
    from experiments.sweeps.fork_server import start_fork_server_early
    from experiments.sweeps.launchers import choose_launcher

    extend_python_path(config_dir)
    if checkpoint is not None:
        if overrides:
            raise UsageError(
                f"{overrides[0]}: --checkpoint uses the configuration of the run; leave out all KEY=VALUE arguments"
            )
        from experiments.training.probe import config_of_checkpoint, probe_folder
        from experiments.training.probe import probe as probe_one

        config = config_of_checkpoint(checkpoint)
        study, folders = config.study_folder, [probe_folder(config, trained=True)]
        if fresh:
            confirm_fresh(folders, yes=yes)
        prepare_folder(folders[0], fresh=fresh, retry=True)
        with show_progress([FollowedRun(folders[0], folders[0].name, config.probe.batches)], quiet=quiet):
            results = [probe_one(config, checkpoint=checkpoint)]
    else:
        grid = expand(overrides or [], config_dir)
        launcher, jobs = choose_launcher(launcher_named(grid.launcher), jobs, len(grid.points))
        start_fork_server_early(launcher, jobs, training=False)
        from experiments.sweeps.plan import check_launcher_options, plan_grid
        from experiments.sweeps.sweep import prepare_run_folders, sweep
        from experiments.training.probe import probe as probe_one

        planned = plan_grid(grid, config_dir, probe_one)
        check_launcher_options(planned, launcher, jobs)
        if fresh:
            confirm_fresh(planned.folders, yes=yes)
        prepare_run_folders(planned, fresh=fresh, retry=True)
        with show_progress(planned.followed_runs(), quiet=quiet):
            results = sweep(planned, launcher=launcher, jobs=jobs)
        study, folders = planned.study_folder, planned.folders
    print_runs(study, [folder.name for folder in folders], quiet=quiet)
    if len(folders) == 1 and results[0].status == "completed" and not quiet:
        print_probe(study, folders[0].name)
    has_doubtful = warn_of_doubtful(results, "--fresh") | warn_of_unrecorded(results)
    typer.echo(folders[0] if len(folders) == 1 else study)
    failed = [result for result in results if result.status == "failed"]
    for result in failed:
        print_wrapped(f"{result.folder.name} failed: {result.error}", err=True)
    if failed or has_doubtful:
        raise typer.Exit(FAILED)
