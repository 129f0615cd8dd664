"""The gradients of fused layers equal those of an autograd loop over torch's cells, to 1e-10."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.experiments.watching.conftest import norms

CELLS = {nn.RNN: nn.RNNCell, nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell}
INPUT, HIDDEN, BATCH, TIME = 3, 5, 4, 7


def cell_of(layer, number, suffix=""):
    """torch's cell with the weights of one direction of a layer."""
    size = getattr(layer, f"weight_ih_l{number}{suffix}").shape[1]
    options = {"nonlinearity": layer.nonlinearity} if isinstance(layer, nn.RNN) else {}
    cell = CELLS[type(layer)](size, layer.hidden_size, bias=layer.bias, **options)
    for name, _ in list(cell.named_parameters()):
        setattr(cell, name, getattr(layer, f"{name}_l{number}{suffix}"))
    return cell


def loop(cell, x, state=None):
    """h of each timestep and all states in autograd's graph, by name."""
    states = {"h": [], "c": []}
    for x_t in x:
        state = cell(x_t, state)
        parts = state if isinstance(state, tuple) else (state,)
        for name, part in zip(("h", "c"), parts, strict=False):
            part.retain_grad()
            states[name].append(part)
    return torch.stack(states["h"]), states


def compare(rows, layer, states):
    """Compare a layer's rows with the gradients that autograd retained."""
    for name, steps in states.items():
        if steps:
            found = rows[(rows["layer"] == layer) & (rows["state"] == name)].sort_values("timestep")["grad_norm"]
            expected = norms([torch.zeros_like(one) if one.grad is None else one.grad for one in steps])
            assert found.tolist() == pytest.approx(expected, rel=1e-10, abs=1e-30)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_a_stack_of_layers(watch, table, kind, bias):
    layer = kind(INPUT, HIDDEN, num_layers=3, bias=bias)
    watched = watch(layer)
    x, weight = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, HIDDEN)
    loss = (layer(x)[0] * weight).sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    below, all_states = x, []
    for number in range(3):
        below, states = loop(cell_of(layer, number), below)
        all_states.append(states)
    (below * weight).sum().backward()
    for number, states in enumerate(all_states):
        compare(rows, number, states)
    shares = table(watched, "contributions").groupby("parameter")["share"].sum()
    assert len(shares) == 3 * (4 if bias else 2)
    assert shares.tolist() == pytest.approx([1.0] * len(shares), rel=1e-10)


@pytest.mark.parametrize("kind", CELLS)
def test_both_directions(watch, table, kind):
    layer = kind(INPUT, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
    watched = watch(layer)
    x, weight = torch.randn(BATCH, TIME, INPUT), torch.randn(BATCH, TIME, 2 * HIDDEN)
    loss = (layer(x)[0] * weight).sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    below, all_states = x.transpose(0, 1), []
    for number in range(2):
        forward, states = loop(cell_of(layer, number), below)
        backward, reverse = loop(cell_of(layer, number, "_reverse"), below.flip(0))
        below = torch.cat([forward, backward.flip(0)], dim=-1)
        all_states += [states, reverse]
    (below.transpose(0, 1) * weight).sum().backward()
    for number, states in enumerate(all_states):
        compare(rows, number, states)


def test_dropout_between_the_layers(watch, table):
    layer = nn.GRU(INPUT, HIDDEN, num_layers=3, dropout=0.4)
    watched = watch(layer)
    x, weight = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, HIDDEN)
    random = torch.get_rng_state()
    loss = (layer(x)[0] * weight).sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    below, all_states, cells = x, [], [cell_of(layer, number) for number in range(3)]
    torch.set_rng_state(random)
    for number, cell in enumerate(cells):
        below, states = loop(cell, below)
        all_states.append(states)
        if number < 2:
            below = nn.functional.dropout(below, 0.4)
    assert torch.allclose((below * weight).sum(), loss, rtol=1e-12)
    (below * weight).sum().backward()
    for number, states in enumerate(all_states):
        compare(rows, number, states)


