"""bptt run"""

import typer

from cli.errors import FAILED, one_line_errors
from cli.options import ConfigDir, Fresh, Overrides, Quiet
from cli.printing import print_wrapped


@one_line_errors
def run(overrides: Overrides = None, config_dir: ConfigDir = None, fresh: Fresh = False, quiet: Quiet = False) -> None:
    """Train one network and record its gradients through time.

    If the run was interrupted, the same command resumes it from its last checkpoint. If it has finished, nothing runs
    again.

    The last line on stdout is the run's folder, RESULTS_DIR/STUDY/runs/RUN_ID. The run id depends only on the
    configuration.

    Example: bptt run cell=lstm task.length=200 clip=norm clip.threshold=0.5
    """
    from cli.print_results import print_runs
    from cli.run_plan import warn_of_doubtful, warn_of_unrecorded
    from cli.show_progress import show_progress
    from experiments.config.composing import compose
    from experiments.config.parts import draft
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import UsageError
    from experiments.store.progress import FollowedRun
    from experiments.store.run_folders import prepare_folder
    from experiments.training.run import run as run_one

    extend_python_path(config_dir)
    config = compose(overrides or [], config_dir)
    if fresh:
        draft(config)  # what cannot be run must not delete what has been
    prepare_folder(config.run_folder, fresh=fresh, retry=True)
    with show_progress([FollowedRun(config.run_folder, config.run_folder.name, config.steps)], quiet=quiet):
        result = run_one(config)
    if result.status == "running":
        raise UsageError(f"{result.folder}: another process is running it; see `bptt status`")
    print_runs(config.study_folder, [result.folder.name], quiet=quiet)
    is_doubtful = warn_of_doubtful([result], "--fresh") | warn_of_unrecorded([result])
    typer.echo(result.folder)
    if result.status == "failed":
        print_wrapped(f"{result.folder.name} failed: {result.error}", err=True)
    if result.status == "failed" or is_doubtful:
        raise typer.Exit(FAILED)
