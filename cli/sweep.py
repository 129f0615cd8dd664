"""bptt sweep"""

import os

import typer

from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Fresh, Jobs, Overrides, Quiet


@one_line
def sweep(
    overrides: Overrides = None,
    jobs: Jobs = None,
    config_dir: ConfigDir = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Train a grid of networks.

    Its axes are lists (cell=rnn,lstm), ranges (seed=range(5)), or those of a study (study=quickstart).

    All combinations are checked before the first one starts. One that fails does not stop the others. The study's
    folder, RESULTS_DIR/STUDY, with summary.csv and runs/, is the last line on stdout.

    Example: bptt sweep cell=rnn,lstm,gru task.length=50,100,200 'seed=range(5)' study=lengths
    """
    from cli.progress import shown
    from cli.table import print_runs
    from experiments.sweep import extend_path, plan
    from experiments.sweep import sweep as sweep_all

    extend_path(config_dir)
    planned = plan(overrides or [], config_dir)
    runs = len(planned.configs)
    with shown(planned.tasks(), fresh=fresh, quiet=quiet):
        results = sweep_all(planned, jobs=min(jobs or os.cpu_count() or 1, runs), fresh=fresh)
    print_runs(planned.study_folder, [config.run_id for config in planned.configs], quiet=quiet)
    failed = [result for result in results if result.status == "failed"]
    for result in failed:
        typer.echo(f"{result.folder.name} failed: {result.error}", err=True)
    typer.echo(planned.study_folder)
    if failed:
        raise typer.Exit(FAILED)
