import pytest
import torch

from experiments.measures.gates import Gates
from models.gru import GRU
from models.initialization import default
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
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
    for step, layer, gate, timestep, mean, std, low, high in rows:
        values = expected[layer, gate, timestep]
        assert step == 7
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
    assert rows[0, "forget"][2:] == (0.0, 1.0)
    assert rows[1, "input"][2:] == (1.0, 0.0)


def test_a_cell_without_gates_has_no_rows():
    net = network(RNN)
    trace = traced(net, torch.randn(6, 3, 2, dtype=torch.float64), 2)
    assert list(Gates().before_update(1, net, trace)) == []
