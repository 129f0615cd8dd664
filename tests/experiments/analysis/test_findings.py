"""The findings of runs, on made-up tables for which a careless sentence would be false."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.configuration_findings import describe_best_trial, describe_configurations
from experiments.analysis.findings import against_chance, describe_run, probe_readings
from experiments.analysis.summary import summarize_runs
from tests.experiments.analysis.conftest import LENGTH

FLAT = [1.0] * 10


def falling(by, until=1e-30):
    return [max(until, 10.0 ** (-by * i)) for i in range(10)]


def metrics(norms, **columns):
    steps = range(1, len(norms) + 1)
    return {
        "step": steps,
        "loss": 1.0,
        "grad_norm": norms,
        "clipped_grad_norm": norms,
        "clip_scale": 1.0,
        "lr": 0.1,
    } | (columns)


def evaluation(*errors, chance=0.9, samples=360, solved=None):
    return {
        "step": [1 + 50 * i for i in range(len(errors))], "loss": 1.0, "error": errors,
        "solved": solved or [0] * len(errors), "chance_loss": 1.0, "chance_error": chance, "samples": samples,
    }  # fmt: skip


def said(run):
    return describe_run(run, summarize_runs([run])[0].to_dict("records")[0])


def said_together(*runs):
    (sentence,) = describe_configurations(runs, *summarize_runs(runs)).values()
    return sentence


# The flow of the gradient.


def test_a_gradient_that_vanishes_is_spoken_of_at_its_step_only(write):
    """Networks whose gradient vanishes before training may solve the task later: all GRUs of the reference do."""
    run = write("gru", states={"h": (falling(1), FLAT)}, tables={"evaluation": evaluation(0.64, 0.0, solved=[0, 1])})
    one, together = said(run), said_together(run)
    assert one.startswith(
        "at step 51, the gradient arrives: at timestep 10 of 100, the earliest recorded, its norm is 1 "
    )
    assert together.startswith("before training, the gradient vanishes: horizon 30 of 99, recorded 10 timesteps apart")
    assert "; at step 51, the gradient arrives: 1 times as large at the earliest recorded timestep" in together
    for sentence in (one, together):
        assert "solved" in sentence
        assert "do not train" not in sentence


def test_a_single_run_says_which_timesteps_get_less_than_a_thousandth(write):
    run = write("rnn", states={"h": (FLAT, falling(2, until=1e-4))})
    assert said(run) == (
        "at step 51, the gradient vanishes: timesteps before 85 of 100 get less than a thousandth of what the last one "
        "gets (horizon 15, recorded 10 timesteps apart)"
    )
    assert "horizon 15 of 99" in said_together(run)
    assert summarize_runs([run])[0]["horizon"].item() == 15


def test_with_every_timestep_recorded_nothing_is_said_of_a_resolution(write):
    run = write("rnn", states={"h": ([1.0] * LENGTH, [0.5**lag for lag in range(LENGTH)])})
    assert said(run).endswith("(horizon 9)")
    assert "recorded every" not in said(run) + said_together(run)


@pytest.mark.parametrize(("last", "fate"), [(2.9e2, "grows"), (1.0, "arrives"), (0.09, "shrinks"), (1.1e-3, "shrinks")])
def test_what_keeps_a_thousandth_neither_vanishes_nor_explodes(write, last, fate):
    """A fitted gain of 0.93 would make 1e-3 over 100 timesteps, though the horizon is T - 1."""
    run = write("rnn", states={"h": (FLAT, [*np.geomspace(1, last / 50, 9), last])})
    for sentence in (said(run), said_together(run)):
        assert f"at step 51, the gradient {fate}: " in sentence
        assert f"{last:.3g} times" in sentence
        assert not re.search("vanish|explode|horizon", sentence)


def test_a_gradient_that_dips_and_comes_back_has_not_vanished(write):
    run = write("rnn", states={"h": (FLAT, [1, 1e-2, 1e-4, 1e-4, 1e-3, *[1e-2] * 5])})
    assert "vanish" not in said(run) + said_together(run)


def test_an_explosion_is_not_said_to_arrive(write):
    run = write("rnn", states={"h": (FLAT, falling(-0.5))})
    for sentence in (said(run), said_together(run)):
        assert "at step 51, the gradient explodes" in sentence
        assert "3.16e+04 times" in sentence


def test_a_gradient_beyond_the_numbers_is_placed_between_two_recorded_timesteps(write):
    run = write("rnn", dtype="float32", states={"h": (FLAT, [1, 1e20, 1e38, *[math.inf] * 7])})
    assert said(run) == "at step 51, the gradient leaves the range of float32 between timesteps 80 and 70 of 100"
    assert "explodes: inf times as large at the earliest recorded timestep" in said_together(run)


def test_an_overflow_that_the_run_placed_itself_is_said_as_it_is(write):
    placed = {"timestep": 63, "layer": 0, "state": "h"}
    run = write("rnn", dtype="float32", states={"h": (FLAT, [1, math.inf] * 5)}, info={"overflow": placed})
    assert said(run) == "the gradient of h in layer 0 leaves the range of float32 at timestep 63 of 100"
    run = write("rnn", 1, states={"h": (FLAT, FLAT)}, info={"overflow": None})
    assert "leaves the range" not in said(run)


@pytest.mark.parametrize("norms", [[math.nan] * 10, [math.inf] * 10, [0.0] * 10, [1.0, *[math.nan] * 9]])
def test_of_a_gradient_that_is_not_known_nothing_is_said(write, norms):
    run = write("rnn", states={"h": (norms, norms)})
    assert said(run) == said_together(run) == "no gradient and no error was recorded"


def test_an_lstm_is_judged_by_the_state_that_carries_its_gradient(write):
    run = write(states={"h": (FLAT, falling(1)), "c": (FLAT, falling(0.1))})
    assert said(run).startswith("at step 51, the gradient of the state c arrives: at timestep 10 of 100")
    assert "0.126 times" in said(run)
    assert "at step 51, the gradient of the state c arrives" in said_together(run)
    assert "vanish" not in said(run) + said_together(run)


def test_the_state_that_carries_is_named_whatever_it_is_called(write):
    """A cell of the user's own may have any states; of those that reach as far as h, h is named."""
    run = write("mine", states={"h": (FLAT, falling(1)), "memory": (FLAT, FLAT), "trace": (FLAT, falling(0.5))})
    for sentence in (said(run), said_together(run)):
        assert "at step 51, the gradient of the state memory arrives" in sentence
    assert "before training, the gradient arrives" in said_together(run)


