"""Figures fit the sheet that they are drawn on: nothing lies on anything else, and all of it can be read."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from experiments.config.composing import compose
from experiments.drawing.panel import Panel
from experiments.drawing.style import settings
from experiments.drawing.text_wrapping import text_width, wrap
from experiments.errors import UsageError
from experiments.figures import NAMES
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.image_files import plot_studies
from experiments.plotting.layout import lay_out
from experiments.plotting.panel_arrangement import PAGE_INCHES, PanelGrid
from experiments.plotting.sheet import Sheet
from experiments.plotting.ticks import write_plain_numbers
from experiments.plotting.view import View
from experiments.store.studies import read_studies
from experiments.training.run import run
from tests.experiments.plotting.extents import flaws

TINY = ["task.length=9", "model.hidden_size=4", "batch_size=2", "record.windows=3", "record.evaluate_samples=4"]
COLUMN, SLIDE = Sheet(width=3.3), Sheet(width=13.33, height=7.5)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three small studies: three cells with two options, one run, and a run that diverges."""
    results = tmp_path_factory.mktemp("results")
    clips = ("none", "norm")
    cells = [(f"cell={cell}", f"clip={clip}", "steps=5") for cell in ("rnn", "lstm", "gru") for clip in clips]
    explode = ["init=orthogonal", "init.gain=4", "optimizer=sgd", "optimizer.lr=1e4", "steps=8"]
    for study, points in {"cells": cells, "one": [["steps=5"]], "diverged": [explode]}.items():
        for point in points:
            run(compose([*TINY, *point, f"study={study}", f"results_dir={results}"]))
    return results


def vary(run_read, key, values, **config):
    """As many runs as there are values, all with the numbers of one."""
    return [
        replace(run_read, prefix=f"{value:g} ", config={**run_read.config, key: value, **config}) for value in values
    ]


RATES = [round(0.001 * i, 3) for i in range(1, 13)]


@pytest.fixture
def studies(results):
    """The runs of each study by its name, and of one with twelve numbers."""
    runs = {study: read_studies([results / study]) for study in ("cells", "one", "diverged")}
    return {**runs, "twelve": vary(runs["one"][0], "optimizer.lr", RATES)}


def draw(runs, name, **view):
    drawer = FigureDrawer(runs, View(**view))
    sheet = view.get("sheet", Sheet())
    with mpl.rc_context(settings(sheet.points, sheet.dpi)):
        figure = drawer.draw(name).figure
        assert flaws(figure) == []
    return figure


@pytest.mark.parametrize("sheet", [COLUMN, SLIDE], ids=["column", "slide"])
@pytest.mark.parametrize("study", ["cells", "one", "diverged", "twelve"])
def test_every_figure_fits_a_column_of_a_page_and_a_slide(studies, study, sheet):
    drawer = FigureDrawer(studies[study], View(sheet=sheet))
    drawn, too_small = 0, []
    with mpl.rc_context(settings(sheet.points, sheet.dpi)):
        for name in NAMES:
            try:
                figure = drawer.draw(name).figure
            except LeftOut as reason:
                too_small += ["inches" in str(reason)]
                continue
            assert flaws(figure) == [], name
            assert figure.get_figwidth() == sheet.width
            assert figure.get_figheight() == sheet.height or figure.get_figheight() <= PAGE_INCHES
            drawn += 1
    assert drawn >= 6
    assert not any(too_small)


def test_nine_maps_stand_in_three_columns(studies):
    figure = draw(vary(studies["one"][0], "optimizer.lr", RATES[:9]), "gradient_map", sheet=COLUMN)
    maps, bar = figure.axes[:9], figure.axes[9]
    assert len({round(ax.get_position().x0, 3) for ax in maps}) == 3
    assert bar.get_label() == "<colorbar>"
    assert figure.get_figheight() < 7


def test_titles_beside_a_sentence_do_not_meet(studies):
    unclipped, clipped = (
        next(run for run in studies["cells"] if run.config["clip"] == clip) for clip in ("none", "norm")
    )
    runs = [unclipped, *vary(clipped, "clip.threshold", [0.1, 1])]
    figure = draw(runs, "clipping", compare="cell", facet="clip.threshold", sheet=COLUMN)
    assert "no clipping" in [" ".join(text.get_text().split()) for ax in figure.axes for text in ax.texts]


def test_a_sentence_takes_no_numbers_from_the_axis_that_its_panel_shares():
    figure = Figure()
    whole, replaced = (Panel(figure.add_subplot(), "line", {}) for _ in range(2))
    replaced.ax.sharex(whole.ax)
    whole.add_line([0.1, 0.7], [0, 1], name="A")
    replaced.replace_by("the same")
    lay_out(figure, PanelGrid([[whole, replaced]], 2, False), SLIDE, entries=[], legend_title="", caption="")
    assert len([place for place in whole.ax.get_xticks() if 0.1 <= place <= 0.7]) > 1


