"""Batches of sequences of different lengths: each task, each measure, and a run from start to end."""

import math

import pandas as pd
import pytest
import torch
from torch import Generator

from experiments.measures.activations import Activations
from experiments.measures.gates import Gates
from experiments.measures.gradients import Gradients
from experiments.measures.lags import Lags
from experiments.tasks.adding import Adding
from experiments.tasks.copy import COPIED
from experiments.tasks.latch import Latch
from experiments.tasks.lengths import Lengths
from experiments.tasks.multiplication import Multiplication
from experiments.tasks.noise import Noise
from experiments.tasks.noiseless_memorization import NoiselessMemorization
from experiments.tasks.palindrome import Palindrome
from experiments.tasks.random_permutation import RandomPermutation
from experiments.tasks.selective_copy import SelectiveCopy
from experiments.tasks.task import Batch
from experiments.tasks.temporal_order import TemporalOrder
from experiments.tasks.temporal_order_3bit import TemporalOrder3Bit
from experiments.training.backpropagation import backpropagate
from models.initialization import default
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.trace import cut


def each(task, size=300):
    """The length, inputs and answers of each sequence, without its padding."""
    batch = task.draw(size, Generator().manual_seed(0))
    assert batch.inputs.shape[:2] == (task.timesteps, size)
    for number, start in enumerate(batch.starts.tolist()):
        assert not batch.inputs[:start, number].any()
        yield task.timesteps - start, batch.inputs[start:, number], batch.targets[:, number]


@pytest.mark.parametrize(
    ("shortest", "spread", "longest"), [(100, 0.1, 109), (70, 0.1, 76), (10, 0.1, 10), (3, 1.0, 5), (50, 0.0, 50)]
)
def test_lengths_are_below_one_plus_spread_times_the_shortest(shortest, spread, longest):
    lengths = Lengths(shortest, spread)
    assert (lengths.longest, lengths.all) == (longest, range(shortest, longest + 1))
    drawn = lengths.draw(2000, Generator().manual_seed(0))
    assert drawn == shortest if longest == shortest else set(drawn.tolist()) == set(lengths.all)


def test_a_single_length_draws_what_it_always_drew():
    """The spread 0.05 of a length of 10 leaves one length."""
    plain, spread = (Adding(10, length_spread=spread).draw(8, Generator().manual_seed(1)) for spread in (0.0, 0.05))
    assert plain.starts is None is spread.starts
    assert torch.equal(plain.inputs, spread.inputs)


