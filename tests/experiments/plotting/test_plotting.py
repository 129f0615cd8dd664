"""The lines of the figures are the numbers of the CSV files, read back from matplotlib's artists."""

import json
from dataclasses import replace
from itertools import product

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.analysis.intervals import wilson_interval
from experiments.analysis.summary import summarize_runs
from experiments.config.composing import compose
from experiments.drawing.colours import CELL_COLOURS, OKABE_ITO, OVERFLOW, SPARE, UNDERFLOW, assign_colours
from experiments.drawing.panel import Panel
from experiments.drawing.style import settings
from experiments.errors import UsageError
from experiments.figures import NAMES as FIGURES
from experiments.figures import ranking
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.grouping import group_runs
from experiments.plotting.image_files import plot_studies
from experiments.plotting.sheet import Sheet
from experiments.plotting.view import View
from experiments.store.combined_tables import read_combined_table
from experiments.store.studies import Run, read_runs, read_studies
from experiments.training.probe import probe
from experiments.training.run import run


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
def figures():
    """Draw figures of a study, all that can be drawn or one; by name."""

    def draw(*studies, names=FIGURES, **view):
        drawer = FigureDrawer(read_studies(studies), View(**view))
        drawn = {}
        with mpl.rc_context(settings()):
            for name in names:
                try:
                    drawn[name] = drawer.draw(name).figure
                except LeftOut:
                    assert names is FIGURES
        return drawn

    return draw


def is_blank(ax):
    """Whether a sentence stands in the place of a panel."""
    return not ax.axison


def line(ax, label):
    (found,) = [artist for artist in ax.get_lines() if artist.get_label() == label]
    return found


def entry(figure, name):
    """The line beside an entry of the legend."""
    (legend,) = figure.legends
    return dict(zip([text.get_text() for text in legend.get_texts()], legend.get_lines(), strict=True))[name]


def assert_line(ax, label, expected, rtol=1e-15):
    """The line with this label has the index and the values of a series."""
    np.testing.assert_array_equal(line(ax, label).get_xdata(), expected.index)
    np.testing.assert_allclose(line(ax, label).get_ydata(), expected, rtol=rtol)


def test_by_default_what_differs_is_compared_and_faceted(study, figures):
    drawn = figures(study)
    absent = {
        "prediction",
        "spectrum",
        "success",
        "horizon",
        "reach_vs_data",
        "ranking",
        "phase",
        "cost",
        "size",
        "spikes",
    }
    assert set(drawn) == set(FIGURES) - absent
    for name in ("clipping", "contributions", "gradient_flow", "training"):
        axes = drawn[name].axes
        assert [ax.get_title().partition(",")[0] for ax in axes[:2]] == ["clip = none", "clip = norm"]
        assert {"rnn", "lstm"} <= {text.get_text() for text in drawn[name].legends[0].get_texts()}
        for ax in axes:
            if not is_blank(ax):
                assert line(ax, "rnn").get_color() == CELL_COLOURS["rnn"]
                assert ax.get_xlabel()
    for figure in drawn.values():
        caption = figure.get_supxlabel().replace("\n", " ")
        assert caption.startswith("s: adding T=12; ")
        assert "median over 3 seeds" in caption


def rows(study, table, query):
    runs = read_runs(study)
    columns = {key: [run.config.get(key) for run in runs] for key in ("cell", "clip", "seed")}
    return read_combined_table(runs, table, columns).query(query)