def test_title_font_and_caption_can_be_chosen(studies):
    wide = Sheet(width=6.5, font_size=11, title="A title of one's own, which is too long for a single line " * 2)
    figure = draw(studies["cells"], "training", sheet=wide)
    assert figure.get_suptitle().replace("\n", " ") == wide.title.strip()
    assert figure.axes[0].title.get_fontsize() == 11
    bare = draw(studies["cells"], "training", sheet=Sheet(width=6.5, font_size=11, caption=False))
    assert not bare.get_supxlabel()
    assert bare.get_figheight() < figure.get_figheight()
    (usual, *_), (large, *_) = (
        [line.get_linewidth() for line in draw(studies["one"], "training", sheet=Sheet(font_size=size)).axes[0].lines]
        for size in (8, 16)
    )
    assert large == pytest.approx(2 * usual)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_file_has_the_size_that_was_asked_for(results, tmp_path, suffix):
    sheet = Sheet(width=8, aspect=16 / 9, dpi=50)
    (path,) = plot_studies(
        [results / "one"], names=["training"], view=View(sheet=sheet), formats=[suffix], folder=tmp_path
    ).paths
    if suffix == "png":
        assert imread(path).shape[:2] == (225, 400)
    else:
        size = {"svg": 'width="576pt" height="324pt"', "pdf": "/MediaBox [ 0 0 576 324 ]"}[suffix]
        assert size in path.read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    ("name", "sheet", "message"),
    [
        ("gradient_map", Sheet(width=3.3, height=2), "6 panels with text of 8 points do not fit 3.3 x 2 inches; "),
        ("training", Sheet(width=3.3, aspect=3), "4 panels with text of 8 points do not fit 3.3 x 1.1 inches; pick"),
        ("gradient_flow", Sheet(width=2, font_size=30), "change --width, --height or --font-size"),
    ],
)
def test_what_does_not_fit_is_said_and_not_drawn(results, tmp_path, name, sheet, message):
    with pytest.raises(UsageError, match=message):
        plot_studies([results / "cells"], names=[name], view=View(sheet=sheet), folder=tmp_path / "figures")
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_drawn_that_is_the_answer(results, tmp_path):
    with pytest.raises(UsageError, match=r"there is nothing to draw: .* do not fit 2 x 1 inches"):
        plot_studies([results / "one"], view=View(sheet=Sheet(width=2, height=1)), folder=tmp_path / "figures")


def test_many_numbers_have_a_legend_of_a_few(studies):
    rates = [round(0.001 * i, 3) for i in range(1, 21)]
    figure = draw(vary(studies["one"][0], "optimizer.lr", rates), "gradient_flow", sheet=Sheet(width=2))
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "optimizer.lr, 20 values"
    shown = [text.get_text() for text in legend.get_texts()]
    assert len(shown) == 6
    assert (shown[0], shown[-1]) == ("0.001", "0.02")


def test_numbers_have_an_ordered_scale_and_seeds_have_none(studies):
    figure = draw(studies["twelve"], "gradient_flow")
    lightness = [
        np.dot([0.2126, 0.7152, 0.0722], to_rgb(line.get_color()))
        for lr in range(1, 13)
        for line in figure.axes[0].get_lines()
        if line.get_label() == f"{lr / 1000:g}"
    ]
    assert len(lightness) == 12
    assert (np.diff(lightness) > 0).all()

    seeds = vary(studies["one"][0], "seed", [0, 1, 2])
    bundle = draw(seeds, "gradient_flow", compare="seed")
    lines = [line for line in bundle.axes[0].get_lines() if line.get_label() in ("0", "1", "2")]
    assert len(lines) == 3
    assert len({line.get_color() for line in lines}) == 1
    assert [text.get_text() for text in bundle.legends[0].get_texts()] == ["a line for each seed"]


def test_words_and_numbers_are_hues_and_shades(studies):
    runs = [
        replace(one, prefix=f"{clip} {one.prefix}")
        for clip in ("none", "norm")
        for one in vary(studies["one"][0], "model.hidden_size", [3, 4, 5], clip=clip)
    ]
    figure = draw(runs, "training", compare="clip", facet="cell")
    colour = {line.get_label(): to_rgb(line.get_color()) for line in figure.axes[0].get_lines()}
    for clip, other in (("none", "norm"), ("norm", "none")):
        own = [colour[f"{clip}, {size}"] for size in (3, 4, 5)]
        hues = [rgb_to_hsv(shade)[0] for shade in own]
        assert np.ptp(hues) < 0.02
        assert abs(hues[0] - rgb_to_hsv(colour[f"{other}, 3"])[0]) > 0.05
        assert (np.diff(np.mean(own, axis=1)) > 0).all()


