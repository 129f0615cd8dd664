"""bptt run"""

import typer

from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Fresh, Overrides, Quiet
from cli.terminal import say


@one_line
def run(overrides: Overrides = None, config_dir: ConfigDir = None, fresh: Fresh = False, quiet: Quiet = False) -> None:
    """Train one network and record its gradients through time.

    Its folder, RESULTS_DIR/STUDY/runs/RUN_ID, is the last line on stdout. The run id is made from the configuration: a
    run that is finished is not made again, and one that was cut off goes on from where it last saved.

    Example: bptt run cell=lstm task.length=200 clip=norm clip.threshold=0.5
    """
    from cli.progress import show_progress
    from cli.sweep import tell_doubtful
    from cli.table import print_runs
    from experiments.config.composing import compose
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import UsageError
    from experiments.store.progress import FollowedRun
    from experiments.store.run_folders import reopen
    from experiments.training.run import run as run_one

    extend_python_path(config_dir)
    config = compose(overrides or [], config_dir)
    reopen(config.run_folder, fresh=fresh, retry=True)
    with show_progress([FollowedRun(config.run_folder, config.run_id, config.steps)], quiet=quiet):
        result = run_one(config)
    if result.status == "running":
        raise UsageError(f"{result.folder}: is being made by another process; `bptt status` shows it")
    print_runs(config.study_folder, [config.run_id], quiet=quiet)
    doubtful = tell_doubtful([result], "--fresh")
    typer.echo(result.folder)
    if result.status == "failed":
        say(f"{result.folder.name} failed: {result.error}", err=True)
    if result.status == "failed" or doubtful:
        raise typer.Exit(FAILED)
