"""Attempts to make a caption lie: a mark that is not there, a setting that excludes a cause, a mark without a word."""

import re
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from experiments.config.composing import compose
from experiments.drawing.colours import assign_colours
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.drawing.style import settings
from experiments.figures import (
    NAMES,
    clipping,
    contribution_map,
    contributions,
    gate_means,
    gates,
    gradient_flow,
    gradient_map,
    horizon,
    marked_timesteps,
    phase,
    prediction,
    reach_vs_data,
    read_figure,
    spectrum,
    success,
    training,
)
from experiments.plotting.axis_keys import LeftOut
from experiments.plotting.caption import say_left_out
from experiments.plotting.figure_drawer import FigureDrawer
from experiments.plotting.grouping import group_runs
from experiments.plotting.image_files import plot_studies
from experiments.plotting.step_titles import name_steps
from experiments.plotting.view import View
from experiments.store.studies import Run, read_runs
from experiments.training.probe import probe
from experiments.training.run import run

LOOK = assign_colours(["A", "B"])


def new_panel():
    return Panel(Figure().subplots(), "line", LOOK)


def drawn(draw, **tables):
    """Draw made-up tables in a panel; return the panel and its sentences in the caption."""
    options = {key: tables.pop(key) for key in ("which", "x", "y", "column") if key in tables}
    panel = new_panel()
    draw(tables, panel, **options)
    return panel, " ".join(panel.sentences)


def test_a_panel_that_is_replaced_by_a_sentence_has_no_entry_sentence_or_number():
    panel = new_panel()
    panel.add_line([0, 1], [0, 1], name="A", value="A")
    panel.add_line([0, 1], [0, 1], name="_chance")
    panel.explain("A line.")
    assert set(panel.line_entries) | set(panel.other_entries) == {"A", "_chance"}
    assert [numbers.name for numbers in panel.numbers] == ["A", "_chance"]
    panel.replace_by("nothing")
    for record in (panel.line_entries, panel.other_entries, panel.sentences, panel.numbers, panel.ax.get_lines()):
        assert not record
    assert panel.replacement == "nothing"


def gradients(norm, *, steps=(1,), states=("h",), lags=range(6), **columns):
    """A gradients table in which `norm` gives the norm at each lag."""
    rows = [
        {"step": step, "layer": 0, "state": state, "timestep": 6 - lag, "lag": lag, "grad_norm": float(norm(lag))}
        for step in steps
        for state in states
        for lag in lags
    ]
    known = {"line": "A", "run_id": "a", "readout_steps": 1, "predicted": np.nan, "bound": np.nan}
    return pd.DataFrame(rows).assign(**known | columns)