def test_before_and_after_training_have_the_same_limits(studies):
    for name in ("gradient_flow", "contributions"):
        for study in ("diverged", "cells"):
            rows = 1 if (name, study) == ("contributions", "diverged") else 2  # what is not finite has no shares
            figure = draw(studies[study], name)
            assert len({ax.get_ylim() for ax in figure.axes if ax.axison}) == 1
            assert len({ax.get_title().rpartition(", ")[2] for ax in figure.axes}) == rows


def test_titles_name_the_keys_of_numbers(studies):
    figure = draw(studies["twelve"], "gradient_map")
    assert figure.axes[0].get_title() == "optimizer.lr = 0.001"
    assert draw(studies["cells"], "gradient_map").axes[0].get_title() == "rnn, clip = none"


@pytest.mark.parametrize("limits", [(1.2, 60), (0.02, 0.09), (21, 24), (4, 399)])
def test_a_short_log_axis_has_plain_numbers(limits):
    for axis in ("x", "y"):
        ax = Figure().subplots()
        ax.set(**{f"{axis}scale": "log", f"{axis}lim": limits})
        with mpl.rc_context(settings()):
            write_plain_numbers(getattr(ax, f"{axis}axis"), inches=1.5, points=7)
            ax.figure.draw_without_rendering()
        ticks = [
            text.get_text()
            for which in ("major", "minor")
            for text, at in zip(
                getattr(ax, f"get_{axis}ticklabels")(which=which),
                getattr(ax, f"get_{axis}ticks")(minor=which == "minor"),
                strict=True,
            )
            if limits[0] <= at <= limits[1] and text.get_text()
        ]
        assert len(ticks) >= 2
        assert all(limits[0] <= float(tick) <= limits[1] for tick in ticks)


def test_a_file_name_tells_what_was_chosen(results, tmp_path):
    drawing = {
        "training": View(),
        "training-compare=clip": View(compare="clip"),
        "training-facet=cell-where=cell=rnn-where=clip=none": View(facet="cell", where=["clip=none", "cell=rnn"]),
    }
    for stem, view in drawing.items():
        plots = plot_studies([results / "cells"], names=["training"], view=view, folder=tmp_path)
        assert plots.paths == [tmp_path / f"{stem}.png"]
    runs = read_studies([results / "cells"])
    phase = FigureDrawer(runs, View(x="cell", y="clip", colour="best_error"))
    assert phase.file_name("phase") == "phase-x=cell-y=clip-colour=best_error"
    assert phase.file_name("training") == "training"
    long = FigureDrawer(runs, View(where=["task.length=9"] * 30)).file_name("training")
    assert len(long.encode()) < 140


def test_names_are_understood_however_they_are_written(results, tmp_path):
    plots = plot_studies([results / "one"], names=["Gradient-Flow"], formats=["PNG", "png", "Csv"], folder=tmp_path)
    assert [path.name for path in plots.paths] == ["gradient_flow.png", "gradient_flow.csv"]


def test_text_is_wrapped_to_a_width_and_formulas_stay_whole():
    text = "gradient norm $\\|dL / ds_t\\|$ by_a_very_long_name_without_any_space_in_it"
    lines = wrap(text, 1, 8, math=True).split("\n")
    assert "$\\|dL / ds_t\\|$" in lines
    assert all(text_width(line, 8, math=True) <= 1 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


HOSTILE = """
axes.facecolor: black
figure.facecolor: red
savefig.bbox: tight
savefig.transparent: True
font.family: monospace
font.size: 30
lines.linestyle: --
axes.prop_cycle: cycler('color', ['r', 'g'])
xtick.direction: in
mathtext.fontset: stix
path.simplify: False
image.cmap: jet
legend.loc: lower left
pdf.compression: 0
svg.image_inline: False
"""


def test_matplotlibrc_styles_and_a_notebooks_backend_change_nothing(results, tmp_path):
    study, formats = results / "one", ["png", "svg"]
    usual = plot_studies([study], names=["gradient_map"], formats=formats, folder=tmp_path / "usual").paths
    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    command = ["plot", study, "--figure", "gradient_map", "--format", "png,svg", "--output", tmp_path / "hostile"]
    done = subprocess.run(
        [Path(sys.executable).with_name("bptt"), *command],
        env={
            **os.environ,
            "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for path in usual:
        assert (tmp_path / "hostile" / path.name).read_bytes() == path.read_bytes(), path.name