def test_gradient_flow_draws_the_median_over_seeds(study):
    with mpl.rc_context(settings()):
        drawn = FigureDrawer(read_runs(study), View()).draw("gradient_flow")
    axes, numbers = drawn.figure.axes, drawn.numbers().set_index(["panel", "line"])
    gradients = rows(study, "gradients", "clip == 'norm'")
    for ax, step in ((axes[0], 1), (axes[3], 60)):  # before training clipping changes nothing, which is drawn once
        for cell, state, label in (("rnn", "h", "rnn"), ("lstm", "h", "lstm"), ("lstm", "c", "lstm, state c")):
            norms = gradients.query(f"cell == '{cell}' and step == {step} and state == '{state}'").groupby("lag")
            assert_line(ax, label, norms["grad_norm"].median())
            for quartile, share in (("lower quartile", 0.25), ("upper quartile", 0.75)):
                expected = norms["grad_norm"].quantile(share)
                recorded = numbers.loc[(ax.get_title(), f"{label}, {quartile}")]
                np.testing.assert_array_equal(recorded["x"], expected.index)
                np.testing.assert_allclose(recorded["y"], expected, rtol=1e-15)
        assert ax.get_yscale() == "log"
        (band, *_) = ax.collections
        edges = gradients.query(f"cell == 'rnn' and step == {step}").groupby("lag")["grad_norm"].quantile([0.25, 0.75])
        np.testing.assert_allclose(sorted(set(band.get_paths()[0].vertices[:, 1])), sorted(set(edges)), rtol=1e-12)


def test_contributions_draw_the_shares_of_the_recurrent_weights(study, figures):
    ax = figures(study, names=["contributions"])["contributions"].axes[2]
    shares = rows(
        study,
        "contributions",
        "clip == 'none' and cell == 'lstm' and step == 60 and parameter == 'layers.0.weight_hh'",
    )
    assert list(shares["last_timestep"].unique()) == [3, 6, 9, 12]
    assert_line(ax, "lstm", shares.groupby("last_timestep")["share"].median())


def test_training_draws_error_and_chance(study, figures):
    axes = figures(study, names=["training"])["training"].axes
    errors = rows(study, "evaluation", "clip == 'none' and cell == 'rnn'").groupby("step")["error"].median()
    assert list(errors.index) == [1, 21, 41, 60]
    assert_line(axes[2], "rnn", errors)
    assert line(axes[2], "chance").get_ydata() == pytest.approx([0.64 - 0.04 / 6] * 2)  # T = 12
    assert line(axes[0], "chance").get_ydata() == pytest.approx([1 / 6 - 1 / 72] * 2)


def test_clipping_draws_norms_threshold_and_share(study, figures):
    axes = figures(study, names=["clipping"])["clipping"].axes
    metrics = rows(study, "metrics", "clip == 'norm' and cell == 'rnn'")  # 60 steps: stretches of one
    assert_line(axes[1], "rnn", metrics.groupby("step")["grad_norm"].median())
    assert_line(axes[1], "rnn, clipped", metrics.groupby("step")["clipped_grad_norm"].median())
    assert line(axes[1], "threshold").get_ydata() == pytest.approx([1, 1])
    clipped = metrics.assign(clipped=(metrics["clip_scale"] < 1).astype(float))
    assert_line(axes[3], "rnn", clipped.groupby("step")["clipped"].median())
    assert "rnn, clipped" not in [artist.get_label() for artist in axes[0].get_lines()]


def test_clipping_draws_a_threshold_that_moves(tmp_path, figures):
    small = ["task.length=6", "model.hidden_size=4", "batch_size=4", "steps=20", "record=none", "study=moving"]
    for clip in ("autoclip", "value"):
        run(compose([*small, f"clip={clip}", f"results_dir={tmp_path}"]))
    (ax, *_) = figures(tmp_path / "moving", names=["clipping"])["clipping"].axes
    metrics = rows(tmp_path / "moving", "metrics", "clip == 'autoclip'")
    assert metrics["clip_threshold"].nunique() > 5
    assert_line(ax, "autoclip, threshold", metrics.set_index("step")["clip_threshold"])
    assert not [artist for artist in ax.get_lines() if artist.get_label() == "value, threshold"]