@pytest.mark.parametrize("kind", CELLS)
def test_a_loss_on_the_last_states_of_every_layer(watch, table, kind):
    """The classification idiom: h_n, and c_n of an LSTM, reach the loss, and the output does not. Unbatched."""
    layer = kind(INPUT, HIDDEN, num_layers=2)
    watched = watch(layer)
    x, before = torch.randn(TIME, INPUT), torch.randn(2, HIDDEN)
    hx = (before, before.sin()) if kind is nn.LSTM else before
    ends = layer(x, hx)[1]
    weights = torch.randn(2, 2, HIDDEN)
    loss = sum((one * weight).sum() for one, weight in zip(ends if kind is nn.LSTM else [ends], weights, strict=False))
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    below, all_states = x[:, None], []
    for number in range(2):
        state = (before[number][None], before.sin()[number][None]) if kind is nn.LSTM else before[number][None]
        below, states = loop(cell_of(layer, number), below, state)
        all_states.append(states)
    sum(
        (states[name][-1][0] * weight[number]).sum()
        for number, states in enumerate(all_states)
        for name, weight in zip(("h", "c") if kind is nn.LSTM else ("h",), weights, strict=False)
    ).backward()
    for number, states in enumerate(all_states):
        compare(rows, number, states)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_packed_sequences(watch, table, kind, bidirectional):
    """Each sequence alone, with its lag counted from its own end; absent ones do not count in the norm."""
    layer = kind(INPUT, HIDDEN, num_layers=2, bidirectional=bidirectional)
    watched = watch(layer)
    lengths = [3, 7, 5, 7]
    x, weight = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, HIDDEN * (1 + bidirectional))
    packed, ends = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
    loss = (pad_packed_sequence(packed)[0] * weight).sum() + (ends[0] if kind is nn.LSTM else ends).sin().sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    assert not watched.not_seen
    squares = {}
    for b, length in enumerate(lengths):
        below, all_states = x[:length, b : b + 1], []
        for number in range(2):
            hidden = []
            for suffix in ("", "_reverse")[: 1 + bidirectional]:
                read = below.flip(0) if suffix else below
                h, states = loop(cell_of(layer, number, suffix), read)
                hidden.append(h.flip(0) if suffix else h)
                all_states.append(states)
            below = torch.cat(hidden, dim=-1)
        last = sum(states["h"][-1].sin().sum() for states in all_states)
        ((below * weight[:length, b : b + 1]).sum() + last).backward()
        for number, states in enumerate(all_states):
            for name, steps in states.items():
                for t, state in enumerate(steps):
                    key = (number, name, length - 1 - t)
                    squares.setdefault(key, []).append(float(state.grad.norm() ** 2))
    found = rows.set_index(["layer", "state", "lag"])["grad_norm"].to_dict()
    # L is the sum over the batch of the losses l_b / batch, so dl_b = batch dL
    expected = {key: BATCH * (sum(ones) / len(ones)) ** 0.5 for key, ones in squares.items()}
    assert found == pytest.approx(expected, rel=1e-10)
    shares = table(watched, "contributions").groupby("parameter")["share"].sum()
    assert shares.tolist() == pytest.approx([1.0] * len(shares), rel=1e-10)


def projected(layer, x, state):
    """nn.LSTM with proj_size as a loop over its equations."""
    h, c = state
    states = {"h": [], "c": []}
    for x_t in x:
        a = x_t @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        i, f, g, o = a.chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = (o.sigmoid() * c.tanh()) @ layer.weight_hr_l0.T
        for name, part in (("h", h), ("c", c)):
            part.retain_grad()
            states[name].append(part)
    return torch.stack(states["h"]), states


def test_a_projection(watch, table):
    layer = nn.LSTM(INPUT, HIDDEN, proj_size=2)
    watched = watch(layer)
    x, weight = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, 2)
    output, (_, c) = layer(x)
    loss = (output * weight).sum() + c.sin().sum()
    loss.backward()
    watched.step(loss)
    hidden, states = projected(layer, x, (torch.zeros(BATCH, 2), torch.zeros(BATCH, HIDDEN)))
    ((hidden * weight).sum() + states["c"][-1].sin().sum()).backward()
    compare(table(watched), 0, states)
    shares = table(watched, "contributions").groupby("parameter")["share"].sum()
    assert shares.tolist() == pytest.approx([1.0] * 5, rel=1e-10)