def test_a_seed_that_failed_does_not_hide_the_cell_state(write):
    runs = [write("lstm", 0, states={"h": (FLAT, falling(1)), "c": (FLAT, FLAT)}), write("lstm", 1)]
    assert "at step 51, the gradient of the state c in 1 of them arrives" in said_together(*runs)


def test_a_stack_says_which_layer_it_speaks_of(write):
    run = write("rnn", states={"h": (FLAT, FLAT)}, model__num_layers=2)
    assert "the gradient in layer 0 arrives" in said(run)
    assert "the gradient in layer 0 arrives" in said_together(run)


def with_underflow(first, last):
    return {
        "gradients": [
            {"step": step, "layer": 0, "state": "h", "timestep": LENGTH - lag, "lag": lag, "grad_norm": 1.0}
            | {"underflow": share}
            for step, shares in ((1, first), (51, last))
            for lag, share in zip((0, 50), shares, strict=True)
        ]
    }


def test_what_share_of_the_gradient_was_too_small_is_said(write):
    tables = with_underflow([0.0, 1.0], [0.0, 0.5])
    flushed = write("rnn", tables=tables, flush_denormals=True, dtype="float32")
    assert "37.5% of the gradient's entries at 2 recorded steps were 0 or below 1.2e-38" in said(flushed)
    assert (
        "50% of the gradient's entries before training and 25% at the last recorded step were 0 or below 1.2e-38"
    ) in said_together(flushed)
    kept = write("gru", tables=tables, flush_denormals=False, dtype="float32")
    exact = write("lstm", tables=tables, flush_denormals=True, dtype="float64")
    for run, smallest in ((flushed, "1.2e-38"), (kept, "1.2e-38"), (exact, "2.2e-308")):
        for sentence in (said(run), said_together(run)):
            assert f"were 0 or below {smallest}" in sentence
            assert "rounded" not in sentence  # the units of a relu network that are off have a gradient of 0, too


