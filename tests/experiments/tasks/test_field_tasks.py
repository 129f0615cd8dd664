"""The field's tasks: each target against its definition, written as a slow loop, and the marked timesteps."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Generator

from experiments.errors import UsageError
from experiments.tasks.copy import COPIED
from experiments.tasks.delayed_parity import DelayedParity
from experiments.tasks.delayed_xor import DelayedXor
from experiments.tasks.latch import Latch
from experiments.tasks.multiplication import Multiplication
from experiments.tasks.noise import Noise
from experiments.tasks.noiseless_memorization import NoiselessMemorization
from experiments.tasks.palindrome import Palindrome
from experiments.tasks.random_permutation import RandomPermutation
from experiments.tasks.running_parity import RunningParity
from experiments.tasks.selective_copy import SelectiveCopy
from experiments.tasks.sine_frequency import FASTEST, SLOWEST, SineFrequency
from experiments.tasks.temporal_order_3bit import TemporalOrder3Bit
from experiments.tasks.text import Text

TASKS = [
    Multiplication(3),
    Multiplication(57),
    TemporalOrder3Bit(4),
    TemporalOrder3Bit(63),
    RandomPermutation(2),
    RandomPermutation(40),
    NoiselessMemorization(1),
    NoiselessMemorization(30),
    SelectiveCopy(1),
    SelectiveCopy(30),
    Latch(4, signal=3, noise=0.2),
    Latch(40, signal=1, noise=0.0),
    DelayedParity(3, delay=0, bits=3),
    DelayedParity(40, delay=5, bits=2),
    DelayedXor(2, delay=1),
    DelayedXor(40, delay=7),
    RunningParity(1),
    RunningParity(40),
    Palindrome(2),
    Palindrome(9),
    Palindrome(10),
    SineFrequency(2),
    SineFrequency(40, noise=0.1),
    Noise(1, size=1, std=1.0),
    Noise(30, size=3, std=2.0),
]
EACH = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{type(task).__name__}{task.timesteps}")


def draw(task, size=200, seed=0):
    return task.draw(size, Generator().manual_seed(seed))


@EACH
def test_a_batch_has_the_shapes_of_its_task_and_follows_its_seed(task):
    once, again = Generator().manual_seed(5), Generator().manual_seed(5)
    inputs, targets = task.draw(64, once)
    assert inputs.shape == (task.timesteps, 64, task.input_size)
    steps = task.readout_steps or task.timesteps
    assert targets.shape[:2] == (steps, 64)
    outputs = torch.randn(steps, 64, task.output_size)
    assert task.losses(outputs, targets).shape == task.errors(outputs, targets).shape == (64,)
    for drawn, same in zip((inputs, targets), task.draw(64, again), strict=True):
        assert torch.equal(drawn, same)
    assert not torch.equal(inputs, task.draw(64, once).inputs)


@EACH
def test_one_sequence_is_a_batch(task):
    assert draw(task, 1).inputs.shape[1] == 1


def sequences(task, size=200):
    """The inputs and targets of each sequence, as NumPy arrays: (time, input), (steps, ...)."""
    inputs, targets = draw(task, size)
    return zip(inputs.unbind(dim=1), targets.unbind(dim=1), strict=True)


@pytest.mark.parametrize("length", [3, 4, 10, 57, 100])
def test_multiplication_answers_the_product_of_a_number_in_the_first_tenth_and_one_before_the_middle(length):
    for read, answer in sequences(Multiplication(length)):
        first, second = np.flatnonzero(read[:, 1])
        assert first < max(length // 10, 1) <= second < max(length // 2, 2)
        assert answer.item() == pytest.approx((read[first, 0] * read[second, 0]).item())


@pytest.mark.parametrize("length", [4, 9, 10, 100, 137])
def test_temporal_order_3bit_asks_for_the_order_of_the_three_symbols(length):
    answers = set()
    for read, answer in sequences(TemporalOrder3Bit(length), 500):
        symbols = read.argmax(dim=1).numpy()
        places = np.flatnonzero(symbols < 2)
        assert len(places) == 3
        for place, tenth in zip(places, (1, 3, 6), strict=True):
            start, end = length * tenth // 10, length * (tenth + 1) // 10
            assert start <= place < max(end, start + 1)
        assert answer.item() == int("".join(str(symbol) for symbol in symbols[places]), base=2)
        answers.add(answer.item())
    assert answers == set(range(8))


def test_random_permutation_repeats_the_first_symbol():
    others = set()
    for read, answer in sequences(RandomPermutation(40)):
        symbols = read.argmax(dim=1).tolist()
        assert symbols[0] == answer.item() < 2
        others |= set(symbols[1:])
    assert others == set(range(2, 100))


@pytest.mark.parametrize(("kind", "symbols"), [(NoiselessMemorization, 5), (SelectiveCopy, 8)])
@pytest.mark.parametrize("length", [1, 2, 40])
def test_tasks_like_copy_repeat_the_symbols_after_the_go_signal(kind, symbols, length):
    task, seen, places = kind(length), set(), set()
    for read, answer in sequences(task):
        inputs, blank, go = read.argmax(dim=1).numpy(), symbols, symbols + 1
        assert np.flatnonzero(inputs == go).tolist() == [length + COPIED - 1]
        assert (inputs[-COPIED:] == blank).all()
        shown = [symbol for symbol in inputs if symbol < symbols]
        assert answer.tolist() == [blank] * (length + COPIED) + shown
        seen |= set(shown)
        places.add(tuple(np.flatnonzero(inputs < symbols)))
    assert seen == set(range(symbols))
    assert places == {tuple(range(COPIED))} or (kind is SelectiveCopy and (length == 1 or len(places) > 10))


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_latch_shows_the_sign_at_the_first_timesteps_only(noise):
    inputs, targets = draw(Latch(60, signal=3, noise=noise), 500)
    sign = 2.0 * targets[0] - 1
    rest = inputs[..., 0].clone()
    rest[:3] -= sign
    assert rest.std().item() == pytest.approx(noise, rel=0.03)
    assert rest[:3].mean().item() == pytest.approx(0, abs=0.03)
    assert {-1.0, 1.0} == set(sign.tolist())


@pytest.mark.parametrize(
    ("task", "lags"),
    [
        (DelayedParity(40, delay=5, bits=3), [5, 6, 7]),
        (DelayedParity(3, delay=0, bits=3), [0, 1, 2]),
        (DelayedXor(40, delay=10), [5, 10]),
        (DelayedXor(9, delay=7), [3, 7]),
        (DelayedXor(2, delay=1), [0, 1]),
    ],
)
def test_delayed_tasks_answer_the_parity_of_the_bits_at_their_lags(task, lags):
    for read, answer in sequences(task):
        bits = ((read[:, 0] + 1) / 2).int().tolist()
        expected = [sum(bits[t - lag] for lag in lags) % 2 for t in range(max(lags), len(bits))]
        assert answer.tolist() == expected


@pytest.mark.parametrize("length", [1, 2, 30])
def test_running_parity_answers_the_parity_of_all_bits_so_far(length):
    for read, answer in sequences(RunningParity(length)):
        bits = ((read[:, 0] + 1) / 2).int().tolist()
        assert answer.tolist() == [sum(bits[: t + 1]) % 2 for t in range(length)]


@pytest.mark.parametrize("length", [2, 3, 9, 10])
def test_the_answer_completes_a_palindrome(length):
    for read, answer in sequences(Palindrome(length)):
        digits = [*(read[:, 0] * 9).round().int().tolist(), answer.item()]
        assert digits == digits[::-1]


def test_the_answer_is_the_frequency_of_the_sine():
    """Read off as the distance of rising zeros, which is a period."""
    task = SineFrequency(1000)
    for read, answer in sequences(task, 20):
        x = read[:, 0].double().numpy()
        rising = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
        zeros = rising - x[rising] / (x[rising + 1] - x[rising])
        frequency = (len(zeros) - 1) / (zeros[-1] - zeros[0])
        assert frequency == pytest.approx(SLOWEST + (FASTEST - SLOWEST) * answer.item(), rel=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        RunningParity,
        partial(DelayedParity, delay=3, bits=2),
        partial(DelayedXor, delay=3),
        SineFrequency,
        Text,
    ],
)
def test_a_loss_at_the_last_timestep_asks_for_the_last_one_of_all_answers(make):
    last, every = (make(20, loss_at=loss_at) for loss_at in ("last", "all"))
    one, whole = draw(last), draw(every)
    assert torch.equal(one.inputs, whole.inputs)
    assert torch.equal(one.targets, whole.targets[-1:])
    assert last.readout_steps == len(one.targets) == 1 < (every.readout_steps or every.timesteps) == len(whole.targets)


def test_the_frequency_is_asked_for_at_every_timestep():
    targets = draw(SineFrequency(9, loss_at="all")).targets
    assert targets.shape == (9, 200, 1)
    assert (targets == targets[0]).all()


def test_noise_has_the_given_size_and_variance():
    inputs = draw(Noise(30, size=3, std=2.0), 500).inputs
    assert inputs.std().item() == pytest.approx(2, rel=0.02)
    assert inputs.mean().item() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("task", "marks"),
    [
        (Multiplication(57), 2),
        (TemporalOrder3Bit(57), 3),
        (RandomPermutation(40), 1),
        (SelectiveCopy(30), 10),
        (Latch(40, signal=3, noise=0.2), 3),
        (Palindrome(9), 1),
    ],
)
def test_the_answer_depends_on_the_marked_timesteps_only(task, marks):
    batch = draw(task)
    marked = task.marked(batch)
    assert (marked.sum(dim=0) == marks).all()
    kept = batch.inputs.transpose(0, 1)[marked.T].view(200, marks, -1).transpose(0, 1)  # (marks, batch, input)
    symbols = kept.argmax(dim=-1)
    if isinstance(task, Multiplication):
        torch.testing.assert_close(kept[..., 0].prod(dim=0), batch.targets[0, :, 0])
    elif isinstance(task, TemporalOrder3Bit):
        assert torch.equal(4 * symbols[0] + 2 * symbols[1] + symbols[2], batch.targets[0])
    elif isinstance(task, Latch):
        assert torch.equal((kept.sum(dim=0)[:, 0] > 0).long(), batch.targets[0])
    elif isinstance(task, Palindrome):
        assert torch.equal((kept[0, :, 0] * 9).round().long(), batch.targets[0])
    else:
        assert torch.equal(symbols, batch.targets[-marks:])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Latch(3, signal=3, noise=0.2), "task.length=3: must be larger than task.signal=3"),
        (lambda: DelayedXor(10, delay=10), "task.length=10: must be larger than task.delay=10"),
        (
            lambda: DelayedParity(12, delay=10, bits=3),
            r"task.length=12: must be at least 13, task.delay \+ task.bits",
        ),
    ],
)
def test_a_length_that_leaves_nothing_to_answer_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()
