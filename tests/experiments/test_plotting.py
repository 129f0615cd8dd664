"""The lines of the figures are the numbers of the CSV files, read back from matplotlib's artists."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import experiments.plotting
from experiments.analysis import read_runs, read_tables
from experiments.config import compose
from experiments.errors import UsageError
from experiments.plotting import FIGURES, plot_study
from experiments.run import run
from experiments.style import CELLS, OKABE_ITO, colours


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    small = ["task.length=12", "model.hidden_size=6", "batch_size=4", "steps=60", "record.every=20", "record.windows=4"]
    for cell in ("rnn", "lstm"):
        for clip in ("none", "norm"):
            for seed in range(3):
                options = [f"cell={cell}", f"clip={clip}", f"seed={seed}", "record.evaluate_every=20"]
                run(compose([*small, *options, "record.evaluate_samples=40", "study=s", f"results_dir={results}"]))
    return results / "s"


@pytest.fixture
def figures(monkeypatch):
    """The figures that plot_study saves, by name."""
    saved = {}
    monkeypatch.setattr(experiments.plotting, "_save", lambda figure, path: saved.update({path.stem: figure}))
    return saved


def line(ax, label):
    (found,) = [artist for artist in ax.get_lines() if artist.get_label() == label]
    return found


def test_by_default_what_differs_is_compared_and_faceted(study, figures):
    plot_study(study)
    assert set(figures) == set(FIGURES) - {"prediction"}
    assert {"clipping", "contributions", "gradient_flow", "training"} <= set(figures)
    for figure in figures.values():
        assert [ax.get_title().partition(",")[0] for ax in figure.axes[:2]] == ["clip = none", "clip = norm"]
        assert {"rnn", "lstm"} <= {text.get_text() for text in figure.legends[0].get_texts()}
        for ax in figure.axes:
            assert line(ax, "rnn").get_color() == CELLS["rnn"]
            assert ax.get_xlabel()


def test_gradient_flow_draws_the_median_over_seeds(study, figures):
    plot_study(study, names=["gradient_flow"])
    gradients = read_tables(read_runs(study), "gradients").query("clip == 'norm'")
    for ax, step in ((figures["gradient_flow"].axes[1], 1), (figures["gradient_flow"].axes[3], 60)):
        for cell, state, label in (("rnn", "h", "rnn"), ("lstm", "h", "lstm"), ("lstm", "c", "lstm, state c")):
            rows = gradients.query(f"cell == '{cell}' and step == {step} and state == '{state}'")
            medians = rows.groupby("lag")["grad_norm"].median()
            np.testing.assert_array_equal(line(ax, label).get_xdata(), medians.index)
            np.testing.assert_allclose(line(ax, label).get_ydata(), medians, rtol=1e-15)
        assert ax.get_yscale() == "log"
        (band, *_) = ax.collections
        quartiles = (
            gradients.query(f"cell == 'rnn' and step == {step}").groupby("lag")["grad_norm"].quantile([0.25, 0.75])
        )
        np.testing.assert_allclose(sorted(set(band.get_paths()[0].vertices[:, 1])), sorted(set(quartiles)), rtol=1e-12)


def test_contributions_draw_the_shares_of_the_recurrent_weights(study, figures):
    plot_study(study, names=["contributions"])
    rows = read_tables(read_runs(study), "contributions").query(
        "clip == 'none' and cell == 'lstm' and step == 60 and parameter == 'layers.0.weight_hh'"
    )
    medians = rows.groupby("last_timestep")["share"].median()
    drawn = line(figures["contributions"].axes[2], "lstm")
    np.testing.assert_array_equal(drawn.get_xdata(), [3, 6, 9, 12])
    np.testing.assert_allclose(drawn.get_ydata(), medians, rtol=1e-15)


def test_training_draws_error_and_chance(study, figures):
    plot_study(study, names=["training"])
    error = figures["training"].axes[2]
    rows = read_tables(read_runs(study), "evaluation").query("clip == 'none' and cell == 'rnn'")
    np.testing.assert_array_equal(line(error, "rnn").get_xdata(), [1, 21, 41, 60])
    np.testing.assert_allclose(line(error, "rnn").get_ydata(), rows.groupby("step")["error"].median())
    assert line(error, "chance").get_ydata() == pytest.approx([0.64, 0.64])
    assert line(figures["training"].axes[0], "chance").get_ydata() == pytest.approx([1 / 6, 1 / 6])


def test_clipping_draws_norms_threshold_and_share(study, figures):
    plot_study(study, names=["clipping"])
    norms, shares = figures["clipping"].axes[1], figures["clipping"].axes[3]
    rows = read_tables(read_runs(study), "metrics").query("clip == 'norm' and cell == 'rnn'")
    medians = rows.groupby("step")["grad_norm"].median()  # 60 steps: stretches of one
    np.testing.assert_allclose(line(norms, "rnn").get_ydata(), medians)
    assert line(norms, "rnn, clipped").get_ydata().max() <= 1
    assert line(norms, "threshold").get_ydata() == pytest.approx([1, 1])
    clipped = (rows.assign(clipped=rows["clip_scale"] < 1)).groupby("step")["clipped"].median()
    np.testing.assert_allclose(line(shares, "rnn").get_ydata(), clipped)
    unclipped = [artist.get_label() for artist in figures["clipping"].axes[0].get_lines()]
    assert "rnn, clipped" not in unclipped


def test_any_key_can_be_compared_or_faceted(study, figures):
    plot_study(study, names=["gradient_flow"], compare="clip", facet="cell")
    assert [ax.get_title() for ax in figures["gradient_flow"].axes[:2]] == [
        "cell = rnn, before training",
        "cell = lstm, before training",
    ]
    assert {"none", "norm"} <= {text.get_text() for text in figures["gradient_flow"].legends[0].get_texts()}
    plot_study(study, names=["training"], compare="seed", facet="clip")
    assert len(line(figures["training"].axes[0], "0, rnn").get_xdata()) == 60


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_data_give_the_same_bytes(study, suffix):
    (path,) = plot_study(study, names=["training"], formats=[suffix])
    once = path.read_bytes()
    plot_study(study, names=["training"], formats=[suffix])
    assert path.read_bytes() == once
    assert path == study / "figures" / f"training.{suffix}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["pie"]}, "--figure pie: there is no such figure; choose from clipping"),
        ({"formats": ["gif"]}, "--format gif: there is no such format; choose from png, svg, pdf"),
        ({"compare": "colour"}, "--compare colour: no run has this key; there is cell"),
        ({"facet": "x"}, "--facet x: no run has this key"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_written(study, options, message, figures):
    with pytest.raises(UsageError, match=message):
        plot_study(study, **options)
    assert not figures


def test_underflow_and_divergence_are_drawn_as_what_they_are(tmp_path, figures):
    vanishing = ["init=orthogonal", "init.gain=0.1", "task.length=80", "record.windows=8", "steps=2"]
    run(compose(["cell.nonlinearity=identity", *vanishing, "study=v", f"results_dir={tmp_path}"]))
    plot_study(tmp_path / "v")
    ax = figures["gradient_flow"].axes[0]
    (mark,) = [artist for artist in ax.get_lines() if artist.get_marker() == "v"]
    zeros = read_tables(read_runs(tmp_path / "v"), "gradients").query("step == 1 and grad_norm == 0")["lag"]
    assert len(zeros) > 0
    np.testing.assert_array_equal(sorted(mark.get_xdata()), sorted(zeros))

    exploding = ["init=orthogonal", "init.gain=1.6", "task.length=100"]
    run(compose(["cell.nonlinearity=identity", *exploding, "study=e", f"results_dir={tmp_path}"]))
    plot_study(tmp_path / "e", names=["clipping"])
    assert "^" in [artist.get_marker() for artist in figures["clipping"].axes[0].get_lines()]


def test_many_values_have_colours_of_their_own():
    for count in (3, len(OKABE_ITO), 12):
        chosen = colours([str(i) for i in range(count)])
        assert len({colour for colour, _ in chosen.values()}) == count
    assert colours(["other", "gru"])["gru"][0] == CELLS["gru"]


def test_every_panel_can_be_drawn_alone(study):
    """A figure reads its tables and nothing else."""
    from experiments.figures import clipping

    figure = Figure()
    tables = {"metrics": read_tables(read_runs(study), "metrics")}
    ax = clipping.draw(tables, compare="cell", colours=colours(["rnn", "lstm"]), ax=figure.subplots())
    assert len(ax.get_lines()) == 5


def test_theory_is_drawn_over_the_measured_line(tmp_path, figures):
    linear = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.9", "task.length=20", "steps=2"]
    run(compose([*linear, "record.windows=all", "study=t", f"results_dir={tmp_path}"]))
    plot_study(tmp_path / "t", names=["gradient_flow"])
    before, after = figures["gradient_flow"].axes
    np.testing.assert_allclose(line(before, "_theory_gain").get_ydata(), line(before, "rnn").get_ydata(), rtol=1e-4)
    np.testing.assert_allclose(line(before, "_theory_bound").get_ydata(), line(before, "rnn").get_ydata(), rtol=1e-4)
    assert "_theory_gain" not in [artist.get_label() for artist in after.get_lines()]


def test_predictions_are_drawn_against_what_was_measured(tmp_path, figures):
    from experiments.probe import probe

    small = ["model.hidden_size=10", "task.length=12", "probe.batches=1", "steps=1", f"results_dir={tmp_path}"]
    gains = [0.5, 0.8, 1.2]
    for gain in gains:
        config = compose([*small, "cell.nonlinearity=identity", "init=orthogonal", f"init.gain={gain}", "study=p"])
        run(config)
        probe(config)
    plot_study(tmp_path / "p")
    ax = figures["prediction"].axes[0]
    np.testing.assert_allclose(sorted(line(ax, "rnn").get_xdata()), gains, atol=1e-4)
    np.testing.assert_allclose(sorted(line(ax, "rnn").get_ydata()), gains, atol=1e-4)
    assert ax.get_title() == "3 networks, rank correlation 1.000"
    for label in ("0.5", "0.8", "1.2"):  # the probes stand beside the trainings, and are no second seed of theirs
        assert len(line(figures["training"].axes[0], label).get_xdata()) == 1
    caption = figures["training"].get_supxlabel()
    assert "one seed each" in caption