def test_where_nothing_was_too_small_or_nobody_looked_nothing_is_said_of_it(write):
    for cell, run in (
        ("rnn", {"tables": with_underflow([0.0, 0.0], [0.0, 0.0])}),
        ("gru", {"states": {"h": (FLAT, FLAT)}}),
    ):
        read = write(cell, flush_denormals=True, dtype="float32", **run)
        assert "entries" not in said(read) + said_together(read)
    assert summarize_runs([read])[0][["underflow_at_init", "underflow"]].isna().all(axis=None)


def test_seeds_that_differ_are_counted(write):
    runs = [write("gru", seed, states={"h": (FLAT, falling(by))}) for seed, by in enumerate((0.1, 1, 1.5))]
    sentence = said_together(*runs)
    assert sentence.startswith("medians (ranges) over 3 seeds; before training, the gradient arrives: ")
    assert "vanishes in 2, arrives in 1: horizon 30 (20 to 99) of 99" in sentence


def test_seeds_without_a_record_are_not_counted(write):
    runs = [write("gru", 0, states={"h": (FLAT, FLAT)}), write("gru", 1), write("gru", 2)]
    assert "the gradient in 1 of them arrives" in said_together(*runs)


def test_a_gain_that_one_seed_lacks_is_not_given_for_all(write):
    runs = [write("gru", seed, states={"h": (FLAT, norms)}) for seed, norms in enumerate((falling(1), [1] + [0.0] * 9))]
    assert "gain" not in said_together(*runs).split("at step 51")[1]


def test_one_step_is_one_moment(write):
    run = write("rnn", states={"h": (FLAT, FLAT)}, steps=1)
    assert said_together(run).count("the gradient") == 1


def test_the_last_step_is_named_only_where_all_seeds_came_to_it(write):
    runs = [
        write("rnn", seed, states={"h": (FLAT, FLAT)}, info={"status": status})
        for seed, status in enumerate(("completed", "interrupted"))
    ]
    sentence = said_together(*runs)
    assert "at the last recorded step, the gradient arrives" in sentence
    assert "at step 51" not in sentence
    assert sentence.endswith("1 of 2 runs interrupted")


def test_a_task_with_a_loss_at_every_timestep_has_no_reach(write):
    run = write("rnn", states={"h": (FLAT, FLAT)}, info={"readout_steps": LENGTH})
    for sentence in (said(run), said_together(run)):
        assert sentence == "reach unknown: the gradients of 100 losses add up (record.lags=true records them apart)"


# The gradient of single timesteps' losses.


def single_losses(*losses, steps=(1, 51), state="h", apart=10):
    """Rows of lags.csv: each loss is its timestep and its norms at lags 0, 10, ..., at all steps."""
    return [
        {"step": step, "layer": 0, "state": state, "loss_timestep": t, "lag": apart * i, "grad_norm": norm}
        for step in steps
        for t, norms in losses
        for i, norm in enumerate(norms)
    ]


EVERYWHERE = {"readout_steps": LENGTH}


def test_the_sum_of_all_losses_does_not_hide_that_each_vanishes(write):
    tables = {"lags": single_losses((50, falling(1)[:5]), (100, falling(1)))}
    run = write("rnn", states={"h": (FLAT, FLAT)}, tables=tables, info=EVERYWHERE)
    one, together = said(run), said_together(run)
    assert one == (
        "at step 51, the gradient of a single timestep's loss vanishes: more than 30 timesteps before that loss, its "
        "norm is less than a thousandth of that at the loss (horizon 30, recorded 10 timesteps apart, mean over 2 "
        "losses)"
    )
    assert "before training, the gradient of a single timestep's loss vanishes: horizon 30 of 99" in together
    assert "mean over 2 losses, at the largest lag over 1" in together
    assert summarize_runs([run])[0][["horizon", "horizon_at_init"]].to_numpy().tolist() == [[30, 30]]