@pytest.mark.parametrize("length", [3, 21, 50])
def test_the_marked_numbers_are_where_the_length_of_the_sequence_puts_them(length):
    found = set()
    for own, read, answer in each(Adding(length, length_spread=0.5)):
        first, second = read[:, 1].nonzero().flatten().tolist()
        assert first < own // 2 <= second
        assert answer.item() == pytest.approx(read[[first, second], 0].sum().item())
        found.add((own, second == own - 1))
    assert len({own for own, _ in found}) == len(Lengths(length, 0.5).all)
    assert any(last for _, last in found)
    for own, read, answer in each(Multiplication(length, length_spread=0.5)):
        first, second = read[:, 1].nonzero().flatten().tolist()
        assert first < max(own // 10, 1) <= second < max(own // 2, 2)
        assert answer.item() == pytest.approx(read[[first, second], 0].prod().item())


@pytest.mark.parametrize(("kind", "tenths"), [(TemporalOrder, (1, 5)), (TemporalOrder3Bit, (1, 3, 6))])
def test_the_symbols_are_where_the_length_of_the_sequence_puts_them(kind, tenths):
    for own, read, answer in each(kind(23, length_spread=0.9)):
        symbols = read.argmax(dim=1)
        places = (symbols < 2).nonzero().flatten().tolist()
        for place, tenth in zip(places, tenths, strict=True):
            assert own * tenth // 10 <= place < max(own * (tenth + 1) // 10, own * tenth // 10 + 1)
        assert answer.item() == int("".join(str(int(symbols[place])) for place in places), base=2)


def test_random_permutation_asks_for_the_first_symbol_of_each_sequence():
    for _, read, answer in each(RandomPermutation(9, length_spread=1.0)):
        symbols = read.argmax(dim=1)
        assert symbols[0] == answer.item() < 2 <= symbols[1:].min()


def test_latch_shows_the_sign_at_the_first_timesteps_of_each_sequence():
    task = Latch(7, signal=3, noise=0.0, length_spread=1.0)
    for own, read, answer in each(task):
        assert read[:, 0].tolist() == [2.0 * answer.item() - 1] * 3 + [0.0] * (own - 3)


@pytest.mark.parametrize("length", [2, 7, 10])
def test_the_answer_completes_the_palindrome_of_each_sequence(length):
    lengths = set()
    for own, read, answer in each(Palindrome(length, length_spread=1.0)):
        digits = [*(read[:, 0] * 9).round().int().tolist(), answer.item()]
        assert digits == digits[::-1]
        lengths.add(own)
    assert lengths == set(range(length, 2 * length))


@pytest.mark.parametrize(("task", "marks"), [(Latch(7, 3, 0.2, length_spread=1.0), 3), (Palindrome(7, 1.0), 1)])
def test_the_first_timesteps_of_each_sequence_are_marked(task, marks):
    batch = task.draw(200, Generator().manual_seed(0))
    own = torch.arange(task.timesteps)[:, None] - batch.starts
    assert torch.equal(task.marked(batch), (own >= 0) & (own < marks))


@pytest.mark.parametrize(("kind", "symbols"), [(NoiselessMemorization, 5), (SelectiveCopy, 8)])
def test_tasks_like_copy_repeat_the_symbols_of_each_sequence(kind, symbols):
    for own, read, answer in each(kind(7, length_spread=1.0)):
        inputs = read.argmax(dim=1)
        assert (inputs == symbols + 1).nonzero().flatten().tolist() == [own - COPIED - 1]
        assert read.sum(dim=1).eq(1).all()
        shown = inputs[inputs < symbols].tolist()
        assert answer[-own:].tolist() == [symbols] * (own - COPIED) + shown
        assert (answer[:-own] < 0).all()


def test_the_loss_of_a_copy_is_the_mean_over_the_timesteps_of_the_sequence():
    task = NoiselessMemorization(7, length_spread=1.0)
    batch = task.draw(4000, Generator().manual_seed(0))
    guess = torch.tensor([0.0] * 5 + [200.0]).expand(task.timesteps, 4000, 6).clone()
    guess[-COPIED:, :, 5] = -200.0
    losses = task.losses(guess, batch.targets)
    lengths = task.timesteps - batch.starts
    torch.testing.assert_close(losses, COPIED * math.log(5) / lengths)
    assert losses.mean().item() == pytest.approx(task.chance_loss, rel=0.01)


@pytest.mark.parametrize("task", [Latch(4, 3, 0.2, length_spread=1.0), Palindrome(3, 1.0)])
def test_the_last_input_says_nothing_about_the_answer_whatever_the_length(task):
    """Of sequences whose last input is about the same, each class has an equal share."""
    batch = task.draw(20_000, Generator().manual_seed(0))
    low = batch.inputs[-1, :, 0] < batch.inputs[-1, :, 0].median()
    for of_last in (low, ~low):
        shares = batch.targets[0, of_last].bincount(minlength=task.output_size) / of_last.sum()
        assert shares.tolist() == pytest.approx([1 - task.chance_error] * task.output_size, abs=0.02)


def test_noise_ends_with_the_sequence():
    lengths = [own for own, read, _ in each(Noise(10, size=2, std=1.0, length_spread=1.0)) if read.abs().min() > 0]
    assert set(lengths) == set(range(10, 20))


def test_a_batch_keeps_its_padding_on_another_device_and_in_another_type():
    batch = Adding(10, length_spread=0.5).draw(8, Generator().manual_seed(0))
    moved = batch.to(torch.device("cpu"), torch.float64)
    assert torch.equal(moved.starts, batch.starts)
    assert moved.inputs.dtype == torch.float64
    assert len(moved.inputs_of_all) == 14 - int(batch.starts.max())


COLUMNS = {
    Gradients: ["layer", "state", "timestep"],
    Lags: ["layer", "state", "loss_timestep", "lag"],
    Gates: ["layer", "gate", "timestep"],
    Activations: ["layer", "state", "timestep"],
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_measure_counts_the_sequences_that_have_begun(kind):
    """Means over sequences: those of the sequences alone, whose timesteps are counted from the end."""
    task = NoiselessMemorization(4, length_spread=1.0)
    batch = task.draw(5, Generator().manual_seed(3)).to(torch.device("cpu"), torch.float64)
    assert len(batch.starts.unique()) > 2
    network = RecurrentNetwork(
        LSTM, default, input_size=7, hidden_size=4, num_layers=2, output_size=6, readout_steps=None, dtype=torch.float64
    )

    def table(batch):
        trace = backpropagate(network, task, batch, windows=cut(len(batch.inputs), len(batch.inputs))).trace
        rows = kind().before_update(1, network, trace)
        found = pd.DataFrame(list(rows), columns=kind.columns).drop(columns="step")
        return found[found["loss_timestep"] == len(batch.inputs)] if kind is Lags else found

    whole = table(batch).set_index(COLUMNS[kind])
    alone = []
    for number, start in enumerate(batch.starts.tolist()):
        one = table(Batch(batch.inputs[start:, number : number + 1], batch.targets[start:, number : number + 1]))
        for column in ("timestep", "loss_timestep"):
            if column in one:
                one[column] += start
        alone.append(one)
    by_place = pd.concat(alone).groupby(COLUMNS[kind])
    assert whole.index.sort_values().equals(by_place.size().index)
    for column, mean in {
        "grad_norm": lambda values: (values**2).mean() ** 0.5,
        "grad_norm_direct": lambda values: (values**2).mean() ** 0.5,
        "underflow": "mean",
        "mean": "mean",
        "rms": lambda values: (values**2).mean() ** 0.5,
        "saturated": "mean",
        "saturated_low": "mean",
        "saturated_high": "mean",
        "marked": "mean",
    }.items():
        if column in whole:
            expected = by_place[column].agg(mean).loc[whole.index]
            pd.testing.assert_series_equal(whole[column].astype(float), expected.astype(float), rtol=1e-9)