class TestGradientFlow:
    def test_theory_is_explained_where_it_is_drawn(self):
        def text(which="min", **columns):
            table = gradients(lambda lag: 0.9**lag, steps=(1, 9), **columns)
            return drawn(gradient_flow.draw, gradients=table, which=which)[1]

        assert "otted" not in text()
        assert "Dotted" in text(predicted=0.9)
        assert "Dash-dotted" not in text(predicted=0.9)
        assert "Dash-dotted" in text(bound=1.1)
        assert "Dotted" not in text(bound=1.1)
        assert "otted" not in text(which="max", predicted=0.9, bound=1.1)

    def test_a_bound_does_not_set_the_axis(self):
        panel, text = drawn(gradient_flow.draw, gradients=gradients(lambda lag: 0.9**lag, bound=1e12), which="min")
        assert panel.ax.get_ylim()[1] < 20
        assert "Dash-dotted" in text

    def test_the_cell_state_is_explained_where_there_is_one(self):
        assert "state c" not in drawn(gradient_flow.draw, gradients=gradients(lambda lag: 1), which="min")[1]
        table = gradients(lambda lag: 1, states=("h", "c"))
        assert "Dashed, hollow: the state c" in drawn(gradient_flow.draw, gradients=table, which="min")[1]

    def test_any_state_but_h_is_dashed_and_named(self):
        panel, text = drawn(gradient_flow.draw, gradients=gradients(lambda lag: 1, states=("h", "s")), which="min")
        assert "Dashed, hollow: the state s; solid: the hidden state h." in text
        assert list(panel.other_entries) == ["state s"]

    def test_a_state_has_one_line_style_in_all_panels(self):
        table = gradients(lambda lag: 1, states=("h", "c", "s", "z"))
        rows = table.assign(other_states=[gradient_flow.other_states(table)] * len(table))
        looks = {}
        for states in (("h", "z"), ("h", "c", "z")):
            panel, text = drawn(gradient_flow.draw, gradients=rows[rows["state"].isin(states)], which="min")
            assert "Broken lines, hollow: the states c, s and z; solid: the hidden state h." in text
            lines = panel.ax.get_lines()
            looks[states] = (lines[len(states) - 1].get_linestyle(), [str(one) for one in panel.other_entries])
        assert looks["h", "z"] == looks["h", "c", "z"]

    def test_zeros_and_infinities_are_explained_where_they_are(self):
        texts = [
            drawn(gradient_flow.draw, gradients=gradients(norm, lags=range(3)), which="min")[1]
            for norm in (lambda lag: 1, lambda lag: lag < 2, lambda lag: np.inf if lag > 1 else 1)
        ]
        assert ["Triangles at the bottom" in text for text in texts] == [False, True, False]
        assert ["Triangles at the top" in text for text in texts] == [False, False, True]

    def test_a_loss_at_several_timesteps_shows_no_reach(self):
        for draw, name, table in (
            (gradient_flow.draw, "gradients", gradients(lambda lag: 1)),
            (contributions.draw, "contributions", shares([0.5, 0.5])),
        ):
            assert "several timesteps" not in drawn(draw, **{name: table}, which="min")[1]
            text = drawn(draw, **{name: table.assign(readout_steps=6)}, which="min")[1]
            assert "With a loss at several timesteps" in text
            assert "does not show how far back one loss reaches" in text

    def single_losses(self, *norms, **columns):
        """Rows of `average_over_losses`: the mean, lowest and highest norm and the number of losses at each lag."""
        rows = [
            {"lag": lag, "grad_norm": mean, "lowest": low, "highest": high, "losses": losses}
            for lag, (mean, low, high, losses) in enumerate(norms)
        ]
        known = {"step": 1, "layer": 0, "state": "h", "line": "A", "run_id": "a", "predicted": np.nan, "bound": np.nan}
        return pd.DataFrame(rows).assign(**known | columns)

    def bands(self, panel):
        return [one for one in panel.ax.collections if isinstance(one, PolyCollection)]

    def test_single_losses_have_their_own_sentence_axis_and_band(self):
        table = self.single_losses((1, 1, 1, 8), (0.5, 0.1, 0.9, 8), (0.2, 0.2, 0.2, 1))
        panel, text = drawn(gradient_flow.draw, gradients=table, which="min")
        assert "a line shows the gradient of a single timestep's loss" in text
        assert "the mean over 8 losses" in text
        assert "does not show how far" not in text
        assert "Bands: from the lowest to the highest over the losses of the run." in text
        assert panel.ax.get_xlabel() == "lag k: timesteps before the loss"
        assert "dL_t/ds_{t-k}" in panel.ax.get_ylabel()
        (band,) = self.bands(panel)
        corners = band.get_paths()[0].vertices
        assert {tuple(corner) for corner in corners} >= {(1, 0.1), (1, 0.9)}
        numbers = {numbers.name: list(numbers.y) for numbers in panel.numbers}
        assert numbers["A, lowest loss"] == [1, 0.1, 0.2]
        assert numbers["A, highest loss"] == [1, 0.9, 0.2]

    def test_a_band_of_losses_is_explained_only_where_it_is_drawn(self):
        same = self.single_losses((1, 1, 1, 2), (0.5, 0.5, 0.5, 2))
        wide = self.single_losses((1, 1, 1, 2), (0.5, 0.1, 0.9, 2))
        panel, text = drawn(gradient_flow.draw, gradients=same, which="min")
        assert "Bands" not in text
        assert not self.bands(panel)
        _, text = drawn(gradient_flow.draw, gradients=pd.concat([wide, wide.assign(run_id="b")]), which="min")
        assert "over the losses of the run" not in text
        panel = new_panel()
        panel.crowded = True
        gradient_flow.draw({"gradients": wide}, panel, which="min")
        assert not self.bands(panel)
        assert "Bands" not in " ".join(panel.sentences)

    def test_runs_with_different_numbers_of_losses_are_counted_from_to(self):
        table = pd.concat([self.single_losses((1, 1, 1, 3)), self.single_losses((1, 1, 1, 8), run_id="b", line="B")])
        assert "the mean over 3 to 8 losses" in drawn(gradient_flow.draw, gradients=table, which="min")[1]

    def test_beside_single_losses_a_sum_is_warned_of_and_told_apart(self):
        single, of_sum = self.single_losses((1, 1, 1, 8), (1, 1, 1, 8)), gradients(lambda lag: 1, line="B", run_id="b")
        panel, text = drawn(
            gradient_flow.draw, gradients=pd.concat([single, of_sum.assign(readout_steps=6)]), which="min"
        )
        assert "a line of a run with lags.csv shows the gradient of a single timestep's loss" in text
        assert "the gradient of a run without lags.csv mixes them" in text
        assert panel.ax.get_ylabel() == "gradient norm"
        _, text = drawn(gradient_flow.draw, gradients=pd.concat([single, of_sum]), which="min")
        assert "mixes" not in text  # B has one loss only

    def test_lags_replace_the_sum_of_runs_with_several_losses_only(self):
        several = gradients(lambda lag: 1, readout_steps=6, **dict.fromkeys(("theory_gain", "theory_state"), None))
        several = several.assign(theory_sigmas=None)
        single = several.assign(run_id="b", readout_steps=1)
        lags = pd.DataFrame(
            [{"step": 1, "layer": layer, "state": "h", "loss_timestep": 6, "lag": lag, "grad_norm": 0.5**lag,
              "run_id": run_id, "readout_steps": steps}
             for run_id, steps in (("a", 6), ("b", 1)) for layer in (0, 1) for lag in range(6)]
        )  # fmt: skip
        rows = gradient_flow.select_rows({"gradients": pd.concat([several, single]), "lags": lags})["gradients"]
        norms = {str(run_id): list(part["grad_norm"]) for run_id, part in rows.groupby("run_id")}
        assert norms == {"a": [0.5**lag for lag in range(6)], "b": [1.0] * 6}

    def test_a_prediction_is_not_held_against_a_sum_of_losses(self):
        trained = gradients(lambda lag: 1, readout_steps=6).assign(run_id="a")
        probes = pd.DataFrame({"run_id": ["probe-a"], "layer": [0]})
        lags = pd.DataFrame({"step": 1, "layer": 0, "state": "h", "loss_timestep": 6, "lag": range(6), "run_id": "a"})
        lags = lags.assign(grad_norm=0.5 ** lags["lag"], readout_steps=6)
        for recorded, norms in ((pd.DataFrame(), []), (lags, list(lags["grad_norm"]))):
            rows = prediction.select_rows({"jacobian": probes, "gradients": trained, "lags": recorded})
            assert list(rows["gradients"]["grad_norm"]) == norms

    def test_a_gradient_of_0_everywhere_is_a_sentence(self):
        with pytest.raises(NothingToDraw, match="the gradient is 0 at every recorded timestep"):
            drawn(gradient_flow.draw, gradients=gradients(lambda lag: 0), which="min")
        with pytest.raises(NothingToDraw, match="the gradient is 0 at every recorded timestep"):
            drawn(gradient_map.draw, gradients=gradients(lambda lag: 0))

    def test_the_last_step_is_not_drawn_where_it_is_the_first(self):
        with pytest.raises(NothingToDraw, match="recorded at one step only"):
            drawn(gradient_flow.draw, gradients=gradients(lambda lag: 1), which="max")
        both = [gradients(lambda lag: 1), gradients(lambda lag: 1, steps=(1, 5), line="B", run_id="b")]
        panel, _ = drawn(gradient_flow.draw, gradients=pd.concat(both), which="max")
        assert [line.get_label() for line in panel.ax.get_lines()] == ["B"]


