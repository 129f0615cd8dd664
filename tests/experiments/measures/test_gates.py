import pytest
import torch

from experiments.measures.gates import Gates
from experiments.tasks.adding import Adding
from experiments.training.backpropagation import backpropagate
from models.gru import GRU
from models.initialization import default
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
from models.trace import cut
from tests.models.reference import traced


def network(make, dtype=torch.float64):
    return RecurrentNetwork(
        make, default, input_size=2, hidden_size=5, num_layers=2, output_size=1, readout_steps=1, dtype=dtype
    )


def gates_of_a_loop(net, x):
    """Every gate at every timestep, computed step by step."""
    found = {}
    for layer, cell in enumerate(net.cells):
        state, hidden = cell.initial_state(x.shape[1]), []
        for t, x_t in enumerate(x, start=1):
            for gate, values in cell.compute_gates(x_t, state[0]).items():
                found[layer, gate, t] = values
            state = cell.step(x_t, state)
            hidden.append(state[0])
        x = torch.stack(hidden)
    return found


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
@pytest.mark.parametrize("make", [LSTM, GRU])
def test_gates_at_the_ends_of_windows_are_those_of_the_steps(make, dtype, accuracy):
    net = network(make, dtype)
    x = 3 * torch.randn(11, 6, 2, dtype=dtype)
    trace = traced(net, x, 4)
    rows = list(Gates().before_update(7, net, trace))
    expected = gates_of_a_loop(net, x)
    assert len(rows) == 2 * 4 * len(net.cells[0].gates)
    for step, layer, gate, timestep, mean, std, low, high, *by_marks in rows:
        values = expected[layer, gate, timestep]
        assert (step, by_marks) == (7, [None, None, None])
        assert mean == pytest.approx(values.mean().item(), abs=accuracy)
        assert std == pytest.approx(values.std(correction=0).item(), abs=accuracy)
        assert low == pytest.approx((values < (-0.9 if gate == "candidate" else 0.1)).float().mean().item(), abs=0.04)
        assert high == pytest.approx((values > 0.9).float().mean().item(), abs=0.04)


def test_a_gate_held_open_is_saturated():
    net = network(LSTM)
    with torch.no_grad():
        for cell in net.cells:
            cell.set_gate_bias("forget", 20.0)
            cell.set_gate_bias("input", -20.0)
    trace = traced(net, torch.randn(6, 3, 2, dtype=torch.float64), 2)
    rows = {(row[1], row[2]): row[4:] for row in Gates().before_update(1, net, trace)}
    assert rows[0, "forget"][0] == pytest.approx(1)
    assert rows[0, "forget"][2:4] == (0.0, 1.0)
    assert rows[1, "input"][2:4] == (1.0, 0.0)


def test_a_cell_without_gates_has_no_rows():
    net = network(RNN)
    trace = traced(net, torch.randn(6, 3, 2, dtype=torch.float64), 2)
    assert list(Gates().before_update(1, net, trace)) == []


@pytest.mark.parametrize("windows", [12, 5])
def test_means_at_marked_timesteps_are_those_of_the_sequences_that_mark_them(windows):
    net, task = network(LSTM), Adding(12)
    batch = task.draw(6, torch.Generator().manual_seed(0)).to(torch.device("cpu"), torch.float64)
    trace = backpropagate(net, task, batch, windows=cut(12, windows)).trace
    expected = gates_of_a_loop(net, batch.inputs)
    shares = []
    for _, layer, gate, timestep, mean, *_, marked, mean_marked, mean_unmarked in Gates().before_update(1, net, trace):
        values = expected[layer, gate, timestep]
        chosen = [sequence for sequence in range(6) if batch.inputs[timestep - 1, sequence, 1] == 1]
        others = [sequence for sequence in range(6) if sequence not in chosen]
        assert marked == pytest.approx(len(chosen) / 6)
        for sequences, found in ((chosen, mean_marked), (others, mean_unmarked)):
            if sequences:
                assert found == pytest.approx(values[sequences].mean().item(), abs=1e-14)
            else:
                assert found is None
        if 0 < marked < 1:
            assert marked * mean_marked + (1 - marked) * mean_unmarked == pytest.approx(mean)
        shares.append(marked)
    assert any(shares)
    assert not all(shares)


def test_a_gate_that_overflowed_is_nan_only_where_it_is():
    """A sequence with a nan gives a nan to the mean that it belongs to, not to that of the others."""
    net = network(LSTM)
    trace = traced(net, torch.randn(6, 3, 2, dtype=torch.float64), 6)
    trace.marked = torch.tensor([[True, False, False]]).expand(6, 3)
    for layer in trace.layers:
        layer.gates["input"][:, 0] = torch.nan
    rows = [row for row in Gates().before_update(1, net, trace) if row[2] == "input"]
    assert all(row[9] != row[9] and 0 < row[10] < 1 for row in rows)
