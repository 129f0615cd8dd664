"""bptt reproduce"""

from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion
from cli.errors import FAILED, one_line_errors
from cli.options import ConfigDir, Jobs, Launcher, Quiet, Resume, Retry, Yes
from cli.printing import print_wrapped

if TYPE_CHECKING:
    from experiments.claims.evaluation import EvaluatedClaim


@one_line_errors
def reproduce(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDY|KEY=VALUE...",
            help="Studies with claims, and settings for all of them, such as scale=paper.",
            show_default=False,
            autocompletion=completion.claims,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Reproduce all studies with claims.")] = False,
    jobs: Jobs = None,
    launcher: Launcher = None,
    config_dir: ConfigDir = None,
    fresh: Resume = False,
    retry: Retry = False,
    output: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder for the page, the table and the figures.  "
            "[default: the study's folder; for several studies RESULTS_DIR/claims]",
            show_default=False,
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--markdown",
            dir_okay=False,
            help="Markdown file to write the table into as well, between its two `claims` comment lines.",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    """Test claims about gradients through time by experiment.

    Trains the runs of each study and skips those that have finished. For each claim it prints the prediction, the
    measured value with its interval over seeds, and the verdict: holds, does not hold here, or undecided.

    The last line on stdout is the path of an HTML page with the verdicts and figures.

    Example: bptt reproduce vanishing; bptt reproduce --all; bptt reproduce gru scale=paper --launcher submitit_slurm
    """
    from cli.run_plan import requested_launcher, run_plan, warn_of_doubtful, warn_of_unfinished
    from experiments.analysis.summary import write_summary
    from experiments.catalogue.choices import claims_of_studies
    from experiments.claims.claim import read_claim
    from experiments.claims.evaluation import evaluate_claims, insert_table, markdown_table, read_page
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import UsageError
    from experiments.reports.claims_report import write_claims_report
    from experiments.sweeps.plan import plan
    from experiments.wording import counted

    extend_python_path(config_dir)
    known = claims_of_studies(config_dir)
    overrides = [word for word in studies or [] if "=" in word]
    named = [word for word in studies or [] if "=" not in word]
    launcher = requested_launcher(launcher, overrides)
    if everything and named:
        raise UsageError(f"reproduce --all {named[0]}: give either --all or the names of studies")
    names = list(known) if everything else named
    if not names:
        raise UsageError(f"reproduce: which studies? give --all, or one or more of {', '.join(known)}")
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"{unknown[0]}: there is no study with claims of this name; choose from {', '.join(known)}")
    claims = {name: [read_claim(claim) for claim in known[name]] for name in names}
    if into is not None:
        read_page(into)
    planned = {name: plan([f"study={name}", *overrides], config_dir) for name in names}

    judged: list[EvaluatedClaim] = []
    has_problems = False
    for name, sweep in planned.items():
        if not quiet:
            typer.echo(f"{name}: {counted(len(sweep.folders), 'run')}", err=True)
        results = run_plan(sweep, launcher=launcher, jobs=jobs, fresh=fresh, retry=retry, yes=yes, quiet=quiet)
        write_summary(sweep.study_folder)
        found = evaluate_claims(sweep.study_folder, [folder.name for folder in sweep.folders], claims[name])
        for line in found[0].damage_report if found else ():
            typer.echo(line, err=True)
        for fault in filter(None, (one.fault for one in found)):
            print_wrapped(fault, err=True)
        has_problems |= warn_of_unfinished(sweep.folders) | warn_of_doubtful(results)
        _print_verdicts(found, quiet=quiet)
        judged += found
    folders = [sweep.study_folder for sweep in planned.values()]
    if output is None:
        output = folders[0] if len(folders) == 1 else folders[0].parent / "claims"
    page = write_claims_report(output, judged)
    if into is not None:
        insert_table(into, markdown_table(judged, relpath(output / "figures", into.parent)))
    typer.echo(page)
    if has_problems:
        raise typer.Exit(FAILED)


def _print_verdicts(judged: "list[EvaluatedClaim]", *, quiet: bool) -> None:
    """Print the verdict on each claim of a study, with its predicted and measured values."""
    if quiet:
        return
    for one in judged:
        print_wrapped(f"{one.verdict}: {one.claim.statement}")
        for quantity in one.quantities:
            print_wrapped(f"    {quantity.what}: {quantity.measured}; predicted {quantity.predicted}", indent=" " * 6)