class TestGates:
    """No figure knows a gate, a state or a cell by name."""

    def gates(self, mean=0.2, std=0.1, steps=(1, 9), **columns):
        rows = [{"step": step, "timestep": timestep} for step in steps for timestep in (1, 2)]
        known = {"line": "A", "run_id": "a", "layer": 0, "gate": "leak", "mean": mean, "std": std}
        return pd.DataFrame(rows).assign(**{**known, "keeps": "s", "kept": mean, **columns})

    def test_the_caption_names_gate_and_state(self):
        assert "The gate that keeps s is the leak gate." in drawn(gates.draw, gates=self.gates(), which="min")[1]
        panel, text = drawn(gates.draw, gates=self.gates(kept=0.8), which="min")
        assert "The share of s that is kept is 1 minus the leak gate." in text
        assert list(panel.numbers[0].y) == [0.8, 0.8]

    def test_the_gain_is_that_of_the_state_that_is_kept(self):
        table = gradients(lambda lag: 0.8**lag, steps=(1, 9), states=("h", "s"))
        table.loc[table["state"] == "h", "grad_norm"] = 1.0
        panel, _ = drawn(gates.draw_gain, gates=self.gates(kept=0.8), gradients=table)
        numbers = {numbers.name: numbers.y for numbers in panel.numbers}
        np.testing.assert_allclose(numbers["A"], [0.8, 0.8])
        np.testing.assert_allclose(numbers["A, measured"], [0.8, 0.8])

    def test_a_cell_that_keeps_two_states_has_a_line_for_each(self):
        table = pd.concat([self.gates(), self.gates(gate="slow", keeps="r", mean=0.9, kept=0.9)])
        panel, text = drawn(gates.draw, gates=table, which="min")
        assert [numbers.name for numbers in panel.numbers] == ["A, s", "A, r"]
        assert "The gate that keeps r is the slow gate." in text
        assert "Dotted: the state r of a cell that keeps s, too." in text
        assert [line.get_linestyle() for line in panel.ax.get_lines()] == ["-", ":"]

    def test_means_are_solid_for_gates_that_keep_and_leave_out_what_is_no_gate(self):
        others = [self.gates(gate=gate, keeps="", kept=np.nan) for gate in ("first", "second")]
        candidate = self.gates(gate="proposal", keeps="", kept=np.nan, mean=0.01, std=0.5)
        table = gate_means.select_rows({"gates": pd.concat([*others, candidate, self.gates()])})
        panel, _ = drawn(gate_means.draw, **table)
        styles = {name: line.get_linestyle() for name, line in panel.other_entries.items()}
        assert styles == {"leak gate": "-", "first gate": "--", "second gate": ":"}

    def test_marked_timesteps_have_symbols_beside_the_line_of_the_others(self):
        marks = {"marked": [0.5, 0.0] * 2, "mean_marked": [0.9, np.nan] * 2, "mean_unmarked": [0.1, 0.3] * 2}
        without = self.gates(run_id="b", marked=np.nan, mean_marked=np.nan, mean_unmarked=np.nan)
        table = marked_timesteps.select_rows({"gates": pd.concat([self.gates(**marks), without])})
        assert set(table["gates"]["run_id"]) == {"a"}
        panel, _ = drawn(marked_timesteps.draw, **table, which="max")
        numbers = {numbers.name: (list(numbers.x), list(numbers.y)) for numbers in panel.numbers}
        assert numbers == {"A, leak": ([1, 2], [0.1, 0.3]), "A, leak, marked": ([1], [0.9])}


