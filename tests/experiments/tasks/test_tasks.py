import math

import pytest
import torch
from torch import Generator

from experiments.tasks.adding import Adding
from experiments.tasks.copy import COPIED, Copy
from experiments.tasks.digits import Digits
from experiments.tasks.temporal_order import TemporalOrder
from experiments.training.loop import evaluate

TASKS = [Adding(2), Adding(31), Copy(1), Copy(30), TemporalOrder(2), TemporalOrder(57), Digits(), Digits(90)]


def draw(task, size=64, seed=0):
    return task.draw(size, Generator().manual_seed(seed))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{type(task).__name__}{task.timesteps}")
def test_a_batch_has_the_shapes_of_its_task(task):
    inputs, targets = draw(task)
    assert inputs.shape == (task.timesteps, 64, task.input_size)
    steps = task.readout_steps or task.timesteps
    assert targets.shape[:2] == (steps, 64)
    outputs = torch.randn(steps, 64, task.output_size)
    assert task.losses(outputs, targets).shape == task.errors(outputs, targets).shape == (64,)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{type(task).__name__}{task.timesteps}")
def test_generators_with_the_same_seed_draw_the_same_batch_and_then_another(task):
    once, again = Generator().manual_seed(5), Generator().manual_seed(5)
    first = task.draw(64, once)
    assert all(torch.equal(a, b) for a, b in zip(first, task.draw(64, again), strict=True))
    assert not torch.equal(first.inputs, task.draw(64, once).inputs)


@pytest.mark.parametrize("length", [2, 3, 10, 51])
def test_adding_answers_the_sum_of_the_marked_numbers(length):
    inputs, targets = draw(Adding(length), 500)
    values, markers = inputs.unbind(dim=-1)
    assert (markers.sum(dim=0) == 2).all()
    assert (markers[: length // 2].sum(dim=0) == 1).all()
    torch.testing.assert_close((values * markers).sum(dim=0), targets[0, :, 0])
    torch.testing.assert_close(draw(Adding(length, halved=True), 500).targets, targets / 2)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{type(task).__name__}{task.timesteps}")
def test_a_network_that_outputs_nan_has_solved_nothing(task):
    def network(inputs, starts=None):
        return network.weight.expand(task.readout_steps or task.timesteps, inputs.shape[1], task.output_size)

    network.weight = torch.full((1,), torch.nan)
    network.parameters = lambda: iter([network.weight])
    loss, error, samples = evaluate(network, task, 300, Generator())
    assert (math.isnan(loss), error, samples) == (True, 1.0, 360 if isinstance(task, Digits) else 300)


@pytest.mark.parametrize("delay", [1, 2, 40])
def test_copy_repeats_the_symbols_after_the_go_signal(delay):
    task = Copy(delay)
    inputs, targets = draw(task)
    read = inputs.argmax(dim=-1)
    assert len(read) == delay + 20
    assert torch.equal(read[:COPIED], targets[-COPIED:])
    blank, go = 8, 9
    assert (read[COPIED:-COPIED] == go).sum() == 64
    assert (read[-COPIED - 1] == go).all()
    assert (read[-COPIED:] == blank).all()
    assert (targets[:-COPIED] == blank).all()
    perfect = torch.nn.functional.one_hot(targets, task.output_size).float() * 100
    assert task.errors(perfect, targets).sum() == 0
    assert task.losses(perfect, targets).max() < 1e-6


@pytest.mark.parametrize("length", [2, 9, 10, 100, 137])
def test_temporal_order_asks_for_the_order_of_the_two_symbols(length):
    inputs, targets = draw(TemporalOrder(length), 500)
    symbols = inputs.argmax(dim=-1)
    for sequence, answer in zip(symbols.T, targets[0], strict=True):
        (first, second) = (sequence < 2).nonzero().flatten().tolist()
        assert 2 * sequence[first] + sequence[second] == answer
        assert length // 10 <= first <= max(2 * length // 10 - 1, length // 10)
        assert 5 * length // 10 <= second <= max(6 * length // 10 - 1, 5 * length // 10)
    assert targets.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("task", "marks"), [(Adding(2), 2), (Adding(31), 2), (TemporalOrder(2), 2), (TemporalOrder(57), 2), (Copy(3), 10)]
)
def test_a_task_marks_the_timesteps_that_its_answer_depends_on(task, marks):
    """The answer can be read off the marked timesteps alone."""
    batch = draw(task)
    marked = task.marked(batch)
    assert marked.shape == batch.inputs.shape[:2]
    assert (marked.sum(dim=0) == marks).all()
    assert torch.equal(task.marked(batch.to(torch.device("cpu"), torch.float64)), marked)
    read = batch.inputs[..., 0] if isinstance(task, Adding) else batch.inputs.argmax(dim=-1)
    kept = read.T[marked.T].view(64, marks).T
    if isinstance(task, Adding):
        torch.testing.assert_close(kept.sum(dim=0), batch.targets[0, :, 0])
    elif isinstance(task, TemporalOrder):
        assert torch.equal(2 * kept[0] + kept[1], batch.targets[0])
    else:
        assert torch.equal(kept, batch.targets[-10:])


def test_a_task_without_marks_marks_nothing():
    assert Digits().marked(draw(Digits())) is None


def test_the_split_of_the_digits_never_changes():
    (test,) = Digits().held_out(10, Generator())
    (again,) = Digits().held_out(10_000, Generator().manual_seed(9))
    assert test.inputs.shape == (64, 360, 1)
    assert torch.equal(test.inputs, again.inputs)
    trained_on = {tuple(image.flatten().tolist()) for image in draw(Digits(), 20_000).inputs.unbind(dim=1)}
    assert len(trained_on) > 1400
    assert not trained_on & {tuple(image.flatten().tolist()) for image in test.inputs.unbind(dim=1)}
    assert 0 <= test.inputs.min() < test.inputs.max() == 1


def test_permuted_digits_have_the_same_pixels_in_another_order_that_never_changes():
    plain, permuted = draw(Digits(80)), draw(Digits(80, permuted=True))
    order = torch.randperm(64, generator=Generator().manual_seed(0))
    assert not torch.equal(order, torch.arange(64))
    assert torch.equal(permuted.inputs[:64], plain.inputs[:64][order])
    assert not permuted.inputs[64:].any()
    assert torch.equal(permuted.targets, plain.targets)
    (held_out,), (of_plain,) = (Digits(permuted=one).held_out(1, Generator()) for one in (True, False))
    assert torch.equal(held_out.inputs, of_plain.inputs[order])


def test_digits_are_followed_by_blank_steps():
    plain, longer = draw(Digits()), draw(Digits(80))
    assert torch.equal(longer.inputs[:64], plain.inputs)
    assert (longer.inputs[64:] == 0).all()


def test_chance_of_digits_at_each_timestep_knows_the_pixel_there():
    """Timesteps after the pixels are blank."""
    plain, longer, permuted = (Digits(loss_at="all", **of) for of in ({}, {"length": 96}, {"permuted": True}))
    assert draw(plain, 5).targets.shape == (64, 5)
    assert plain.chance_loss < math.log(10)
    assert plain.chance_error < 0.9
    assert 96 * longer.chance_loss == pytest.approx(64 * plain.chance_loss + 32 * math.log(10), rel=1e-3)
    assert permuted.chance_loss == plain.chance_loss


def test_held_out_sequences_come_in_pieces_of_the_asked_number():
    pieces = list(Adding(5).held_out(600, Generator().manual_seed(0)))
    assert [piece.inputs.shape[1] for piece in pieces] == [250, 250, 100]
