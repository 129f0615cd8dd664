"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Hydra overrides: cell=lstm task.length=200. `bptt show` prints all keys.",
        show_default=False,
    ),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        help="A folder with your own choices, such as cell/mine.yaml.", exists=True, file_okay=False, show_default=False
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Make finished runs again; without it they are kept.")]
ResultsDir = Annotated[str, typer.Option(help="Where studies are looked for by name.")]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Runs at a time.  [default: the number of processors]", show_default=False),
]