def test_ranking_draws_a_row_for_each_line_from_the_smallest_error_down(tmp_path):
    small = ["task.length=12", "model.hidden_size=4", "batch_size=4", "steps=3", "record.windows=4", "study=ranked"]
    for cell in ("gru", "lstm", "orthogonal", "mingru", "janet", "minimal", "mgu", "indrnn"):
        for seed in range(2):
            options = [f"cell={cell}", f"seed={seed}", "record.evaluate_samples=300", f"results_dir={tmp_path}"]
            run(compose([*small, *options]))
    with mpl.rc_context(settings()):
        drawn = FigureDrawer(read_runs(tmp_path / "ranked"), View()).draw("ranking")
    summary, states = summarize_runs(read_runs(tmp_path / "ranked"))
    states = states.merge(summary[["run_id", "cell", "parameters"]]).astype({"gain_per_timestep": float})
    gains = states.groupby(["cell", "state"])["gain_per_timestep"]
    errors = summary.astype({"best_error": float}).groupby("cell")["best_error"]
    best = errors.mean().sort_values()
    assert best.is_unique
    gain, horizon, error = drawn.figure.axes
    labels = dict(zip(gain.get_yticks(), [label.get_text() for label in gain.get_yticklabels()], strict=True))
    assert [labels[place].partition(",")[0] for place in sorted(labels, reverse=True)] == list(best.index)
    assert f"lstm, {summary.set_index('cell')['parameters']['lstm'].iloc[0]}" in labels.values()
    for (cell, state), middle in gains.median().items():
        mark = line(gain, f"{cell}, {state}, at the last step")
        assert mark.get_xdata() == pytest.approx([middle])
        assert labels[round(mark.get_ydata()[0])].startswith(cell)
    numbers = drawn.numbers().set_index(["panel", "line"])["x"]
    assert numbers["", "lstm, c, at the last step, largest"].iloc[0] == gains.max()["lstm", "c"]
    assert line(error, "gru").get_xdata() == pytest.approx([errors.median()["gru"]])
    assert line(horizon, "gru, h, before training").get_markerfacecolor() == "white"

    untrained = {
        "summary": summary.assign(best_error=None, solved_at_step=None),
        "states": states.assign(trained=False),
    }
    gains = states.astype({"gain_at_init": float}).groupby(["cell", "state"])["gain_at_init"].mean()
    largest = gains.groupby("cell").max().sort_values(ascending=False)
    assert ranking.order_lines(untrained, "cell") == list(largest.index)


def test_rows_are_split_into_panels_only_if_they_are_many_and_by_the_key_with_the_fewest_values(tmp_path):
    def grouped(cells, **options):
        settings = product(range(cells), range(3), range(2))
        runs = [Run(tmp_path, {"cell": f"c{a}", "clip": f"k{b}", "init.gain": c}, {}) for a, b, c in settings]
        grouping = group_runs(runs, **options)
        return list(grouping.lines), grouping.facet

    assert grouped(2, rows=True) == (["clip", "cell", "init.gain"], None)
    assert grouped(4, rows=True) == (["cell", "clip"], "init.gain")
    assert grouped(4) == (["cell", "init.gain"], "clip")
    assert grouped(2, rows=True, facet="clip") == (["cell", "init.gain"], "clip")


def cells_of(ax, label):
    """A map's values, by the centres of its cells."""
    (mesh,) = [mesh for mesh in ax.collections if mesh.get_label() == label]
    corners, values = mesh.get_coordinates(), np.ma.filled(mesh.get_array(), np.nan)
    return corners, values


def test_gradient_map_draws_the_median_of_the_norms_by_timestep_and_step(study, figures):
    axes = figures(study, names=["gradient_map"])["gradient_map"].axes
    titles = ["rnn, clip = none", "rnn, clip = norm", "lstm, clip = none", "lstm, clip = norm"]
    assert [ax.get_title() for ax in axes[:4]] == titles
    norms = rows(study, "gradients", "cell == 'lstm' and clip == 'norm' and state == 'h'")
    medians = norms.groupby(["step", "timestep"])["grad_norm"].median().unstack()
    corners, values = cells_of(axes[3], "$\\log_{10} \\|dL/dh_t\\|$")
    np.testing.assert_allclose(values, np.log10(medians), rtol=1e-12)
    for borders, places in ((corners[0, :, 0], medians.columns), (corners[:, 0, 1], medians.index)):
        np.testing.assert_array_equal(np.searchsorted(borders, places), range(1, len(places) + 1))