class TestGradientMap:
    def test_the_darkest_colour_is_the_norm_that_it_is(self):
        """Where the smallest norm is 1, dark is not next to nothing."""
        panel, text = drawn(gradient_map.draw, gradients=gradients(lambda lag: 2**lag))
        assert "The darkest colour is a norm of 1, the brightest one of 32." in text
        assert "Smaller" not in text
        assert panel.ax.collections[0].norm.vmin == pytest.approx(0)
        _, text = drawn(gradient_map.draw, gradients=gradients(lambda lag: 1e-4**lag))
        assert "The darkest colour is a norm of 1e-12, the brightest one of 1." in text
        assert "Smaller norms also have the darkest colour." in text

    def test_a_state_that_flows_stands_in_for_an_h_that_only_the_readout_uses(self):
        read_out, flowing = (
            gradients(norm, states=(state,))
            for state, norm in (("h", lambda lag: lag == 0), ("z", lambda lag: 0.9**lag))
        )
        table = gradient_map.select_rows({"gradients": pd.concat([read_out, flowing])})
        panel, text = drawn(gradient_map.draw, **table)
        assert panel.title == "state z"
        assert "A: the state z instead of h, whose gradient is 0 before the last timestep." in text
        assert "0: underflow" not in panel.other_entries
        vanished = pd.concat([read_out, flowing.assign(grad_norm=read_out["grad_norm"])])
        panel, text = drawn(gradient_map.draw, **gradient_map.select_rows({"gradients": vanished}))
        assert "instead of h" not in text
        assert "0: underflow" in panel.other_entries

    def test_nothing_is_said_of_learning(self):
        assert "learn" not in gradient_map.CAPTION + gradient_map.__doc__
        assert "count" not in gradient_map.CAPTION


def shares(values, steps=(1,), **columns):
    rows = [
        {"step": step, "parameter": "layers.0.weight_hh", "first_timestep": i, "last_timestep": i, "share": value}
        for step in steps
        for i, value in enumerate(values, 1)
    ]
    return pd.DataFrame(rows).assign(**{"line": "A", "run_id": "a", "readout_steps": 1} | columns)


class TestContributions:
    def map_of(self, table):
        return drawn(contribution_map.draw, contributions=table)

    def test_colours_are_explained_where_they_are(self):
        _, text = self.map_of(shares([0.2, 0.8]))
        assert "Red: the window adds to the gradient." in text
        assert "Blue" not in text
        assert "Blue: the window points against the whole gradient." in self.map_of(shares([-0.2, 1.2]))[1]
        assert "White: a share of 0." in text

    def test_what_is_missing_is_hatched_and_not_white(self):
        """After divergence there are no shares: that is not a share of 0."""
        panel, text = self.map_of(pd.concat([shares([0.5, 0.5]), shares([np.nan, np.nan], steps=(2,))]))
        assert "Hatched: no shares, because the whole gradient is 0 or not finite." in text
        assert [patch.get_hatch() for patch in panel.ax.patches] == ["////"]
        panel, text = self.map_of(shares([0.5, 0.5], steps=(1, 2)))
        assert "Hatched" not in text
        assert not panel.ax.patches

    def test_without_shares_there_is_a_sentence(self):
        for draw in (contribution_map.draw, contributions.draw):
            options = {} if draw is contribution_map.draw else {"which": "min"}
            with pytest.raises(NothingToDraw, match="no shares: the whole gradient of the recurrent weights is 0"):
                drawn(draw, contributions=shares([np.nan, np.nan]), **options)

    def test_a_negative_share_is_explained_where_there_is_one(self):
        assert "below 0" not in drawn(contributions.draw, contributions=shares([0.2, 0.8]), which="min")[1]
        assert "below 0" in drawn(contributions.draw, contributions=shares([-0.2, 1.2]), which="min")[1]


def metrics(scales, losses=None, **columns):
    steps = range(1, len(scales) + 1)
    table = pd.DataFrame({"step": steps, "loss": losses or 1.0, "grad_norm": 2.0, "clip_scale": scales})
    table["clipped_grad_norm"] = 2 * table["clip_scale"]
    known = {"line": "A", "run_id": "a", "clip": "norm", "clip.threshold": 1.0, "plain_sgd": True}
    return table.assign(**known | columns)


