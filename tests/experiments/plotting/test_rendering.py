"""Figures are rendered to the same bytes wherever that is done."""

import os
import signal

import pytest
from joblib.externals.loky.process_executor import ShutdownExecutorError
from matplotlib.figure import Figure

from experiments.plotting import rendering
from experiments.plotting.rendering import Renderer


def draw(number):
    figure = Figure(figsize=(2, 1.5))
    figure.subplots().plot([1, 2], [number, 3], label="a line")
    figure.legend()
    return figure


def render_all(number_of_figures, suffix, **options):
    figures = list(map(draw, range(number_of_figures)))
    with Renderer(**options) as renderer:
        for number, figure in enumerate(figures):
            renderer.add(figure, suffix, transparent=number % 2 == 1)
        return [image.content for image in renderer.finish()], renderer


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_other_processes_render_the_same_bytes_in_the_order_of_the_figures(monkeypatch, suffix):
    monkeypatch.setattr(rendering, "cpu_count", lambda: 1)
    contents, renderer = render_all(12, suffix)
    here = [future.cancelled() for _, future in renderer._jobs]
    assert 0 < sum(here) < 12, "what no other process has begun is rendered here"
    assert here == sorted(here)
    assert contents == render_all(12, suffix, alone=True)[0]
    assert len(set(contents)) == 12


def test_a_figure_is_rendered_the_same_in_whatever_order(monkeypatch):
    monkeypatch.setattr(rendering, "cpu_count", lambda: 1)
    contents = {}
    for suffixes in (("png", "svg", "pdf"), ("pdf", "svg", "png")):
        for alone in (True, False):
            figure = Figure(figsize=(2, 1.5), layout="constrained")
            figure.subplots(2).flat[0].set_ylabel("a name that is longer than the axis")
            with Renderer(alone=alone) as renderer:
                for suffix in suffixes:
                    renderer.add(figure, suffix)
                images = renderer.finish()
            contents[suffixes, alone] = {s: image.content for s, image in zip(suffixes, images, strict=True)}
    first, *others = contents.values()
    assert all(other == first for other in others)


def test_what_a_killed_process_had_begun_is_rendered_here(monkeypatch):
    monkeypatch.setattr(rendering, "cpu_count", lambda: 1)
    with Renderer() as renderer:
        for number in range(3):
            renderer.add(draw(number), "png")
        for pid in renderer._executor()._processes:
            os.kill(pid, signal.SIGKILL)
        contents = [image.content for image in renderer.finish()]
    with Renderer(alone=True) as renderer:
        for number in range(3):
            renderer.add(draw(number), "png")
        assert contents == [image.content for image in renderer.finish()]


def test_a_failure_while_drawing_ends_the_other_processes(monkeypatch):
    monkeypatch.setattr(rendering, "cpu_count", lambda: 1)
    renderer = Renderer()

    def draw_two():
        with renderer:
            renderer.add(draw(1), "png")
            renderer.add(draw(1 / 0), "png")

    with pytest.raises(ZeroDivisionError):
        draw_two()
    with pytest.raises(ShutdownExecutorError):
        renderer._jobs[0][1].result(timeout=10)