def test_contribution_map_draws_the_shares_over_training(study, figures):
    ax = figures(study, names=["contribution_map"])["contribution_map"].axes[0]
    shares = rows(study, "contributions", "clip == 'none' and cell == 'rnn' and parameter == 'layers.0.weight_hh'")
    medians = shares.groupby(["step", "last_timestep"])["share"].median().unstack()
    corners, values = cells_of(ax, "share of $dL/dW_{hh}$")
    np.testing.assert_allclose(values, medians, rtol=1e-12)
    np.testing.assert_array_equal(corners[0, :, 0], [0.5, 3.5, 6.5, 9.5, 12.5])


def test_gates_draw_what_is_kept_and_the_gain_of_the_state_that_is(study, figures):
    before, after, gain = figures(study, names=["gates"], where=["clip=none"])["gates"].axes
    forget = rows(study, "gates", "clip == 'none' and gate == 'forget'")
    assert_line(before, "lstm", forget.query("step == 1").groupby("timestep")["mean"].median())
    assert_line(after, "lstm", forget.query("step == 60").groupby("timestep")["mean"].median())
    implied = forget.groupby(["run_id", "step"])["mean"].mean().groupby("step").median()
    assert_line(gain, "lstm", implied, rtol=1e-12)
    carried = rows(study, "gradients", "cell == 'lstm' and clip == 'none' and state == 'c'")
    slopes = {
        (run, step): np.exp(np.polyfit(norms["lag"], np.log(norms["grad_norm"]), 1)[0])
        for (run, step), norms in carried.groupby(["run_id", "step"])
    }
    measured = pd.Series(slopes).groupby(level=1).median()
    assert_line(gain, "lstm, measured", measured, rtol=1e-9)


def test_any_key_can_be_compared_or_faceted(study, figures):
    flow = figures(study, names=["gradient_flow"], compare="clip", facet="cell")["gradient_flow"]
    assert [ax.get_title() for ax in flow.axes[:2]] == ["cell = rnn, before training", "cell = lstm, before training"]
    assert {"none", "norm"} <= {text.get_text() for text in flow.legends[0].get_texts()}
    training = figures(study, names=["training"], compare="seed", facet="clip")["training"]
    assert len(line(training.axes[0], "0, rnn").get_xdata()) == 60


def test_conditions_leave_runs_out(study, figures):
    training = figures(study, names=["training"], where=["cell=rnn", "seed=1"])["training"]
    losses = rows(study, "metrics", "cell == 'rnn' and seed == 1 and clip == 'norm'").set_index("step")["loss"]
    assert_line(training.axes[0], "norm", losses)
    assert "lstm" not in [artist.get_label() for ax in training.axes for artist in ax.get_lines()]


def test_panels_wrap_where_the_figure_is_narrow(study, figures):
    for width, columns in ((None, 2), (3.3, 2), (2.2, 1)):
        flow = figures(study, names=["gradient_flow"], sheet=Sheet(width=width))["gradient_flow"]
        assert flow.get_figwidth() == (width or 6.6)
        assert len({round(ax.get_subplotspec().colspan.start) for ax in flow.axes}) == columns
        assert len(flow.axes) == 4


def test_the_same_data_give_the_same_bytes(study):
    formats = ["png", "svg", "pdf", "csv"]
    paths = plot_studies([study], names=["training"], formats=formats).paths
    assert paths == [study / "figures" / f"training.{suffix}" for suffix in formats]
    once = [path.read_bytes() for path in paths]
    plot_studies([study], names=["training"], formats=formats)
    for path, content in zip(paths, once, strict=True):
        assert path.read_bytes() == content, path.suffix


