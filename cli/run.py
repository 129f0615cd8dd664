"""bptt run"""

import typer

from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Fresh, Overrides


@one_line
def run(overrides: Overrides = None, config_dir: ConfigDir = None, fresh: Fresh = False) -> None:
    """Train one network and record its gradients through time.

    Its folder, RESULTS_DIR/STUDY/runs/RUN_ID, is the last line on stdout. The run id is made from the configuration: a
    run that is already finished is not made again.

    Example: bptt run cell=lstm task.length=200 clip=norm clip.threshold=0.5
    """
    from cli.progress import Lines
    from cli.table import print_runs
    from experiments.config import compose
    from experiments.run import run as run_one
    from experiments.sweep import extend_path

    extend_path(config_dir)
    config = compose(overrides or [], config_dir)
    lines = Lines(runs=1)
    result = run_one(config, fresh=fresh, progress=lines.watch(0, config))
    lines.ended(0, result)
    print_runs(config.study_folder, [config.run_id])
    typer.echo(result.folder)
    if result.status == "failed":
        raise typer.Exit(FAILED)