def test_a_loss_with_a_large_gradient_does_not_decide_alone(write):
    large = [1e6 * norm for norm in falling(1)]
    run = write("rnn", tables={"lags": single_losses((99, FLAT), (98, FLAT), (100, large))}, info=EVERYWHERE)
    assert said(run) == (
        "at step 51, the gradient of a single timestep's loss arrives: 90 timesteps before that loss, the largest "
        "recorded lag, its norm is 0.667 times that at the loss (mean over 3 losses)"
    )
    assert "0.667 times as large at the largest recorded lag" in said_together(run)


def test_how_many_losses_a_sentence_rests_on_is_that_at_its_lag(write):
    """Only the last loss has 90 timesteps before it."""
    run = write("rnn", 0, tables={"lags": single_losses((50, FLAT[:5]), (75, FLAT[:8]), (100, FLAT))}, info=EVERYWHERE)
    assert "(for the only one of 3 losses with as many timesteps before it)" in said(run)
    lags = single_losses((50, FLAT[:5]), (75, falling(0.7)[:8]), (100, falling(0.7)))
    run = write("rnn", 1, tables={"lags": lags}, info=EVERYWHERE)
    assert "horizon 48, recorded 10 timesteps apart, mean over the 2 of 3 losses with as many timesteps" in said(run)
    run = write("rnn", 2, tables={"lags": single_losses((100, FLAT))}, info=EVERYWHERE)
    assert "times that at the loss (for the loss of one timestep)" in said(run)
    assert said_together(run).endswith("mean over 1 loss")


def test_a_loss_without_a_gradient_is_not_counted(write):
    for seed, nothing in enumerate((0.0, math.inf, math.nan)):
        lags = single_losses((98, [nothing] * 10), (99, FLAT), (100, FLAT))
        run = write("rnn", seed, tables={"lags": lags}, info=EVERYWHERE)
        assert "its norm is 1 times that at the loss (mean over 2 losses)" in said(run)
        assert "mean over 2 losses" in said_together(run)


def test_what_the_last_step_does_not_show_is_not_taken_from_the_first(write):
    lags = single_losses((99, FLAT), (100, FLAT), steps=(1,))
    lags += single_losses((99, [0.0] * 10), (100, [math.nan] * 10), steps=(51,))
    run = write("rnn", states={"h": (FLAT, FLAT)}, tables={"lags": lags}, info=EVERYWHERE)
    assert said(run) == "no gradient and no error was recorded"
    assert "at step 51" not in said_together(run)
    assert "before training, the gradient of a single timestep's loss arrives" in said_together(run)
    outcome = summarize_runs([run])[0].iloc[0]
    assert (outcome["gain_at_init"], outcome["gain_per_timestep"], outcome["horizon"]) == (1, None, None)


def test_a_single_losses_gradient_that_is_nan_somewhere_is_not_known(write):
    lags = single_losses((99, [1.0, math.nan, *[1.0] * 8]), (100, FLAT))
    run = write("rnn", tables={"lags": lags}, info=EVERYWHERE)
    assert said(run) == said_together(run) == "no gradient and no error was recorded"


def test_a_single_losses_gradient_beyond_the_numbers_is_placed_before_its_loss(write):
    lags = single_losses((99, [1, 1e20, 1e38, *[math.inf] * 6]), (100, FLAT))
    run = write("rnn", dtype="float32", tables={"lags": lags}, info=EVERYWHERE)
    assert said(run) == (
        "at step 51, the gradient of a single timestep's loss leaves the range of float32 between 20 and 30 timesteps "
        "before that loss (mean over 2 losses)"
    )


