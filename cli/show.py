"""bptt show"""

import typer

from cli.errors import one_line
from cli.options import ConfigDir, Overrides


@one_line
def show(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Print the configuration of a run.

    Composed, checked, and with every key that can be set.
    """
    import yaml

    from experiments.composition import extend_path
    from experiments.config import compose

    extend_path(config_dir)
    typer.echo(
        yaml.safe_dump(compose(overrides or [], config_dir).model_dump(), sort_keys=False, allow_unicode=True), nl=False
    )
