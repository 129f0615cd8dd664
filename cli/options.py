"""Arguments and options that several commands share, with their help texts."""

from pathlib import Path
from typing import Annotated

import typer

from cli import completion

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Settings that differ from the defaults, such as cell=lstm task.length=200. `bptt show` prints all keys.",
        show_default=False,
        autocompletion=completion.overrides,
    ),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with your own YAML files, such as cell/mine.yaml.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete what the run has written and start over.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--fresh/--resume",
        help="Delete finished runs and start over (asks first), or skip them and resume interrupted ones.",
    ),
]
Retry = Annotated[
    bool,
    typer.Option(
        "--retry",
        help="Also rerun failed runs, and (asks first) finished runs that are damaged or whose input files have "
        "changed since.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to all questions.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Do not print progress, tables and findings.")]
ResultsDir = Annotated[str, typer.Option(help="Folder that contains the studies.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Runs at a time.  [default: number of processors; on Slurm, number of runs]",
        show_default=False,
    ),
]
Launcher = Annotated[
    str | None,
    typer.Option(
        help="basic (one after the other, in this process), joblib (parallel), submitit_local (parallel) or "
        "submitit_slurm (on a Slurm cluster; set its options with hydra.launcher.partition=NAME etc.).  "
        "[default: joblib; basic for one run]",
        show_default=False,
        autocompletion=completion.launchers,
    ),
]
Studies = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY...", help="Names or folders of studies.", show_default=False, autocompletion=completion.studies
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        help="Key to compare: one line for each of its values.  [default: a key that differs between the runs]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
Facet = Annotated[
    str | None,
    typer.Option(
        help="Key to split by: one panel for each of its values.  [default: another key that differs]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Use only runs with this value, or one of these values (task.length=50,100). Repeatable.",
        show_default=False,
        autocompletion=completion.conditions,
    ),
]
XAxis = Annotated[
    str | None,
    typer.Option(
        help="Key on the x axis of the figures `success`, `horizon`, `cost` and `phase`.  [default: task.length]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
YAxis = Annotated[
    str | None,
    typer.Option(
        help="Key on the y axis of the figure `phase`.  [default: a key that differs]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
Study = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="Name or folder of a study.", show_default=False, autocompletion=completion.studies
    ),
]