def test_the_state_that_carries_a_single_loss_and_its_layer_are_named(write):
    lags = single_losses((100, falling(1))) + single_losses((100, FLAT), state="c")
    run = write("lstm", tables={"lags": lags}, info=EVERYWHERE, model__num_layers=2)
    for sentence in (said(run), said_together(run)):
        assert "the gradient of a single timestep's loss with respect to the state c in layer 0 arrives: " in sentence
        assert "vanish" not in sentence


def test_a_seed_that_did_not_record_lags_is_not_counted(write):
    recorded = {"lags": single_losses((100, FLAT))}
    runs = [
        write("rnn", seed, states={"h": (FLAT, FLAT)}, tables=tables, info=EVERYWHERE)
        for seed, tables in enumerate(({}, recorded, {}))
    ]
    assert "the gradient of a single timestep's loss in 1 of them arrives" in said_together(*runs)


def test_seeds_whose_means_are_over_different_numbers_say_so(write):
    runs = [
        write("rnn", seed, tables={"lags": single_losses(*losses)}, info=EVERYWHERE)
        for seed, losses in enumerate(([(100, FLAT)], [(99, FLAT), (100, FLAT)]))
    ]
    assert said_together(*runs).endswith("mean over 1 to 2 losses")


def test_with_a_single_loss_lags_change_nothing(write):
    plain = write("rnn", 0, states={"h": (FLAT, falling(1))})
    more = write("rnn", 1, states={"h": (FLAT, falling(1))}, tables={"lags": single_losses((100, FLAT))})
    assert said(plain) == said(more)
    assert said_together(plain) == said_together(more)


# The error beside chance.


@pytest.mark.parametrize(
    ("error", "samples", "verdict"),
    [
        (0.95, 200, "worse than chance"),
        (0.62, 200, "no better than chance on 200 sequences"),
        (1.0, 1, "no better than chance on 1 sequence"),
        (0.2, 200, "better than chance"),
    ],
)
def test_an_error_is_held_against_the_noise_of_its_samples(error, samples, verdict):
    assert against_chance(error, 0.64, samples, 1) == verdict


def test_a_chance_of_0_is_nothing_to_beat():
    assert against_chance(0.0, 0.0, 200, 5).startswith("nothing to beat")
    assert against_chance(0.01, 0.0, 200, 5) == "worse than chance"


@pytest.mark.parametrize("tries", [1, 20, 400])
def test_networks_that_guess_are_rarely_called_better(tries):
    draws = np.random.default_rng(0).binomial(1000, 0.64, size=(4000, tries)).min(axis=1) / 1000
    assert np.mean([against_chance(error, 0.64, 1000, tries) == "better than chance" for error in draws]) < 0.004


def test_one_seed_that_learned_is_not_hidden_by_two_that_did_not(write):
    runs = [write("gru", i, tables={"evaluation": evaluation(0.9, e)}) for i, e in enumerate((0.717, 0.897, 0.9))]
    sentence = said_together(*runs)
    assert "best error 89.7% (71.7% to 90.0%), chance 90%: " in sentence
    assert "better than chance in 1" in sentence
    assert "no better than chance on 360 sequences in 2" in sentence


def test_an_error_that_rose_again_is_said_beside_the_best(write):
    run = write("gru", tables={"evaluation": evaluation(0.9, 0.001, 0.88, solved=[0, 1, 0])})
    assert (
        said(run)
        == "best error 0.1% at step 51 and 88.0% at step 101, chance 90%: better than chance; solved at step 51"
    )


def test_the_seeds_that_solved_are_counted_among_those_that_were_evaluated(write):
    runs = [
        write("gru", 0, tables={"evaluation": evaluation(0.0, solved=[1])}),
        write("gru", 1, tables={"evaluation": evaluation(0.5, solved=[0])}),
        write("gru", 2, info={"status": "failed", "error": "out of memory"}),
    ]
    sentence = said_together(*runs)
    assert "best error in 2 of them 25.0% (0.0% to 50.0%)" in sentence
    assert "solved by 1 of 2" in sentence
    assert sentence.endswith("1 of 3 runs failed")


