"""Tab completion: the possible values of each argument, and shell scripts that handle the '=' in `KEY=VALUE`."""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer import _completion_classes, _completion_shared

ASK = "env COLUMNS=9999 %(autocomplete_var)s=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="
"""Start of the command with which a script asks for completions: one a line, its help text after a tab."""

BASH = f"""
%(complete_func)s() {{
    local IFS=$'\\n' line=${{COMP_LINE:0:COMP_POINT}} typed
    typed=${{line##* }}
    COMPREPLY=( $( {ASK}"$line" %(prog_name)s | cut -f1 ) )
    [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
    # bash ends words at '=' and ':', and replaces only the part after the last of them
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
    """Replace Typer's scripts for bash and zsh, which break words at '=', by those of this module."""
    for shell, script, complete in (
        ("bash", BASH, _completion_classes.BashComplete),
        ("zsh", ZSH, _completion_classes.ZshComplete),
    ):
        _completion_shared._completion_scripts[shell] = script
        complete.source_template = script


def overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete `KEY=VALUE` of the configuration."""
    from experiments.catalogue.completion import complete

    return complete(incomplete, ctx.params.get("overrides") or (), ctx.params.get("config_dir"))


def keys(incomplete: str) -> list[str]:
    """Complete a key of the configuration, without a value."""
    from experiments.catalogue.completion import complete

    return [key.removesuffix("=") for key in complete(incomplete)]


def conditions(incomplete: str) -> list[str]:
    """Complete `KEY=VALUE` for `--where`."""
    from experiments.catalogue.completion import complete

    return complete(incomplete)


def studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a study in the results folder that is not on the command line yet."""
    folders = Path(ctx.params.get("results_dir") or "results").glob("*/runs")
    names = sorted(folder.parent.name for folder in folders)
    return [name for name in names if name.startswith(incomplete) and name not in (ctx.params.get("studies") or ())]


def claims(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a study with claims that is not on the command line yet, or `KEY=VALUE` for them."""
    from experiments.catalogue.choices import claims_of_studies
    from experiments.catalogue.completion import complete

    given = ctx.params.get("studies") or ()
    known = claims_of_studies(ctx.params.get("config_dir"))
    named = [name for name in known if name.startswith(incomplete) and name not in given]
    overrides = [word for word in given if "=" in word]
    return named + complete(incomplete, overrides, ctx.params.get("config_dir")) if incomplete else named


def runs(incomplete: str) -> list[str]:
    """Complete the folder of a trained run."""
    folders = sorted(str(path.parent) for path in Path("results").glob("*/runs/*/network.pt"))
    return [folder for folder in folders if folder.startswith(incomplete)]


def run_folders(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the folder of a run or probe that is not on the command line yet."""
    folders = sorted(str(path.parent) for path in Path("results").glob("*/runs/*/run.json"))
    named = set(map(str, ctx.params.get("runs") or ()))
    return [folder for folder in folders if folder.startswith(incomplete) and folder not in named]


def figures(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Complete the name of a figure; its description is the help text."""
    from experiments.catalogue.choices import catalogue

    found = catalogue(ctx.params.get("config_dir"))["figure"]
    yield from ((name, line) for name, line in found.items() if name.startswith(incomplete))


def launchers(incomplete: str) -> list[str]:
    """Complete the name of a launcher."""
    names = ("basic", "joblib", "submitit_local", "submitit_slurm")
    return [name for name in names if name.startswith(incomplete)]


def groups(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a group of choices."""
    from experiments.catalogue.choices import catalogue

    return [group for group in catalogue(ctx.params.get("config_dir")) if group.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """Complete a comma-separated list of figure formats."""
    head, comma, last = incomplete.rpartition(",")
    listed = head.split(",")
    return [
        f"{head}{comma}{name}" for name in ("png", "svg", "pdf", "csv") if name.startswith(last) and name not in listed
    ]