class TestClipping:
    @pytest.mark.parametrize(
        ("scales", "columns", "said"),
        [
            ([0.5, 0.5], {}, True),
            ([0.5, 0.5], {"plain_sgd": False}, False),  # Adam, or momentum: the threshold is not the step
            ([0.5, 0.5], {"clip": "value"}, False),
            ([1.0, 1.0, 1.0], {}, None),
        ],
    )
    def test_the_threshold_is_the_step_only_of_plain_sgd(self, scales, columns, said):
        if said is None:
            with pytest.raises(NothingToDraw, match="no step was clipped"):
                drawn(clipping.draw_share, metrics=metrics(scales, **columns))
            return
        _, text = drawn(clipping.draw_share, metrics=metrics(scales, **columns))
        assert ("as long as the threshold times the learning rate" in text) is said

    def test_not_where_a_stretch_is_clipped_in_part_only(self):
        table = metrics([0.5, 1.0] * 60)  # 120 steps: stretches of two, of which one is clipped
        assert "plain SGD" not in drawn(clipping.draw_share, metrics=table)[1]

    def test_dashed_and_dotted_are_explained_where_they_are_drawn(self):
        texts = [
            drawn(clipping.draw, metrics=table)[1]
            for table in (metrics([1, 1]), metrics([1, 0.5]), metrics([1, 0.5], clip="value"))
        ]
        assert ["dashed: the norm after it" in text for text in texts] == [False, True, True]
        assert ["Dotted: the clipping threshold" in text for text in texts] == [True, True, False]

    def test_without_clipping_the_share_is_a_sentence(self):
        with pytest.raises(NothingToDraw, match="no clipping"):
            drawn(clipping.draw_share, metrics=metrics([1.0, 1.0], clip="none"))


def evaluation(**columns):
    known = {"line": "A", "run_id": "a", "error": 0.5, "chance_loss": 1.0, "chance_error": 0.9}
    return pd.DataFrame({"step": [1, 4]}).assign(**known | columns)


def test_a_jump_is_marked_where_the_median_hides_it():
    """120 steps are drawn as medians of stretches of two; five runs, of which one jumps."""
    calm = [metrics([1.0] * 120, losses=[1.0] * 120, run_id=f"{i}") for i in range(4)]
    jumping = metrics([1.0] * 120, losses=[1.0] * 60 + [1e5] + [1.0] * 59, run_id="jumps")
    panel, text = drawn(training.draw_loss, metrics=pd.concat([*calm, jumping]), evaluation=evaluation())
    (mark,) = [line for line in panel.ax.get_lines() if line.get_marker() == "x"]
    assert mark.get_ydata() == [1e5]
    assert "Crosses: a run's largest loss near that step" in text
    panel, text = drawn(training.draw_loss, metrics=pd.concat(calm), evaluation=evaluation())
    assert "Crosses" not in text
    assert "the median over bins of 2 steps" in text


def test_chance_is_explained_where_it_is_drawn():
    for chance, there in ((0.9, True), (np.nan, False)):
        _, text = drawn(training.draw_error, metrics=metrics([1]), evaluation=evaluation(chance_error=chance))
        assert ("Dotted: chance" in text) is there


def test_a_median_over_fewer_runs_is_said():
    """After a run has diverged the median is over the others."""
    table = pd.concat([metrics([1, 1, 1], run_id="long"), metrics([1], run_id="short")])
    said = "after it has ended, the median is over the other runs"
    assert said in drawn(training.draw_loss, metrics=table, evaluation=evaluation())[1]
    assert said not in drawn(training.draw_loss, metrics=metrics([1, 1]), evaluation=evaluation())[1]


def summary(rows, **columns):
    known = {"line": "A", "kind": "training", "steps": 100, "diverged_at_step": np.nan, "readout_steps": 1}
    table = pd.DataFrame(rows)
    known |= {"run_id": [str(i) for i in range(len(table))], "timesteps": table["task.length"], "horizon_resolution": 1}
    return table.assign(**known | columns)


class TestHorizon:
    rows = ({"task.length": 20, "horizon": 5, "horizon_at_init": 3, "solved": 1},)

    def test_a_run_that_solved_beyond_its_horizon_is_not_denied(self):
        panel, text = drawn(horizon.draw, summary=summary(self.rows), x="task.length", column="horizon")
        assert "train the network" not in text + horizon.CAPTION
        assert "solved" in panel.other_entries
        assert "not solved" not in panel.other_entries

    def test_a_task_without_a_criterion_is_not_unsolved(self):
        panel, _ = drawn(horizon.draw, summary=summary(self.rows, solved=np.nan), x="task.length", column="horizon")
        labels = set(panel.other_entries)
        assert "no criterion" in labels
        assert not labels & {"solved", "not solved"}

    @pytest.mark.parametrize("columns", [{"steps": 1}, {"kind": "probe"}, {"diverged_at_step": 1}])
    def test_untrained_runs_have_no_panel_of_their_last_step(self, columns):
        table = summary(self.rows, **columns)
        with pytest.raises(NothingToDraw, match="no run was trained for more than one step"):
            drawn(horizon.draw, summary=table, x="task.length", column="horizon")
        drawn(horizon.draw, summary=table, x="task.length", column="horizon_at_init")

    def test_a_horizon_of_single_losses_is_not_said_to_mix_them(self):
        _, text = drawn(horizon.draw, summary=summary(self.rows, readout_steps=20), x="task.length", column="horizon")
        assert "the horizon is that of a single timestep's loss" in text
        assert "mixes" not in text
        _, text = drawn(horizon.draw, summary=summary(self.rows), x="task.length", column="horizon")
        assert "single timestep" not in text

    def test_the_whole_sequence_is_drawn_where_there_is_one_length(self):
        rows = [self.rows[0] | {"init.gain": 1.0}, self.rows[0] | {"init.gain": 1.0, "task.length": 40}]
        assert "Dotted" in drawn(horizon.draw, summary=summary(rows), x="task.length", column="horizon")[1]
        assert "Dotted" not in drawn(horizon.draw, summary=summary(rows), x="init.gain", column="horizon")[1]


