"""bptt reproduce"""

from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion
from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Jobs, Launcher, Quiet, Resume, Retry, Yes
from cli.terminal import say

if TYPE_CHECKING:
    from experiments.claims.verdicts import Judged


@one_line
def reproduce(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDY|KEY=VALUE...",
            help="Studies that claim something, and overrides for all of them, such as scale=paper.",
            show_default=False,
            autocompletion=completion.claims,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All studies that claim something.")] = False,
    jobs: Jobs = None,
    launcher: Launcher = None,
    config_dir: ConfigDir = None,
    fresh: Resume = False,
    retry: Retry = False,
    output: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder of page, table and figures.  [default: the study's; of several studies RESULTS_DIR/claims]",
            show_default=False,
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--markdown", dir_okay=False, help="A Markdown file that is to have the table as well.", show_default=False
        ),
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    """Hold claims about gradients through time against experiments.

    Makes the runs of a study, unless they are there, and says for each of its claims what was predicted, what was
    measured, with its interval over seeds, and whether it holds, does not hold here, or is undecided. The page with
    all of it, and the figures, is the last line on stdout.

    Example: bptt reproduce vanishing; bptt reproduce --all; bptt reproduce gru scale=paper --launcher submitit_slurm
    """
    from cli.sweep import launcher_asked, make_all, tell_doubtful, tell_unfinished
    from experiments.analysis.summary import summarize
    from experiments.catalogue.choices import claims_of_studies
    from experiments.claims.claim import read_claim
    from experiments.claims.verdicts import check_place, judge, markdown, put_into
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import UsageError
    from experiments.reports.claims_report import write_verdicts
    from experiments.sweeps.plan import plan
    from experiments.wording import counted

    extend_python_path(config_dir)
    known = claims_of_studies(config_dir)
    overrides = [word for word in studies or [] if "=" in word]
    named = [word for word in studies or [] if "=" not in word]
    launcher = launcher_asked(launcher, overrides)
    if everything and named:
        raise UsageError(f"reproduce --all {named[0]}: say --all, or which")
    names = list(known) if everything else named
    if not names:
        raise UsageError(f"reproduce: say which: --all, or some of {', '.join(known)}")
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"{unknown[0]}: no study of this name claims anything; choose from {', '.join(known)}")
    claims = {name: [read_claim(claim) for claim in known[name]] for name in names}
    planned = {name: plan([f"study={name}", *overrides], config_dir) for name in names}
    if into is not None:
        check_place(into)

    judged: list[Judged] = []
    unfinished = False
    for name, sweep in planned.items():
        if not quiet:
            typer.echo(f"{name}: {counted(len(sweep.folders), 'run')}", err=True)
        results = make_all(sweep, launcher=launcher, jobs=jobs, fresh=fresh, retry=retry, yes=yes, quiet=quiet)
        summarize(sweep.study_folder)
        found = judge(sweep.study_folder, [folder.name for folder in sweep.folders], claims[name])
        for line in found[0].left_out if found else ():
            typer.echo(line, err=True)
        unfinished |= tell_unfinished(sweep.folders) | tell_doubtful(results)
        _print(found, quiet=quiet)
        judged += found
    folders = [sweep.study_folder for sweep in planned.values()]
    if output is None:
        output = folders[0] if len(folders) == 1 else folders[0].parent / "claims"
    page = write_verdicts(output, judged)
    if into is not None:
        put_into(into, markdown(judged, relpath(output / "figures", into.parent)))
    typer.echo(page)
    if unfinished:
        raise typer.Exit(FAILED)


def _print(judged: "list[Judged]", *, quiet: bool) -> None:
    """What was found of one study."""
    if quiet:
        return
    for one in judged:
        say(f"{one.verdict}: {one.claim.statement}")
        for quantity in one.quantities:
            say(f"    {quantity.what}: {quantity.measured}; predicted {quantity.predicted}", indent=" " * 6)
