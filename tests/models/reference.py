"""Reference implementations of the networks: torch's own fused layers, and a Python loop over torch's cells."""

import torch
from torch import nn

from models.gru import GRU
from models.initialization import default
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN


class LinearCell(nn.RNNCell):
    """An RNNCell without a nonlinearity, which torch does not have."""

    def forward(self, x, h):
        return x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh.T + self.bias_hh


class Linear(nn.RNN):
    """An RNN without a nonlinearity, which torch does not have. It loops over timesteps, layer by layer."""

    def forward(self, x):
        for layer in range(self.num_layers):
            weight_ih, weight_hh, bias_ih, bias_hh = (getattr(self, f"{name}_l{layer}") for name in PARAMETERS)
            h, hidden = x.new_zeros(x.shape[1], self.hidden_size), []
            for x_t in x:
                h = x_t @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh
                hidden.append(h)
            x = torch.stack(hidden)
        return x, h


PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
CELLS = {
    "identity": (RNN, Linear, LinearCell, {"nonlinearity": "identity"}),
    "tanh": (RNN, nn.RNN, nn.RNNCell, {}),
    "relu": (RNN, nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}),
    "lstm": (LSTM, nn.LSTM, nn.LSTMCell, {}),
    "gru": (GRU, nn.GRU, nn.GRUCell, {}),
}
INPUT, HIDDEN, OUTPUT, BATCH = 3, 5, 2, 4


def network(name, num_layers=1, readout_steps=1, make=None):
    cell, _, _, options = CELLS[name]

    def make_cell(input_size, hidden_size):
        return (make or cell)(input_size, hidden_size, **options)

    return RecurrentNetwork(
        make_cell,
        default,
        input_size=INPUT,
        hidden_size=HIDDEN,
        num_layers=num_layers,
        output_size=OUTPUT,
        readout_steps=readout_steps,
        dtype=torch.float64,
    )


def inputs(length):
    return torch.randn(length, BATCH, INPUT, dtype=torch.float64)


def loss_of(outputs):
    """Losses of the sequences, not linear in the outputs. Their mean is L."""
    return (outputs**2 + outputs.sin()).sum(dim=-1).mean(dim=0)


def torch_layers(name, net):
    """A multi-layer module of torch with the same weights."""
    _, layer, _, options = CELLS[name]
    options = {} if name == "identity" else options
    fused = layer(INPUT, HIDDEN, num_layers=len(net.cells), dtype=torch.float64, **options)
    with torch.no_grad():
        for i, cell in enumerate(net.cells):
            for parameter in PARAMETERS:
                getattr(fused, f"{parameter}_l{i}").copy_(getattr(cell, parameter))
    return fused


def torch_cells(name, net):
    """A single-step cell of torch for each layer, with the same weights."""
    _, _, cell, options = CELLS[name]
    options = {} if name == "identity" else options
    steps = []
    for i, ours in enumerate(net.cells):
        step = cell(INPUT if i == 0 else HIDDEN, HIDDEN, dtype=torch.float64, **options)
        with torch.no_grad():
            for parameter in PARAMETERS:
                getattr(step, parameter).copy_(getattr(ours, parameter))
        steps.append(step)
    return steps


def run_loop(name, net, x, nudge=None):
    """Loop over torch's cells. Return the losses of the sequences, and every h by (layer, timestep).

    nudge: (layer, state, timestep, change), which adds `change` to that state as soon as it is computed. A nudge of an
    LSTM's c_t also changes h_t = o_t tanh(c_t).
    """
    cells = torch_cells(name, net)
    zero = torch.zeros(x.shape[1], HIDDEN, dtype=torch.float64)
    states = [(zero, zero) if name == "lstm" else (zero,) for _ in cells]
    hidden, outputs = {}, []
    for t, signal in enumerate(x, start=1):
        for layer, cell in enumerate(cells):
            new = cell(signal, states[layer] if name == "lstm" else states[layer][0])
            h, *c = new if name == "lstm" else (new,)
            if nudge is not None and nudge[:3] == (layer, "h", t):
                h = h + nudge[3]
            if nudge is not None and nudge[:3] == (layer, "c", t):
                output_gate = h / torch.tanh(c[0])
                c[0] = c[0] + nudge[3]
                h = output_gate * torch.tanh(c[0])
            if h.requires_grad:
                h.retain_grad()
            hidden[layer, t] = h
            states[layer] = (h, *c)
            signal = h
        outputs.append(signal)
    read = torch.stack(outputs) if net.readout_steps is None else torch.stack(outputs[-net.readout_steps :])
    return loss_of(net.readout(read)), hidden
