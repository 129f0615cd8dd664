"""bptt reproduce"""

import shlex
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
    against: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="claims.csv of the same claims on other seeds: the table then says which verdicts differ there.",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    """Test claims about gradients through time by experiment.

    Trains the runs of each study and skips those that have finished. It prints the verdict on each claim (holds, does
    not hold here, or undecided), and then its measured values with their intervals over seeds, what was predicted, and
    on how many draws of its null version (shuffled labels, or noise) the claim still holds.

    The last line on stdout is the path of an HTML page with the verdicts and figures.

    Example: bptt reproduce vanishing; bptt reproduce --all; bptt reproduce gru scale=paper --launcher submitit_slurm
    """
    from cli.run_plan import requested_launcher, run_plan, warn_of_doubtful, warn_of_unfinished
    from experiments.analysis.summary import write_summary
    from experiments.catalogue.choices import choices, claims_of_studies
    from experiments.claims.claim import read_claim
    from experiments.claims.evaluation import evaluate_claims
    from experiments.claims.registration import registration
    from experiments.claims.seeds import read_other_seeds
    from experiments.claims.tables import count_verdicts, insert_table, markdown_table, read_page
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
    files = choices("study", config_dir)
    planned = {name: plan([f"study={name}", *overrides], config_dir) for name in names}
    seeds = {config.seed for sweep in planned.values() for config in sweep.configs}
    others = read_other_seeds(against, seeds) if against is not None else {}
    options = ["--config-dir", str(config_dir)] if config_dir is not None else []

    judged: list[EvaluatedClaim] = []
    has_problems = False
    for name, sweep in planned.items():
        if not quiet:
            typer.echo(f"{name}: {counted(len(sweep.folders), 'run')}", err=True)
        results = run_plan(sweep, launcher=launcher, jobs=jobs, fresh=fresh, retry=retry, yes=yes, quiet=quiet)
        write_summary(sweep.study_folder)
        found = [
            one._replace(
                registered=registration(one.claim.name, files[name], overrides),
                command=shlex.join(["bptt", "reproduce", name, *overrides, *options]),
                others=others.get(one.claim.name),
            )
            for one in evaluate_claims(sweep.study_folder, [folder.name for folder in sweep.folders], claims[name])
        ]
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
    if len(names) > 1 and not quiet:
        typer.echo(count_verdicts(judged))
    typer.echo(page)
    if has_problems:
        raise typer.Exit(FAILED)


def _print_verdicts(judged: "list[EvaluatedClaim]", *, quiet: bool) -> None:
    """Print the verdict on each claim of a study, and then what was measured and predicted of each."""
    if quiet:
        return
    for one in judged:
        others = f" ({one.on_other_seeds})" if one.others else ""
        print_wrapped(f"{one.verdict}: {one.claim.statement}{others}", indent="    ")
    for one in judged:
        typer.echo(f"\n{one.claim.name}: {one.verdict}")
        for quantity in one.quantities:
            unlike = "" if quantity.verdict == "holds" else f": {quantity.verdict}"
            line = f"    {quantity.what}: {quantity.measured}; predicted {quantity.predicted}{unlike}"
            print_wrapped(line, indent=" " * 6)
        for null in one.nulls:
            print_wrapped(f"    null: {null.what}: holds in {null} draws", indent=" " * 6)
        if one.registered:
            print_wrapped(f"    registered: {one.registered}", indent=" " * 6)
    typer.echo()
