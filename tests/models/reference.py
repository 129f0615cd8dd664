"""Reference implementations of the networks: torch's own fused layers, and a Python loop over torch's cells."""

import torch
from torch import nn

from models.gru import GRU
from models.initialization import default
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
from models.trace import cut, follow


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


def network(name, num_layers=1, readout_steps=1, make=None, dtype=torch.float64):
    cell, _, _, options = CELLS[name]
    return network_of(make or cell, num_layers, readout_steps, dtype, **options)


def network_of(make, num_layers=1, readout_steps=1, dtype=torch.float64, **options):
    """A network of any cell."""

    def make_cell(input_size, hidden_size):
        return make(input_size, hidden_size, **options)

    return RecurrentNetwork(
        make_cell,
        default,
        input_size=INPUT,
        hidden_size=HIDDEN,
        num_layers=num_layers,
        output_size=OUTPUT,
        readout_steps=readout_steps,
        dtype=dtype,
    )


def inputs(length, batch=BATCH, dtype=torch.float64):
    return torch.randn(length, batch, INPUT, dtype=dtype)


def loss_of(outputs):
    """Losses of the sequences, not linear in the outputs. Their mean is L."""
    return (outputs**2 + outputs.sin()).sum(dim=-1).mean(dim=0)


def traced(net, x, windows=None, loss=lambda outputs: loss_of(outputs).mean()):
    """Backpropagate, and return the trace with this many windows: one for each timestep unless said otherwise."""
    net.zero_grad()
    hidden = net.hidden(x)
    for h in hidden:
        h.retain_grad()
    loss(net.read_out(hidden[-1])).backward()
    return follow(net.cells, x, hidden, cut(len(x), windows or len(x)))


def gradients_of(net):
    return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}


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
    """Loop over torch's cells. Return the losses of the sequences, and every state by (layer, state, timestep).

    nudge: (layer, state, timestep, change), which adds `change` to that state as soon as it is computed. torch's
    LSTMCell returns h_t and c_t side by side. Here h_t = o_t tanh(c_t) is computed from its c_t, which thus acts
    through h_t as well.
    """
    cells = torch_cells(name, net)
    zero = torch.zeros(x.shape[1], HIDDEN, dtype=torch.float64)
    before = [(zero, zero) if name == "lstm" else (zero,) for _ in cells]
    states, outputs = {}, []

    def keep(layer, state, t, tensor):
        if nudge is not None and nudge[:3] == (layer, state, t):
            tensor = tensor + nudge[3]
        if tensor.requires_grad:
            tensor.retain_grad()
        states[layer, state, t] = tensor
        return tensor

    for t, signal in enumerate(x, start=1):
        for layer, cell in enumerate(cells):
            if name == "lstm":
                _, c = cell(signal, before[layer])
                c = keep(layer, "c", t, c)
                rows = signal @ cell.weight_ih.T + cell.bias_ih + before[layer][0] @ cell.weight_hh.T + cell.bias_hh
                h = keep(layer, "h", t, torch.sigmoid(rows[:, 3 * HIDDEN :]) * torch.tanh(c))
                before[layer] = (h, c)
            else:
                h = keep(layer, "h", t, cell(signal, before[layer][0]))
                before[layer] = (h,)
            signal = h
        outputs.append(signal)
    read = torch.stack(outputs) if net.readout_steps is None else torch.stack(outputs[-net.readout_steps :])
    return loss_of(net.readout(read)), states


def run_steps(net, x):
    """Loop over each cell's own `step`. Return h of the last layer, and every state of each layer, in autograd's graph.

    A state is a list over the timesteps.
    """
    layers = []
    for cell in net.cells:
        state = tuple(tensor.clone().requires_grad_() for tensor in cell.initial_state(x.shape[1]))
        steps = []
        for x_t in x:
            state = cell.step(x_t, state)
            steps.append(state)
        layers.append(dict(zip(cell.state_names, map(list, zip(*steps, strict=True)), strict=True)))
        x = torch.stack(layers[-1]["h"])
    return x, layers


def state_gradients(loss, layers):
    """The gradient of a loss with respect to all states of `run_steps`, (time, batch, size) by name for each layer."""
    flat = [tensor for layer in layers for steps in layer.values() for tensor in steps]
    needed = [tensor for tensor in flat if tensor.requires_grad]
    found = dict(zip(needed, torch.autograd.grad(loss, needed, allow_unused=True, retain_graph=True), strict=True))

    def gradient(tensor):
        return torch.zeros_like(tensor) if found.get(tensor) is None else found[tensor]

    return [{name: torch.stack(list(map(gradient, steps))) for name, steps in layer.items()} for layer in layers]
