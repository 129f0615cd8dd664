"""Initialisations of recurrent matrices and gate biases; see test_cells.py for gaussian, orthogonal and identity."""

import math
from functools import partial

import pytest
import torch

from models.cells.lem import LEM
from models.cells.lstm_1997 import LSTM1997
from models.cells.mgu import MGU
from models.cells.orthogonal import OrthogonalRNN
from models.gru import GRU
from models.initialization import chrono, gaussian, glorot, orthogonal, sparse, spectral_radius, uniform
from models.lstm import LSTM
from models.rnn import RNN

DRAWN_IN_FLOAT64 = {
    "uniform": partial(uniform, bound=0.3),
    "glorot": partial(glorot, gain=1.2),
    "spectral_radius": partial(spectral_radius, radius=0.9),
    "sparse": partial(sparse, connections=4, radius=0.95),
    "chrono": partial(chrono, t_max=50.0),
}


def initialized(make, initialize, hidden=40, dtype=torch.float64):
    torch.manual_seed(5)
    cell = make(3, hidden).to(dtype)
    with torch.no_grad():
        initialize(cell)
    return cell


def radius_of(weight):
    return torch.linalg.eigvals(weight).abs().max().item()


@pytest.mark.parametrize("name", ["gaussian", *DRAWN_IN_FLOAT64])
def test_the_same_seed_draws_alike_in_float32_and_float64(name):
    draw = {"gaussian": partial(gaussian, gain=1.2), **DRAWN_IN_FLOAT64}[name]
    single, double = (initialized(LSTM, draw, dtype=dtype) for dtype in (torch.float32, torch.float64))
    for one, other in zip(single.parameters(), double.parameters(), strict=True):
        assert torch.equal(one, other.float())


def test_an_orthogonal_draw_is_torchs_in_float32_and_the_same_to_full_precision_in_float64():
    """Hidden sizes below and above 16 entries, from which torch draws normal numbers in another way."""
    for hidden in (3, 40):
        torch.manual_seed(5)
        theirs = LSTM(3, hidden)
        for block in theirs.recurrent_blocks():
            with torch.no_grad():
                torch.nn.init.orthogonal_(block.weight, 0.7)
        single, double = (
            initialized(LSTM, partial(orthogonal, gain=0.7), hidden, dtype) for dtype in (torch.float32, torch.float64)
        )
        assert torch.equal(single.weight_hh, theirs.weight_hh)
        torch.testing.assert_close(single.weight_hh.double(), double.weight_hh, rtol=0, atol=1e-5)
        for block in double.recurrent_blocks():
            weight, one = block.weight.detach() / 0.7, torch.eye(hidden, dtype=torch.float64)
            assert (weight.T @ weight - one).abs().max() < 1e-14


def test_uniform_entries_fill_the_interval():
    weight = initialized(RNN, DRAWN_IN_FLOAT64["uniform"], hidden=100).weight_hh
    assert 0.29 < weight.abs().max() <= 0.3
    assert weight.std().item() == pytest.approx(0.3 / math.sqrt(3), rel=0.03)


def test_glorot_has_the_variance_of_gaussian():
    weight = initialized(GRU, DRAWN_IN_FLOAT64["glorot"], hidden=100).recurrent_blocks()[1].weight
    assert weight.std().item() == pytest.approx(1.2 / 10, rel=0.03)
    assert weight.abs().max() <= 1.2 * math.sqrt(6 / 200)


@pytest.mark.parametrize("name", ["spectral_radius", "sparse"])
@pytest.mark.parametrize("make", [RNN, LSTM])
def test_every_block_has_the_spectral_radius(make, name):
    initialize = DRAWN_IN_FLOAT64[name]
    for block in initialized(make, initialize).recurrent_blocks():
        assert radius_of(block.weight) == pytest.approx(initialize.keywords["radius"], rel=1e-12)


def test_sparse_leaves_each_unit_a_few_connections():
    weight = initialized(RNN, DRAWN_IN_FLOAT64["sparse"]).weight_hh
    assert (weight != 0).sum(dim=0).tolist() == [4] * 40
    assert len(set((weight != 0).sum(dim=1).tolist())) > 1
    assert (initialized(RNN, DRAWN_IN_FLOAT64["sparse"], hidden=4).weight_hh != 0).all()
    with pytest.raises(ValueError, match=r"^init\.connections=4: must be at most 3, the size of weight_hh$"):
        initialized(RNN, DRAWN_IN_FLOAT64["sparse"], hidden=3)


def test_smart_tanh_has_the_largest_singular_value_of_the_paper():
    """Row 18 of the theory: radius 0.95 and largest singular value about 1.8 at 50 units."""
    weight = initialized(RNN, partial(sparse, connections=15, radius=0.95), hidden=50).weight_hh
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1.8, rel=0.15)


def test_chrono_draws_forget_biases_and_sets_input_biases_to_minus_those():
    """Tallec, Ollivier 2018: b_f = ln U(1, t_max - 1), b_i = -b_f."""
    cell = initialized(LSTM, DRAWN_IN_FLOAT64["chrono"], hidden=2000)
    drawn = initialized(LSTM, lambda cell: None, hidden=2000)
    total, before = cell.bias_ih + cell.bias_hh, drawn.bias_ih + drawn.bias_hh
    forget, input = total[cell.rows("forget")], total[cell.rows("input")]
    assert torch.equal(input, -forget)
    memory = forget.exp()
    assert 1 <= memory.min() < 1.1
    assert 48.9 < memory.max() <= 49
    assert memory.mean().item() == pytest.approx(25, rel=0.03)
    for gate in ("candidate", "output"):
        assert torch.equal(total[cell.rows(gate)], before[cell.rows(gate)])
    assert torch.equal(cell.weight_hh, drawn.weight_hh)


def test_chrono_keeps_the_state_whichever_way_round_the_gate_is():
    update = initialized(GRU, DRAWN_IN_FLOAT64["chrono"])
    total = (update.bias_ih + update.bias_hh)[update.rows("update")]
    assert (total >= 0).all()
    renews = initialized(MGU, DRAWN_IN_FLOAT64["chrono"])
    assert (renews.bias[renews.rows("forget")] <= 0).all()
    two = initialized(partial(LEM, dt=1.0), DRAWN_IN_FLOAT64["chrono"])
    step_z, step_h = (two.bias[two.rows(gate)] for gate in ("step_z", "step_h"))
    assert (step_z <= 0).all()
    assert (step_h <= 0).all()
    assert not torch.equal(step_z, step_h)


@pytest.mark.parametrize("make", [RNN, LSTM1997])
def test_chrono_needs_a_gate_that_keeps_a_state(make):
    with pytest.raises(ValueError, match="keeps no state by a gate with a bias; choose a cell such as lstm or gru"):
        initialized(make, DRAWN_IN_FLOAT64["chrono"])


def test_a_cell_without_recurrent_blocks_refuses_what_sets_them():
    with pytest.raises(ValueError, match=r"OrthogonalRNN names no recurrent matrix to initialise .* use init=default"):
        initialized(partial(OrthogonalRNN, map="cayley"), DRAWN_IN_FLOAT64["glorot"])