def test_success_says_that_no_run_solved_the_task():
    rows = [{"task.length": length, "solved": 0} for length in (10, 20, 20)]
    with pytest.raises(NothingToDraw, match="none of 3 runs solved the task"):
        drawn(success.draw, summary=summary(rows), x="task.length")


class TestPhase:
    def grid(self, gains, xs=(0.01, 0.1, 1.0), ys=(10, 20, 80), column="gain_per_timestep", **columns):
        rows = [
            {"x": x, "task.length": y, column: gain}
            for y, row in zip(ys, gains, strict=True)
            for x, gain in zip(xs, row, strict=True)
        ]
        table = summary(rows, **columns)
        return drawn(phase.draw, summary=table, x="x", y="task.length", column=column)

    def test_colours_and_line_are_explained_where_they_are(self):
        _, text = self.grid([[0.5, 0.6, 0.7]] * 3)
        assert "Blue: below 1" in text
        assert not any(word in text for word in ("Red", "Black", "Hatched"))
        _, text = self.grid([[1.5, 1.6, 1.7]] * 3)
        assert "Red: above 1" in text
        assert not any(word in text for word in ("Blue", "Black"))
        _, text = self.grid([[0.5, 0.6, 1.7]] * 3)
        assert all(word in text for word in ("Red", "Blue", "Black line: gain_per_timestep is 1"))
        _, text = self.grid([[0.5, np.nan, 0.7]] * 3)
        assert "Hatched: no run there has a value." in text

    def test_another_column_has_no_gains_colours(self):
        table = [[1.0, 5.0, 9.0]] * 3
        _, text = self.grid(table, column="max_grad_norm", gain_at_init=0.5)
        assert not any(word in text for word in ("Red", "Blue", "Black", "gain"))

    def test_the_line_over_another_column_says_of_which_gain_it_is(self):
        gains = [0.5, 0.6, 1.7] * 3
        _, text = self.grid([[1.0, 5.0, 9.0]] * 3, column="max_grad_norm", gain_at_init=gains)
        assert "Black line: gain_at_init is 1" in text

    def test_whose_gain_it_is_follows_the_runs(self):
        gains = [[0.5, 0.6, 0.7]] * 3
        assert "of the loss's gradient at the last recorded step" in self.grid(gains)[1]
        assert "of the Jacobians, in all directions" in self.grid(gains, kind="probe")[1]

    def test_cells_lie_to_scale(self):
        panel, _ = self.grid([[0.5, 0.6, 0.7]] * 3)
        corners = panel.ax.collections[0].get_coordinates()
        assert (panel.ax.get_xscale(), panel.ax.get_yscale()) == ("log", "log")
        np.testing.assert_allclose(corners[0, :, 0], 10 ** np.array([-2.5, -1.5, -0.5, 0.5]))
        np.testing.assert_allclose(np.log(corners[1:-1, 0, 1]), np.log([10 * 2**0.5, 40]))
        assert [tick.get_text() for tick in panel.ax.get_xticklabels()] == ["0.01", "0.1", "1"]
        panel, _ = self.grid([[0.5, 0.6, 0.7]] * 3, xs=(1, 2, 6), ys=(10, 20, 30))
        corners = panel.ax.collections[0].get_coordinates()
        assert (panel.ax.get_xscale(), panel.ax.get_yscale()) == ("log", "linear")
        np.testing.assert_allclose(corners[:, 0, 1], [5, 15, 25, 35])
        panel, _ = self.grid([[0.5, 0.6, 0.7]] * 3, xs=(-1.0, 0.0, 6.0))
        np.testing.assert_allclose(panel.ax.collections[0].get_coordinates()[0, :, 0], [-1.5, -0.5, 3, 9])

    def test_words_stand_side_by_side(self):
        panel, text = self.grid([[0.5, 0.6, 0.7]] * 3, xs=("none", "a", "b"), ys=("u", "v", "w"), timesteps=5)
        np.testing.assert_allclose(panel.ax.collections[0].get_coordinates()[0, :, 0], [-0.5, 0.5, 1.5, 2.5])
        assert "to scale" not in text

    def test_without_values_there_is_a_sentence(self):
        with pytest.raises(NothingToDraw, match="no run has a value of gain_per_timestep"):
            self.grid([[np.nan] * 3] * 3)


