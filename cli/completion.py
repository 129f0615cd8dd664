"""Completion in the shell: what an argument may be, and scripts that do not stumble over the '=' in an override."""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer import _completion_classes, _completion_shared

ASK = "env COLUMNS=9999 %(autocomplete_var)s=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="
"""How a script asks: for the line up to the cursor, one answer a line, its help behind a tab."""

BASH = f"""
%(complete_func)s() {{
    local IFS=$'\\n' line=${{COMP_LINE:0:COMP_POINT}} typed
    typed=${{line##* }}
    COMPREPLY=( $( {ASK}"$line" %(prog_name)s | cut -f1 ) )
    [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
    # bash takes '=' and ':' for the ends of words, and replaces only what stands behind the last one
    [[ $typed == *[=:]* ]] && COMPREPLY=( "${{COMPREPLY[@]#"${{typed%%"${{typed##*[=:]}}"}}"}}" )
    return 0
}}

complete -o default -F %(complete_func)s %(prog_name)s
"""

ZSH = f"""
#compdef %(prog_name)s

%(complete_func)s() {{
    local -a found
    found=( ${{(f)"$( {ASK}"${{words[1,$CURRENT]}}" %(prog_name)s | cut -f1 )"}} )
    if (( $#found )); then
        compadd -S '' -- ${{(M)found:#*=}}
        compadd -- ${{found:#*=}}
    else
        _files
    fi
}}

compdef %(complete_func)s %(prog_name)s
"""


def use_own_scripts() -> None:
    """Let `--install-completion` and `--show-completion` give the scripts of this module, where Typer's fall short."""
    for shell, script, complete in (
        ("bash", BASH, _completion_classes.BashComplete),
        ("zsh", ZSH, _completion_classes.ZshComplete),
    ):
        _completion_shared._completion_scripts[shell] = script
        complete.source_template = script


def overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Keys and values of the configuration."""
    from experiments.catalogue.completion import complete

    return complete(incomplete, ctx.params.get("overrides") or (), ctx.params.get("config_dir"))


def keys(incomplete: str) -> list[str]:
    """Keys of the configuration, without a value."""
    from experiments.catalogue.completion import complete

    return [key.removesuffix("=") for key in complete(incomplete)]


def conditions(incomplete: str) -> list[str]:
    """KEY=VALUE as `--where` takes it."""
    from experiments.catalogue.completion import complete

    return complete(incomplete)


def studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """The studies in the results folder that are not named yet."""
    folders = Path(ctx.params.get("results_dir") or "results").glob("*/runs")
    names = sorted(folder.parent.name for folder in folders)
    return [name for name in names if name.startswith(incomplete) and name not in (ctx.params.get("studies") or ())]


def claims(ctx: typer.Context, incomplete: str) -> list[str]:
    """The studies that claim something and are not named yet, and what could be set for them."""
    from experiments.catalogue.choices import claims_of_studies
    from experiments.catalogue.completion import complete

    given = ctx.params.get("studies") or ()
    known = claims_of_studies(ctx.params.get("config_dir"))
    named = [name for name in known if name.startswith(incomplete) and name not in given]
    overrides = [word for word in given if "=" in word]
    return named + complete(incomplete, overrides, ctx.params.get("config_dir")) if incomplete else named


def runs(incomplete: str) -> list[str]:
    """The folders of trained runs."""
    folders = sorted(str(path.parent) for path in Path("results").glob("*/runs/*/network.pt"))
    return [folder for folder in folders if folder.startswith(incomplete)]


def run_folders(ctx: typer.Context, incomplete: str) -> list[str]:
    """The folders of all runs that are not named yet, probes included."""
    folders = sorted(str(path.parent) for path in Path("results").glob("*/runs/*/run.json"))
    named = set(map(str, ctx.params.get("runs") or ()))
    return [folder for folder in folders if folder.startswith(incomplete) and folder not in named]


def figures(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The figures, each with a line of what it is."""
    from experiments.catalogue.choices import catalogue

    described = catalogue(ctx.params.get("config_dir"))["figure"]
    yield from ((name, line) for name, line in described.items() if name.startswith(incomplete))


def launchers(incomplete: str) -> list[str]:
    """What a sweep is made by."""
    names = ("basic", "joblib", "submitit_local", "submitit_slurm")
    return [name for name in names if name.startswith(incomplete)]


def groups(ctx: typer.Context, incomplete: str) -> list[str]:
    """What `bptt list` takes."""
    from experiments.catalogue.choices import catalogue

    return [group for group in catalogue(ctx.params.get("config_dir")) if group.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """The formats of a figure, also the next one of a list."""
    head, comma, last = incomplete.rpartition(",")
    listed = head.split(",")
    return [
        f"{head}{comma}{name}" for name in ("png", "svg", "pdf", "csv") if name.startswith(last) and name not in listed
    ]