def test_the_drawn_numbers_can_be_had_as_csv(study):
    drawer = FigureDrawer(read_runs(study), View())
    with mpl.rc_context(settings()):
        numbers, cells = (drawer.draw(name).numbers() for name in ("gradient_flow", "gradient_map"))
    norms = rows(study, "gradients", "clip == 'none' and cell == 'rnn' and step == 1").groupby("lag")["grad_norm"]
    for name, expected in (("rnn", norms.median()), ("rnn, upper quartile", norms.quantile(0.75))):
        found = numbers.query(f"panel == 'clip = none, before training' and line == '{name}'")
        np.testing.assert_allclose(found["y"], expected, rtol=1e-12)
        np.testing.assert_array_equal(found["x"], expected.index)
    cells = cells.query("panel == 'rnn, clip = none'")
    assert len(cells) == 4 * 4
    assert list(cells) == ["panel", "line", "x", "y", "value"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["pie"]}, "--figure pie: there is no such figure; choose from gradient_flow, gradient_map"),
        ({"formats": ["gif"]}, "--format gif: there is no such format; choose from png, svg, pdf"),
        ({"view": View(compare="colour")}, "--compare colour: no run has this key; there is cell"),
        ({"view": View(facet="x")}, "--facet x: no run has this key"),
        ({"view": View(x="task.lenght")}, "--x task.lenght: no run has this key"),
        ({"view": View(where=["cell=gru"])}, "--where cell=gru: no run has cell=gru; cell is lstm, rnn"),
        ({"view": View(where=["cell"])}, "--where cell: is not of the form KEY=VALUE"),
        ({"view": View(colour="status")}, "--colour status: no column of numbers; there is"),
        ({"names": ["spectrum"]}, "--figure spectrum: there is no probe among the runs"),
        ({"names": ["success"]}, "--figure success: needs runs that differ in task.length"),
        (
            {"view": View(compare="cell", facet="cell")},
            "--compare cell --facet cell: one key cannot name lines and panels",
        ),
        ({"view": View(where=["colour=1"])}, "--where colour=1: no run has the key colour"),
        (
            {"names": ["horizon"], "view": View(x="cell")},
            "--figure horizon: needs numbers on its x axis, and the values of cell are rnn, lstm",
        ),
        (
            {"names": ["cost"], "view": View(x="clip.threshold")},
            "--figure cost: needs runs that differ in clip.threshold",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_written(study, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        plot_studies([study], folder=tmp_path / "figures", **options)
    assert not list(tmp_path.iterdir())


def test_underflow_and_divergence_are_drawn_as_what_they_are(tmp_path, figures):
    vanishing = ["init=orthogonal", "init.gain=0.1", "task.length=80", "record.windows=8", "steps=2"]
    run(compose(["cell.nonlinearity=identity", *vanishing, "study=v", f"results_dir={tmp_path}"]))
    drawn = figures(tmp_path / "v", names=["gradient_flow", "gradient_map"])
    (mark,) = [artist for artist in drawn["gradient_flow"].axes[0].get_lines() if artist.get_marker() == "v"]
    zeros = read_combined_table(read_runs(tmp_path / "v"), "gradients").query("step == 1 and grad_norm == 0")["lag"]
    assert len(zeros) > 0
    np.testing.assert_array_equal(sorted(mark.get_xdata()), sorted(zeros))
    _, cells = cells_of(drawn["gradient_map"].axes[0], "0: underflow")
    assert np.isfinite(cells[0]).sum() == len(zeros)
    assert entry(drawn["gradient_map"], "0: underflow").get_color() == UNDERFLOW

    exploding = ["init=orthogonal", "init.gain=3", "task.length=100"]
    run(compose(["cell.nonlinearity=identity", *exploding, "study=e", f"results_dir={tmp_path}"]))
    drawn = figures(tmp_path / "e", names=["clipping", "gradient_map"])
    assert "^" in [artist.get_marker() for artist in drawn["clipping"].axes[0].get_lines()]
    assert entry(drawn["gradient_map"], "not finite").get_color() == OVERFLOW


def test_many_values_have_colours_of_their_own():
    for count in (3, len(OKABE_ITO), 12):
        chosen = assign_colours([str(i) for i in range(count)])
        assert len({colour for colour, _ in chosen.values()}) == count
        assert not {colour for colour, _ in chosen.values()} & set(CELL_COLOURS.values())


def test_a_cell_keeps_its_colour_and_several_lines_of_it_are_shades():
    assert assign_colours(["other", "gru"], {"other": "other", "gru": "gru"})["gru"][0] == CELL_COLOURS["gru"]
    assert assign_colours(["other", "gru"], {"other": "other", "gru": "gru"})["other"][0] in SPARE
    assert assign_colours(["A", "B"], {"A": "rnn", "B": "lstm"})["B"][0] == CELL_COLOURS["lstm"]
    several = {f"{cell}, {i}": cell for cell in CELL_COLOURS for i in range(3)}
    shades = assign_colours(list(several), several)
    assert len({colour for colour, _ in shades.values()}) == 9
    for name, cell in several.items():
        hue = np.array(mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(shades[name][0])))[0]
        assert hue == pytest.approx(mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(CELL_COLOURS[cell]))[0], abs=0.02)


