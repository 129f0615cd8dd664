"""bptt show"""

import shutil

import typer

from cli.errors import one_line_errors
from cli.options import ConfigDir, Overrides


@one_line_errors
def show(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Print the configuration of a run as YAML.

    Every key is printed with its value and its meaning. `bptt list` prints the choices for cell, task and so on.

    Example: bptt show cell=lstm task=copy
    """
    import yaml

    from experiments.catalogue.key_comments import annotate, read_comments
    from experiments.config.composing import compose
    from experiments.config.schema import CHOICES
    from experiments.config.user_folder import extend_python_path

    extend_python_path(config_dir)
    config = compose(overrides or [], config_dir).model_dump()
    chosen = {group: config[group]["name"] for group in CHOICES}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=float("inf"))
    width = shutil.get_terminal_size((120, 24)).columns
    typer.echo(annotate(text, read_comments(chosen, config_dir), width), nl=False)