def test_the_best_of_a_search_is_held_against_all_that_it_tried(write):
    """64.7 % where chance is 90 % is better; where chance is 64 %, or barely below 64 %, it is not."""
    for seed, (errors, verdict) in enumerate(
        [((0.647,), "no better than chance on 1000 sequences"), ((0.60,), "no better"), ((0.5,), "better than chance")]
    ):
        run = write("gru", seed, tables={"evaluation": evaluation(*errors, chance=0.64, samples=1000)}, steps=1)
        sentence = describe_best_trial([run] * 20, run)
        assert sentence.startswith(f"best error {errors[0]:.1%}, chance 64%: {verdict}"), sentence
        assert sentence.endswith(", as the smallest of 20 errors")
    assert describe_best_trial([run], write("gru", 9)) == ""


# Norms, clipping, updates.


def test_the_norms_and_what_a_threshold_would_cut(write):
    norms = np.arange(1.0, 101)
    run = write("rnn", tables={"metrics": metrics(norms)}, clip="none")
    assert said(run) == (
        "gradient norm over 100 steps: median 50, 90% up to 90, 99% up to 99, largest 100; "
        "a threshold of 90 would cut at most 10% of the steps"
    )
    assert (norms > 90).mean() <= 0.1
    assert said_together(run).endswith("median 50, 90% up to 90, 99% up to 99, largest 100")
    watched = write("lstm", tables={"metrics": metrics(norms, clip_scale=math.nan)}, info={"watched": {}})
    assert summarize_runs([watched])[0]["nonfinite_steps"].tolist() == [None]
    assert said_together(watched).endswith("99% up to 99, largest 100")


def test_a_norm_with_the_gradient_of_a_penalty_is_called_so(write):
    """Clipping and the optimiser see the gradient of both, so this is the norm that is recorded."""
    runs = [write("rnn", seed, tables={"metrics": metrics([1.0] * 50, penalty=0.5)}) for seed in range(2)]
    assert "; gradient norm of loss and penalty together over 50 steps: median 1" in f"; {said(runs[0])}"
    assert "gradient norm of loss and penalty together over all steps: median 1" in said_together(*runs)


def test_what_the_runs_own_clipping_cut(write):
    scales = [0.5] * 30 + [1.0] * 70
    table = metrics(np.full(100, 3.0), clip_scale=scales)
    runs = [write("rnn", seed, tables={"metrics": table}, clip="norm", clip__threshold=1.5) for seed in range(2)]
    assert said(runs[0]).endswith("largest 3; clip=norm at 1.5 cut 30% of the steps to 0.5 of their norm on average")
    assert said_together(*runs).endswith(
        "largest 3 in any run; clip=norm at 1.5 cut 30% of the steps to 0.5 of their norm on average"
    )
    moving = write("gru", tables={"metrics": table}, clip="adagc", clip__threshold=1.0, clip__warmup=5)
    assert "clip=adagc cut 30% of the steps" in said(moving)


@pytest.mark.parametrize(("h", "underflown"), [(0.0, None), (1e-44, 0.45)])
def test_a_state_that_only_the_readout_uses_has_not_underflowed(write, h, underflown):
    """Its gradient is exactly 0 before the last timestep, while that of the state that carries it is not."""
    rows = [
        {"step": 1, "layer": 0, "state": state, "timestep": 10 - lag, "lag": lag, "grad_norm": norm, "underflow": share}
        for lag in range(10)
        for state, norm, share in (("h", h if lag else 1.0, float(lag > 0)), ("z", 1.0, 0.0))
    ]
    run = write("lru", tables={"gradients": rows})
    assert ("of the gradient's entries at step 1 were 0 or below" in said(run)) is (underflown is not None)
    assert summarize_runs([run])[0]["underflow"].item() == (underflown or 0)