def test_many_lines_have_a_legend_of_their_first_key(make_run):
    one, gains = make_run("init=orthogonal", *TINY), [0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4]
    runs = [
        replace(one, prefix=f"{gain} {size} ", config={**one.config, "init.gain": gain, "model.hidden_size": size})
        for gain in gains
        for size in range(4, 11)
    ]
    drawer = FigureDrawer(runs, View())
    with mpl.rc_context(settings()):
        drawn = drawer.draw("training").figure
    assert len([artist for artist in drawn.axes[0].get_lines() if "," in artist.get_label()]) == 49
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == [*(f"{gain:g}" for gain in gains), "chance"]
    assert "A line for each combination of init.gain, model.hidden_size." in drawn.get_supxlabel().replace("\n", " ")
    with pytest.raises(LeftOut, match=r"49 panels are too many; pick some with --where KEY=VALUE"):
        drawer.draw("gradient_map")


TINY = ["task.length=6", "batch_size=2", "steps=2", "record.windows=2", "record.evaluate_samples=4"]


def test_every_panel_can_be_drawn_alone(study):
    """A figure reads its tables and nothing else."""
    from experiments.figures import clipping, gradient_map

    panel = Panel(Figure().subplots(), "cell", assign_colours(["rnn", "lstm"]))
    clipping.draw({"metrics": rows(study, "metrics", "seed >= 0")}, panel)
    assert set(panel.line_entries) == {"rnn", "lstm"}
    gradients = gradient_map.select_rows({"gradients": rows(study, "gradients", "cell == 'rnn'")})
    panel = Panel(Figure().subplots(), "cell")
    gradient_map.draw(gradients, panel)
    assert len(panel.ax.collections) == 1


