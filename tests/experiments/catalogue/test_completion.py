"""What may stand next in an override."""

import pytest
import typer

from cli.completion import figures as offered_figures
from cli.main import app
from experiments.catalogue.choices import catalogue, choices
from experiments.catalogue.completion import complete
from experiments.catalogue.figures import figures
from experiments.config.composing import compose


@pytest.mark.parametrize(
    ("incomplete", "given", "expected"),
    [
        ("cell=", [], [f"cell={name}" for name in choices("cell")]),
        (
            "cell=lstm",
            [],
            ["cell=lstm", "cell=lstm_1997", "cell=lstm_coupled", "cell=lstm_layernorm", "cell=lstm_peephole"],
        ),
        ("cell=rnn,min", [], ["cell=rnn,mingru", "cell=rnn,minimal", "cell=rnn,minlstm"]),
        ("cell=rnn,", [], [f"cell=rnn,{name}" for name in choices("cell") if name != "rnn"]),
        ("ce", [], ["cell=", "cell.nonlinearity=", "cell.bias="]),
        ("ce", ["cell=lstm"], ["cell.forget_bias="]),
        ("cell.", ["cell=gru,rnn"], ["cell.forget_bias=", "cell.nonlinearity=", "cell.bias="]),
        ("cell.nonlinearity=", [], [f"cell.nonlinearity={name}" for name in ("tanh", "relu", "logistic", "identity")]),
        ("clip.", [], []),
        ("clip.", ["clip=value"], ["clip.threshold="]),
        ("dt", [], ["dtype="]),
        ("dtype=", [], ["dtype=float32", "dtype=float64"]),
        ("record.ev", [], ["record.every=", "record.evaluate_every=", "record.evaluate_samples="]),
        ("record.wi", ["record=full"], ["record.windows="]),
        ("record.tensorboard=", [], ["record.tensorboard=true", "record.tensorboard=false"]),
        ("model.", [], ["model.hidden_size=", "model.num_layers="]),
        ("st", ["steps=3"], ["stop=", "study=", "study.name="]),
        ("study=q", [], ["study=quickstart"]),
        ("nothing", [], []),
        ("steps=", [], []),
    ],
)
def test_what_begins_so_is_offered(incomplete, given, expected):
    assert complete(incomplete, given) == expected


def test_every_key_that_is_offered_can_be_set():
    values = {
        "study": "mine",
        "study.name": "mine",
        "device": "cpu",
        "results_dir": "here",
        "optimizer.beta1": "0.5",
        "optimizer.beta2": "0.5",
        "task.length": "5",
        "scale": "small",
    }
    for cell in ("rnn", "lstm"):
        offered = complete("", [f"cell={cell}", "clip=norm", "init=gaussian"])
        assert len(offered) > 25
        for key in offered:
            name = key.removesuffix("=")
            choice = [override.partition("=")[2] for override in complete(key, [f"cell={cell}", "clip=norm"])]
            given = ["stop.by=1"] if name == "stop" else []  # an option of its first choice that has no default
            compose(
                [f"cell={cell}", "clip=norm", "init=gaussian", key + (choice or [values.get(name, "1")])[0], *given]
            )


def test_ones_own_choices_are_offered(tmp_path):
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "leaky.yaml").write_text("_target_: nowhere.Leaky\n_partial_: true\nleak: 0.9\nfast: true\n")
    assert "cell=leaky" in complete("cell=", [], tmp_path)
    assert complete("cell.", ["cell=leaky"], tmp_path) == ["cell.leak=", "cell.fast="]
    assert complete("cell.fast=", ["cell=leaky"], tmp_path) == ["cell.fast=true", "cell.fast=false"]


def test_ones_own_figures_are_listed_and_offered(tmp_path):
    """Where a command has a --config-dir; the first line of the module's docstring is the title."""
    (tmp_path / "figure").mkdir()
    (tmp_path / "figure" / "mine.py").write_text('"""How it looks.\n\nMore."""\n')
    (tmp_path / "figure" / "_helper.py").write_text("")
    assert [*figures(tmp_path)] == [*figures(), "mine"]
    assert catalogue(tmp_path)["figure"]["mine"] == "How it looks."
    ctx = typer.Context(typer.main.get_command(app))
    ctx.params["config_dir"] = tmp_path
    assert [*offered_figures(ctx, "mi")] == [("mine", "How it looks.")]
    ctx.params["config_dir"] = None
    assert [name for name, _ in offered_figures(ctx, "gradient_")] == ["gradient_flow", "gradient_map"]