@pytest.mark.parametrize("remedy", ["none", "h_detach", "mine"])
def test_a_timestep_that_a_remedy_blocks_has_not_underflowed(write, remedy):
    """The gradient of h is 0 at every second timestep, where that of c is not. At lag 9, both underflow."""
    rows = [
        {"step": 1, "layer": 0, "state": state, "timestep": 10 - lag, "lag": lag}
        | {"grad_norm": 0.0 if zero else 1.0, "underflow": float(zero)}
        for lag in range(10)
        for state, zero in (("h", lag % 2 == 1), ("c", lag == 9))
    ]
    run = write(tables={"gradients": rows}, remedy=remedy)
    expected = 6 / 20 if remedy == "none" else 2 / 16
    assert summarize_runs([run])[0]["underflow"].item() == pytest.approx(expected)
    assert f"{100 * expected:.3g}% of the gradient's entries at step 1 were 0 or below" in said(run)


def test_of_a_few_steps_no_distribution_is_said(write):
    run = write("rnn", tables={"metrics": metrics([1.0, 2.0])}, steps=2)
    assert "gradient norm" not in said(run) + said_together(run)


def test_an_update_is_told_beside_the_weights(write):
    parameters = [
        {"step": step, "parameter": name, "grad_norm": 1, "weight_norm": weight, "update_norm": update,
         "spectral_radius": None, "sigma_max": None}
        for step, scale in ((1, 1.0), (51, 0.01))
        for name, weight, update in (("w", 3, 6 * scale), ("b", 4, 8 * scale), ("w[forget]", 100, 0))
    ]  # fmt: skip
    run = write("rnn", tables={"parameters": parameters})
    assert said(run) == "updates: median 101%, largest 200% of the weights' norm at step 1 (2 recorded)"


# How a run ended.


def test_a_run_that_diverged_says_when_and_what_it_had_reached(write):
    norms = [*[1.0] * 29, math.inf]
    run = write(
        "rnn",
        tables={"metrics": metrics(norms), "evaluation": evaluation(0.0, solved=[1])},
        info={"status": "diverged", "diverged_at_step": 30},
    )
    assert said(run).startswith("diverged at step 30: loss 1, gradient norm inf; best error 0.0% at step 1, chance 90%")
    assert "solved at step 1" in said(run)
    assert said_together(run).endswith("; diverged")


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_an_unfinished_run_says_how_far_it_came(write, status):
    begun = write("rnn", 0, tables={"metrics": metrics([1.0] * 7)}, info={"status": status})
    assert said(begun).startswith(f"{status} after step 7")
    assert said(write("rnn", 1, info={"status": status})).startswith(f"{status} before the first step")


def test_a_failed_run_says_why(write):
    assert said(write("rnn", info={"status": "failed", "error": "ValueError: no"})) == "failed: ValueError: no"


# Probes.


@pytest.fixture
def probe(write):
    """Write a probe whose Jacobian has these singular values at lags 0, 10, ..., 90."""

    def make(norms=FLAT, seed=0, cell="lstm", **info):
        logs = 2 * np.log10(norms)
        jacobian = {"layer": 0, "timestep": LENGTH - np.arange(0, LENGTH, 10), "lag": np.arange(0, LENGTH, 10)}
        sizes = ("log10_sv_max", "log10_sv_mean", "log10_sv_min", "mean_squared_sv", "log10_mean_squared_sv")
        tables = {"jacobian": jacobian | dict.fromkeys(sizes, logs), "metrics": metrics([1.0, 3.0, 2.0])}
        return write(cell, seed, tables=tables, info={"kind": "probe", "checkpoint": None, **info})

    return make


def read(run):
    readings = probe_readings(run, summarize_runs([run])[0].to_dict("records")[0])
    return {reading.name: reading for reading in readings}