def test_theory_is_drawn_over_the_measured_line(tmp_path, figures):
    linear = ["cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.9", "task.length=20", "steps=2"]
    run(compose([*linear, "record.windows=all", "study=t", f"results_dir={tmp_path}"]))
    before, after = figures(tmp_path / "t", names=["gradient_flow"])["gradient_flow"].axes
    np.testing.assert_allclose(line(before, "theory_gain").get_ydata(), line(before, "rnn").get_ydata(), rtol=1e-4)
    np.testing.assert_allclose(line(before, "theory_bound").get_ydata(), line(before, "rnn").get_ydata(), rtol=1e-4)
    assert "theory_gain" not in [artist.get_label() for artist in after.get_lines()]


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A grid of gain and length, probed and trained for a step."""
    results = tmp_path_factory.mktemp("probed")
    small = ["model.hidden_size=10", "probe.batches=1", "steps=1", f"results_dir={results}", "study=p"]
    for gain in (0.5, 0.8, 1.2):
        for length in (12, 16):
            config = compose(
                [*small, "cell.nonlinearity=identity", "init=orthogonal", f"init.gain={gain}", f"task.length={length}"]
            )
            run(config)
            probe(config)
    return results / "p"


@pytest.mark.parametrize("name", ["gradient_flow", "contributions"])
def test_runs_of_one_step_have_no_panels_of_their_last(probed, study, figures, name):
    def titles(folder):
        return {ax.get_title().rpartition(", ")[2] for ax in figures(folder, names=[name])[name].axes}

    assert titles(probed) == {"before training"}
    assert titles(study) == {"before training", "at the last step"}


def test_predictions_are_drawn_against_what_was_measured(probed, figures):
    drawn = figures(probed, names=["prediction", "training"])
    ax = drawn["prediction"].axes[0]
    np.testing.assert_allclose(sorted(line(ax, "rnn").get_xdata()), [0.5, 0.5, 0.8, 0.8, 1.2, 1.2], atol=1e-4)
    np.testing.assert_allclose(sorted(line(ax, "rnn").get_ydata()), [0.5, 0.5, 0.8, 0.8, 1.2, 1.2], atol=1e-4)
    assert ax.get_title() == "6 networks, rank correlation 1.000"
    for label in ("0.5", "0.8", "1.2"):  # the probes stand beside the trainings, and are no second seed of theirs
        assert len(line(drawn["training"].axes[0], label).get_xdata()) == 1
    assert "one seed each" in drawn["training"].get_supxlabel()


def test_spectrum_draws_singular_values_and_exponents_of_the_probes(probed, figures):
    values, *_, exponents = figures(probed, names=["spectrum"])["spectrum"].axes
    for gain in (0.5, 0.8, 1.2):
        for label in (f"{gain:g}", f"{gain:g}, log10_sv_mean", f"{gain:g}, log10_sv_min"):
            drawn = line(values, label)
            np.testing.assert_allclose(drawn.get_ydata(), drawn.get_xdata() * np.log10(gain), atol=1e-6)
        np.testing.assert_allclose(line(exponents, f"{gain:g}").get_ydata(), [np.log(gain)] * 10, atol=1e-6)


def test_phase_draws_a_column_over_two_keys_with_the_line_at_gain_1(probed, figures):
    for colour in ("gain_per_timestep", "max_grad_norm"):
        view = {"x": "init.gain", "y": "task.length", "colour": colour, "where": ["steps=1"]}
        ax = figures(probed, names=["phase"], **view)["phase"].axes[0]
        summary = summarize_runs([run for run in read_runs(probed) if not run.is_probe])[0].infer_objects()
        expected = summary.pivot_table(index="task.length", columns="init.gain", values=colour)
        _, cells = cells_of(ax, colour)
        np.testing.assert_allclose(cells, expected, rtol=1e-12)
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0.5", "0.8", "1.2"]
        assert [label.get_text() for label in ax.get_yticklabels()] == ["12", "16"]
        (contour,) = [artist for artist in ax.collections if type(artist).__name__ == "QuadContourSet"]
        crossing = contour.get_paths()[0].vertices[:, 0]
        assert ((crossing > 1) & (crossing < 2)).all()  # between 0.8, the second column, and 1.2, the third


def test_success_and_horizon_are_drawn_against_the_length(tmp_path, figures):
    for cell in ("rnn", "lstm"):
        for length in (4, 8, 12):
            for seed in range(2):
                own = [f"cell={cell}", f"task.length={length}", f"seed={seed}", "record.windows=4"]
                run(compose([*TINY, *own, "study=l", f"results_dir={tmp_path}"]))
    study = tmp_path / "l"
    summary = summarize_runs(read_runs(study))[0].infer_objects()
    solved = {4: 2, 8: 1, 12: 0}
    for run_read, _ in zip(read_runs(study), range(len(summary)), strict=True):  # as if they had learned
        evaluation = pd.read_csv(run_read.folder / "evaluation.csv")
        won = run_read.config["seed"] < solved[run_read.config["task.length"]]
        evaluation.assign(solved=int(won)).to_csv(run_read.folder / "evaluation.csv", index=False)
        info = json.loads((run_read.folder / "run.json").read_text())
        del info["files"]  # they are no longer what the run wrote
        (run_read.folder / "run.json").write_text(json.dumps(info))
    drawn = figures(study, names=["success", "horizon"])
    ax = drawn["success"].axes[0]
    assert_line(ax, "rnn", pd.Series({4: 1.0, 8: 0.5, 12: 0.0}))
    low, high = wilson_interval(np.array([2, 1, 0]), np.array([2, 2, 2]))
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in segments], np.stack([low, high], axis=1), atol=1e-12)

    before, after = drawn["horizon"].axes
    assert "recorded lags, which are at most 3 timesteps apart" in drawn["horizon"].texts[-1].get_text().replace(
        "\n", " "
    )
    for ax, column in ((before, "horizon_at_init"), (after, "horizon")):
        horizons = summary[summary["cell"] == "lstm"].groupby("task.length")[column].median()
        assert_line(ax, "lstm", horizons)
        assert len(line(ax, "lstm, solved").get_xdata()) == 3
        assert len(line(ax, "lstm, not solved").get_xdata()) == 3
        assert_line(ax, "the whole sequence", pd.Series({4: 3, 8: 7, 12: 11}))


def test_wilson_interval_is_the_published_one():
    low, high = wilson_interval(np.array([0.0, 10.0, 5.0]), np.array([10.0, 10.0, 10.0]))
    np.testing.assert_allclose(low, [0, 0.7225, 0.2366], atol=1e-4)
    np.testing.assert_allclose(high, [0.2775, 1, 0.7634], atol=1e-4)


def test_several_studies_are_told_apart_by_their_names(make_run, tmp_path, figures):
    for name, cell in (("first", "rnn"), ("second", "lstm"), ("$x^_", "rnn"), ("_hidden", "gru")):
        make_run(f"cell={cell}", *TINY, f'study.name="{name}"')
    results = tmp_path / "results"
    studies = [results / name for name in ("first", "second", "$x^_", "_hidden")]
    training = figures(*studies, names=["training"])["training"]
    assert line(training.axes[0], "first").get_color() != line(training.axes[0], "$x^_").get_color()
    assert line(training.axes[0], "second").get_color() == CELL_COLOURS["lstm"]
    legend = training.legends[0]
    assert legend.get_title().get_text() == "study"
    assert [text.get_text() for text in legend.get_texts()] == ["$x^_", "_hidden", "first", "second", "chance"]
    paths = plot_studies(studies, names=["training"], formats=["png", "svg"]).paths
    assert paths[0] == results / "first+second+$x^_+_hidden" / "figures" / "training.png"
    with pytest.raises(UsageError, match="the same study is given twice"):
        read_studies([results / "first", results / "first"])


def test_a_korean_name_is_drawn_or_said_to_be_missing(make_run, tmp_path):
    make_run(*TINY, 'study="기울기 소실"')
    plots = plot_studies([tmp_path / "results" / "기울기 소실"], names=["training"], formats=["svg", "png"])
    assert "기울기 소실: adding T=6" in plots.paths[0].read_text(encoding="utf-8")
    has_font = len(settings()["font.family"]) > 1
    assert bool(plots.notes) != has_font
    assert has_font or "no installed font has" in plots.notes[0]
