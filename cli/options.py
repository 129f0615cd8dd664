"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from cli import completion

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Hydra overrides: cell=lstm task.length=200. `bptt show` prints all keys.",
        show_default=False,
        autocompletion=completion.overrides,
    ),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        help="A folder with your own choices, such as cell/mine.yaml.", exists=True, file_okay=False, show_default=False
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Make it again from the start, even if it is finished.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--fresh/--resume",
        help="Delete finished runs and start over (asks first), or keep them, and go on with what was cut off.",
    ),
]
Retry = Annotated[
    bool,
    typer.Option(
        "--retry",
        help="Also start over runs that failed, and (asks first) finished runs that are damaged or were made from "
        "files that have changed since.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder and nothing else.")]
ResultsDir = Annotated[str, typer.Option(help="Where studies are looked for by name.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Runs at a time.  [default: the number of processors; on Slurm, that of the runs]",
        show_default=False,
    ),
]
Launcher = Annotated[
    str | None,
    typer.Option(
        help="basic: in this process; joblib; submitit_local; submitit_slurm: on a cluster, its own options as "
        "hydra.launcher.partition=NAME and so on.  [default: joblib, for one run basic]",
        show_default=False,
        autocompletion=completion.launchers,
    ),
]
Studies = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY...", help="Studies, by name or folder.", show_default=False, autocompletion=completion.studies
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        help="The key whose values are the lines.  [default: a key that differs]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
Facet = Annotated[
    str | None,
    typer.Option(
        help="The key whose values are panels side by side.  [default: another]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Only runs with this value, or one of several (task.length=50,100); may be given several times.",
        show_default=False,
        autocompletion=completion.conditions,
    ),
]
XAxis = Annotated[
    str | None,
    typer.Option(
        help="The key on the axis of `success`, `horizon`, `cost`, `phase`.  [default: task.length]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
YAxis = Annotated[
    str | None,
    typer.Option(
        help="The key on the other axis of `phase`.  [default: one that differs]",
        show_default=False,
        autocompletion=completion.keys,
    ),
]