@pytest.mark.parametrize("seed", range(3))
def test_the_printed_rank_correlation_does_not_hang_on_last_digits(seed):
    generator = np.random.default_rng(seed)

    def moved():
        return 1 + generator.uniform(-1, 1) * 1e-6

    gains = [0.5, 0.5, 0.8, 0.8, 1.2, 1.2]
    jacobian, steps = [], []
    for i, gain in enumerate(gains):
        predicted, measured = gain * moved(), gain * moved()
        steps.append(gradients(lambda lag, gain=measured: gain**lag, run_id=f"{i}"))
        lags = {"layer": 0, "lag": range(6), "log10_mean_squared_sv": 2 * np.arange(6) * np.log10(predicted)}
        jacobian.append(pd.DataFrame(lags).assign(run_id=f"probe-{i}", line="A"))
    panel, _ = drawn(prediction.draw, jacobian=pd.concat(jacobian), gradients=pd.concat(steps))
    assert panel.title == "6 networks, rank correlation 1.000"
    panel, _ = drawn(prediction.draw, jacobian=jacobian[0], gradients=steps[0])
    assert panel.title == "1 network"


@pytest.mark.parametrize("bound", [0.1, 50.0])
def test_a_bound_above_1_does_not_set_the_axis_of_the_dependence(bound):
    lags = pd.DataFrame(
        {"lag": range(3), "column": "a", "dependence": [0.9, 0.0, 0.0], "bound": [0.1, bound, bound], "rows": 9}
    )
    panel, text = drawn(
        reach_vs_data.draw_data, data_lags=lags.assign(line="A", run_id="a"), gradients=gradients(lambda lag: 1)
    )
    assert 0.9 < panel.ax.get_ylim()[1] < 1.1
    assert ("Where the bound is above 1, no dependence can be told from noise." in text) == (bound > 1)