@pytest.mark.parametrize(
    ("norms", "fate"), [(falling(0.34), "vanishes"), (falling(0.33), "shrinks"), (falling(-0.34), "explodes")]
)
def test_a_probe_says_what_its_jacobians_show_and_not_what_a_fit_makes_of_them(probe, norms, fate):
    run = probe(norms)
    assert read(run)["gain per timestep"].meaning.startswith(f"of ds_T/ds_t; {fate}: ")
    assert f"{norms[-1]:.3g} times as large at the earliest" in read(run)["gain per timestep"].meaning
    assert (read(run)["horizon"].value == "99") == (fate != "vanishes")
    assert read(run)["horizon"].meaning.endswith("recorded 10 timesteps apart")
    assert f"untrained, ds_T/ds_t {fate}" in said_together(run)


def test_a_probe_gives_no_clipping_threshold(probe):
    reading = read(probe())["clipping threshold"]
    assert not re.search(r"\d", reading.value + reading.meaning)
    assert "bptt run" in reading.meaning
    assert read(probe(seed=1))["gradient norm"].meaning == "median; 3 at most, over 3 batches, untrained"


def test_a_probe_of_noise_gives_no_advice_on_training(probe):
    made = probe()
    readings = read(replace(made, config=made.config | {"task": "noise"}))
    assert "gradient norm" in readings
    assert not {"clipping threshold", "remedy"} & set(readings)
    assert "bptt run" not in "".join(map(str, readings.values()))


def test_a_probe_of_a_trained_network_is_not_called_untrained(probe):
    run = probe(checkpoint="rnn-adding")
    assert "trained, ds_T/ds_t" in said_together(run)
    everything = said(run) + said_together(run) + "".join(map(str, read(run).values()))
    assert "untrained" not in everything


def test_a_probe_of_a_task_with_a_loss_everywhere_has_jacobians_and_no_gain_of_the_gradient(probe):
    run = probe(falling(1), readout_steps=LENGTH)
    assert read(run)["gain per timestep"].value == "0.794"
    assert read(run)["gain of the gradient"].value == ""
    assert "the gradients of 100 losses add up" in read(run)["gain of the gradient"].meaning
    assert "record.lags=true" in read(run)["gain of the gradient"].meaning
    recorded = probe(falling(1), seed=1, readout_steps=LENGTH)
    lags = single_losses((50, falling(2)[:5]), (100, falling(2)), steps=(1,))
    pd.DataFrame(lags).to_csv(recorded.folder / "lags.csv", index=False)
    assert read(recorded)["gain per timestep"].value == "0.794"
    assert read(recorded)["gain of the gradient"].value == "0.631"
    assert read(recorded)["gain of the gradient"].meaning.endswith(
        "L_t is the loss of a single timestep, mean over 2 losses, at the largest lag over 1"
    )
    assert "untrained, ds_T/ds_t vanishes" in said_together(recorded)
    nothing = probe(falling(1), seed=2, readout_steps=LENGTH)
    pd.DataFrame(single_losses((100, [0.0] * 10), steps=(1,))).to_csv(nothing.folder / "lags.csv", index=False)
    assert read(nothing)["gain of the gradient"].value == ""
    assert read(nothing)["gain of the gradient"].meaning.endswith(
        "no loss has a norm at lag 0 that is finite and above 0"
    )


@pytest.mark.parametrize(("rule", "kept"), [("forget", "0.75"), ("1 - forget", "0.25")])
def test_a_probe_says_what_share_of_a_state_its_gate_keeps(write, rule, kept):
    gates = {
        "step": 1,
        "layer": [0, 0, 1],
        "gate": ["forget", "input", "forget"],
        "timestep": 1,
        "mean": [0.75, 0.5, 0],
    }
    gates |= dict.fromkeys(("std", "saturated_low", "saturated_high"), 0.0)
    cell = {"states": ["h", "c"], "gates": ["forget", "input"], "kept_by": {"c": rule}}
    known = {"kind": "probe", "checkpoint": None}
    tables = {"gates": gates, "metrics": metrics([1.0])}
    reading = read(write("mine", tables=tables, info={**known, "cell": cell}))["share of c kept"]
    assert (reading.value, reading.meaning[:25]) == (kept, "by the forget gate in lay")
    assert not any("kept" in name for name in read(write("lstm", tables=tables, info=known)))
