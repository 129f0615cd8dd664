"""h-detach against a loop that detaches h, and its closed fact: with every timestep blocked, c alone carries."""

import pandas as pd
import pytest
import torch

from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.errors import UsageError
from experiments.training.run import run


def looped(parts, batch, blocked):
    """The gradients of a plain loop over the step of an LSTM that detaches h before the timesteps in `blocked`."""
    cell = type(parts.network.cells[0]).__mro__[2]  # the class without the blocks
    network = parts.network
    network.zero_grad()
    state = network.cells[0].initial_state(batch.inputs.shape[1])
    hidden = []
    for t, x in enumerate(batch.inputs):
        h, c = state
        state = cell.step(network.cells[0], x, (h.detach() if t in blocked else h, c))
        hidden.append(state[0])
    loss = parts.task.losses(network.read_out(torch.stack(hidden)), batch.targets).mean()
    loss.backward()
    return {name: one.grad.clone() for name, one in network.named_parameters()}


@pytest.mark.parametrize(("probability", "blocked"), [(0.0, set()), (1.0, set(range(7)))])
def test_the_gradient_is_that_of_a_detached_h(small, gradients, probability, blocked):
    parts, batch = small("cell=lstm", "remedy=h_detach", f"remedy.probability={probability}")
    found, done = gradients(parts, batch, parts.remedy)
    for name, expected in looped(parts, batch, blocked).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=1e-14)
    for name, parameter in parts.network.named_parameters():
        if contribution := done.trace.layers[0].contributions.get(name):
            torch.testing.assert_close(contribution.total(), parameter.grad, rtol=1e-12, atol=1e-14)


def test_the_trace_blocks_the_timesteps_that_training_blocked_where_lengths_differ(small, gradients):
    parts, batch = small("cell=lstm", "remedy=h_detach", "remedy.probability=0.5", "task.length_spread=1")
    found, done = gradients(parts, batch, parts.remedy)
    for name, contribution in done.trace.layers[0].contributions.items():
        torch.testing.assert_close(contribution.total(), found[name], rtol=1e-10, atol=1e-14)


def test_without_blocks_it_is_the_plain_lstm(small, gradients):
    found, plain = (
        gradients(*small("cell=lstm", *remedy))[0] for remedy in (["remedy=h_detach", "remedy.probability=0"], [])
    )
    for name, expected in plain.items():
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=1e-14)


def test_with_all_timesteps_blocked_the_forget_gates_alone_carry(small, gradients):
    parts, batch = small("cell=lstm", "remedy=h_detach", "remedy.probability=1")
    layer = gradients(parts, batch, parts.remedy)[1].trace.layers[0]
    along = layer.gradients["c"][-1].clone()
    for t in range(6, 0, -1):
        along = along * layer.gates["forget"][t]
        torch.testing.assert_close(layer.gradients["c"][t - 1], along, rtol=1e-12, atol=1e-16)
    assert (layer.gradients["h"][:-1] == 0).all()  # the loss is at the last timestep only


def test_the_trace_sees_the_timesteps_that_training_blocked(small, gradients):
    parts, batch = small("cell=lstm", "task.length=30", "remedy=h_detach", "remedy.probability=0.5")
    blocks = set()
    for _ in range(3):
        found, done = gradients(parts, batch, parts.remedy)
        dh = done.trace.layers[0].gradients["h"]
        blocked = {t + 1 for t in range(29) if (dh[t] == 0).all()}
        assert 5 < len(blocked) < 25
        for name, expected in looped(parts, batch, blocked).items():
            torch.testing.assert_close(found[name], expected, rtol=1e-10, atol=1e-14)
        blocks.add(frozenset(blocked))
    assert len(blocks) == 3


def test_recording_and_evaluating_draw_no_numbers(tmp_path):
    small = ["cell=lstm", "task.length=12", "model.hidden_size=6", "steps=6", "remedy=h_detach"]
    kinds = {"full": ["record=full", "record.every=2"], "none": ["record=none"]}
    folders = [
        run(compose([*small, *options, "record.evaluate_samples=10", f"results_dir={tmp_path / name}"])).folder
        for name, options in kinds.items()
    ]
    assert len({(folder / "metrics.csv").read_bytes() for folder in folders}) == 1
    rare = run(compose([*small, "record.evaluate_every=100", "record.evaluate_samples=7", f"results_dir={tmp_path}"]))
    losses = [pd.read_csv(folder / "metrics.csv")["loss"].tolist() for folder in (folders[0], rare.folder)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_a_cell_whose_only_state_is_h_is_refused(cell):
    with pytest.raises(UsageError, match=r"^remedy=h_detach: needs a cell with a state besides h .* cell=lstm"):
        build(compose(["remedy=h_detach", f"cell={cell}"]))