def test_what_minus_infinity_means_is_said_of_a_spectrum():
    table = pd.DataFrame({"index": [1, 2], "exponent": [-0.1, -np.inf], "line": "A", "run_id": "a"})
    panel, text = drawn(spectrum.draw_exponents, lyapunov=table)
    assert [line.get_marker() for line in panel.ax.get_lines()].count("v") == 1
    assert "Triangles at the bottom: a singular value of 0, or an exponent of minus infinity." in text
    assert "Triangles" not in drawn(spectrum.draw_exponents, lyapunov=table[:1])[1]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Small studies of each kind: compared, diverged, of one step, with a loss everywhere, of lengths, probed."""
    results = tmp_path_factory.mktemp("results")
    small = ["model.hidden_size=4", "batch_size=2", "task.length=6", "record.evaluate_samples=4", "record.windows=3"]

    def make(study, *overrides, do=run):
        do(compose([*small, "steps=4", "record.every=2", *overrides, f"study.name={study}", f"results_dir={results}"]))

    for seed in ("seed=0", "seed=1"):
        for cell in ("cell=rnn", "cell=lstm"):
            for clip in ("none", "norm"):
                make("compared", cell, f"clip={clip}", seed, *(["clip.threshold=0.1"] * (clip == "norm")))
        exploding = ["cell.nonlinearity=relu", "init=identity", "init.gain=1e9", "task.length=12"]
        make("diverged", *exploding, "optimizer=sgd", "optimizer.lr=1e9", seed)
        make("copied", "task=copy", "task.length=3", seed)
    for gain in (0.5, 1.0, 2.0):
        for length in (4, 6):
            one = ["init=orthogonal", f"init.gain={gain}", f"task.length={length}", "steps=1", "probe.batches=1"]
            make("probed", *one, "probe.samples=2")
            make("probed", *one, "probe.samples=2", do=probe)
    for cell in ("cell=rnn", "cell=gru"):
        for length in (4, 6):
            make("lengths", cell, f"task.length={length}")
    return results


@pytest.fixture(scope="module")
def drawn_of(studies):
    """All figures of a study by name, each drawn once."""

    @cache
    def draw(study):
        drawer, figures = FigureDrawer(read_runs(studies / study), View()), {}
        with mpl.rc_context(settings()):
            for name in NAMES:
                with suppress(LeftOut):
                    figures[name] = drawer.draw(name).figure
        return figures

    return draw


def is_blank(ax):
    """Whether a sentence stands in the place of a panel."""
    return not ax.axison


def marks_of(figure):
    """What there is to explain in a figure: its looks, by the words that a caption has for them."""
    axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>" and not is_blank(ax)]
    lines = [
        line
        for ax in axes
        for line in ax.get_lines()
        if np.isfinite(np.asarray(line.get_ydata(), float)).any() and len(np.ravel(line.get_xdata()))
    ]
    styles = {line.get_linestyle() for line in lines if len(np.ravel(line.get_xdata())) > 1}
    there = {"(?<!-)[Dd]otted": ":" in styles, "[Dd]ashed": "--" in styles, "Dash-dotted": "-." in styles}
    there["Triangles"] = any(
        line.get_marker() in ("v", "^") and line.get_linestyle() == "None" and not line.get_clip_on() for line in lines
    )
    there["Crosses"] = any(line.get_marker() == "x" for line in lines)
    there["Bands"] = any(isinstance(band, PolyCollection) for ax in axes for band in ax.collections)
    there["Hatched"] = any(patch.get_hatch() for ax in axes for patch in ax.patches)
    there["Black line"] = any(type(lines).__name__ == "QuadContourSet" for ax in axes for lines in ax.collections)
    return there


@pytest.mark.parametrize("study", ["compared", "diverged", "copied", "probed", "lengths"])
def test_each_mark_is_explained_and_nothing_else(drawn_of, study):
    """In the caption, or by an entry of the legend that looks like it."""
    for name, figure in drawn_of(study).items():
        caption = figure.get_supxlabel().replace("\n", " ")
        entries = {line.get_linestyle() for legend in figure.legends for line in legend.get_lines()}
        looks = {"(?<!-)[Dd]otted": ":", "[Dd]ashed": "--"}
        for word, there in marks_of(figure).items():
            explained = re.search(word, caption)
            if explained:
                assert there, f"{study}, {name}: there is nothing {word}: {caption}"
            if there:
                assert explained or looks.get(word) in entries, f"{study}, {name}: {word} is not explained"


def test_panels_that_would_be_identical_are_drawn_once(drawn_of):
    """Clipping changes nothing before training."""
    figures = drawn_of("compared")
    for name in ("gradient_flow", "contributions"):
        before, same = figures[name].axes[:2]
        assert not is_blank(before)
        assert [text.get_text() for text in same.texts] == ["the same as for clip = none"]
        assert not same.lines
        assert not any(map(is_blank, figures[name].axes[2:]))
    probed = drawn_of("probed")["gradient_flow"].axes
    assert {ax.get_title().rpartition(", ")[2] for ax in probed} == {"before training"}


def test_what_has_nothing_to_show_is_named_and_maps_show_no_probes(studies, tmp_path):
    """In the caption, and by the command if the figure was asked for: here rnn, which has no gates."""
    drawer = FigureDrawer(read_runs(studies / "lengths"), View())
    with mpl.rc_context(settings()):
        captions = {name: drawer.draw(name).figure.get_supxlabel().replace("\n", " ") for name in ("gates", "training")}
    sentence = "There is nothing to show of rnn: no gate that keeps a state was recorded."
    assert captions["gates"].endswith(sentence)
    assert "nothing to show" not in captions["training"]
    asked = plot_studies([studies / "lengths"], names=["gates", "training"], formats=["csv"], folder=tmp_path)
    assert asked.notes == [f"gates: {sentence}"]
    assert plot_studies([studies / "lengths"], formats=["csv"], folder=tmp_path).notes == []

    probes = FigureDrawer([run for run in read_runs(studies / "probed") if run.is_probe], View())
    for name, instead in (("gradient_map", "gradient_flow"), ("contribution_map", "contributions")):
        with pytest.raises(LeftOut, match=f"a probe has no training steps; see {instead}"):
            probes.draw(name)
    with mpl.rc_context(settings()):
        assert {ax.get_xlabel() for ax in probes.draw("clipping").figure.axes} == {"batch"}


@pytest.mark.parametrize(
    ("info", "titles"),
    [
        ({"status": "completed"}, ("before training", "at the last step")),
        ({"status": "interrupted"}, ("before training", "at the last recorded step (51)")),
        ({"kind": "probe", "status": "completed", "checkpoint": "network.pt"}, ("trained network", "at the last step")),
    ],
)
def test_titles_say_which_network_and_step_is_shown(info, titles):
    run = Run(Path("a"), {}, info)
    panels = [new_panel(), new_panel()]
    panels[0].title, panels[1].title = "before training", "at the last step"
    name_steps(panels, [run], pd.DataFrame({"run_id": [run.id] * 2, "step": [1, 51]}))
    assert tuple(panel.title for panel in panels) == titles


def test_of_many_lines_with_nothing_to_show_six_are_named_and_other_runs_are_counted():
    runs = [
        Run(Path(f"{cell}{seed}"), {"cell": cell, "seed": seed}, {"timesteps": 1})
        for cell in "abcdefghi"
        for seed in (0, 1)
    ]
    grouping = group_runs(runs, compare="cell")
    kind = read_figure("training")
    ids = {run.id for run in runs}
    assert say_left_out(kind, grouping, ids) == ""
    assert say_left_out(kind, grouping, {"a0", "a1", "b1"}) == (
        "There is nothing to show of c, d, e, f, g, h, 1 more and 1 of 4 other runs."
    )
    assert say_left_out(kind, grouping, ids - {"i0"}) == "There is nothing to show of 1 of 18 runs."
    assert say_left_out(replace(kind, if_missing="no luck"), grouping, ids - {"i0", "i1"}) == (
        "There is nothing to show of i: no luck."
    )


def test_a_panel_of_zeros_is_a_sentence(drawn_of):
    figure = drawn_of("compared")["clipping"]
    norms, _, off, shares_ = figure.axes
    assert [text.get_text() for text in off.texts] == ["no clipping"]
    assert not is_blank(norms)
    assert shares_.yaxis.label.get_visible()  # the first of its row that has an axis


@pytest.mark.parametrize("name", ["gradient_flow", "contributions", "horizon", "gates"])
def test_before_and_after_training_have_the_same_limits(drawn_of, name):
    study = "lengths" if name in ("horizon", "gates") else "compared"
    figure = drawn_of(study)[name]
    before, after = (
        [ax for ax in figure.axes if ax.get_title().endswith(title) and not is_blank(ax)]
        for title in ("before training", "at the last step")
    )
    assert before
    assert after
    assert len({ax.get_ylim() for ax in before + after}) == 1