def test_encoder_and_decoder(watch, table):
    """The encoder's last state is the decoder's first, so the encoder's gradient comes through h_n and c_n alone."""

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.LSTM(INPUT, HIDDEN)
            self.decoder = nn.LSTM(INPUT, HIDDEN)

        def forward(self, x, y):
            return self.decoder(y, self.encoder(x)[1])[0]

    model = Both()
    watched = watch(model)
    x, y, weight = torch.randn(TIME, BATCH, INPUT), torch.randn(4, BATCH, INPUT), torch.randn(4, BATCH, HIDDEN)
    loss = (model(x, y) * weight).sum()
    loss.backward()
    watched.step(loss)
    _, encoder = loop(cell_of(model.encoder, 0), x)
    hidden, decoder = loop(cell_of(model.decoder, 0), y, (encoder["h"][-1], encoder["c"][-1]))
    (hidden * weight).sum().backward()
    compare(table(watched), 0, encoder)
    compare(table(watched), 1, decoder)
    assert watched.layers == ["encoder", "decoder"]


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_chunks_with_a_carried_state(watch, table, kind, detached):
    """Several calls in a step are one sequence; where the state was detached, the gradient is cut."""
    layer = kind(INPUT, HIDDEN)
    watched = watch(layer)
    x, weight = torch.randn(9, BATCH, INPUT), torch.randn(9, BATCH, HIDDEN)
    state, loss = None, 0.0
    for t in range(0, 9, 3):
        if detached and state is not None:
            state = tuple(one.detach() for one in state) if kind is nn.LSTM else state.detach()
        output, state = layer(x[t : t + 3], state)
        loss = loss + (output * weight[t : t + 3]).sum()
    loss.backward()
    watched.step(loss)
    cell, state, every, total = cell_of(layer, 0), None, {"h": [], "c": []}, 0.0
    for t in range(0, 9, 3):
        hidden, states = loop(cell, x[t : t + 3], state)
        total = total + (hidden * weight[t : t + 3]).sum()
        state = (states["h"][-1], states["c"][-1]) if kind is nn.LSTM else states["h"][-1]
        if detached:
            state = tuple(one.detach() for one in state) if kind is nn.LSTM else state.detach()
        every = {name: every[name] + states[name] for name in every}
    total.backward()
    rows = table(watched)
    assert rows["timestep"].max() == 9
    compare(rows, 0, every)
    shares = table(watched, "contributions").groupby("parameter")["share"].sum()
    assert shares.tolist() == pytest.approx([1.0] * 4, rel=1e-10)


def test_detached_chunks_keep_their_place_where_only_the_last_one_has_a_loss(watch, table):
    """The gradient is 0 in the earlier ones; they do not disappear, as if it had reached the first timestep."""
    layer = nn.GRU(INPUT, HIDDEN)
    watched = watch(layer)
    x, state = torch.randn(9, BATCH, INPUT), None
    for t in range(0, 9, 3):
        output, state = layer(x[t : t + 3], state)
        state = state.detach()
    loss = output[-1].sum()
    loss.backward()
    layer(x, state)  # continues after the loss
    watched.step(loss)
    rows = table(watched).set_index("timestep")["grad_norm"]
    assert rows.index.tolist() == list(range(1, 10))
    assert (rows[:6] == 0).all()
    assert (rows[6:] > 0).all()


def test_two_batches_in_a_step_are_one_batch(watch, table):
    """Accumulated gradients: both backward passes count, and the norm is that of the whole batch."""
    layer = nn.GRU(INPUT, HIDDEN)
    watched = watch(layer)
    x, weight = torch.randn(TIME, 2 * BATCH, INPUT), torch.randn(TIME, 2 * BATCH, HIDDEN)
    for part in (slice(0, BATCH), slice(BATCH, None)):
        loss = (layer(x[:, part])[0] * weight[:, part]).sum()
        loss.backward()
    watched.step(loss)
    hidden, states = loop(cell_of(layer, 0), x)
    (hidden * weight).sum().backward()
    compare(table(watched), 0, states)
