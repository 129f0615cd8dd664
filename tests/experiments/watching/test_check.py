"""`bptt.check` names planted faults, and none where there is none."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

import bptt

TIME, BATCH = 8, 6


class Loop(nn.Module):
    def __init__(self, every=None):
        super().__init__()
        self.cell, self.every = nn.LSTMCell(2, 5), every

    def forward(self, x):
        h = c = x.new_zeros(x.shape[1], 5)
        outputs = []
        for t, one in enumerate(x):
            if self.every and t and t % self.every == 0:
                h, c = h.detach(), c.detach()
            h, c = self.cell(one, (h, c))
            outputs.append(h)
        return torch.stack(outputs)


class Chunks(nn.Module):
    def __init__(self, carries):
        super().__init__()
        self.rnn, self.carries = nn.GRU(2, 5), carries

    def forward(self, x):
        state, outputs = None, []
        for chunk in x.split(TIME // 2):
            output, state = self.rnn(chunk, state if self.carries else None)
            outputs.append(output)
        return torch.cat(outputs)


def found(model, change=lambda x: x, loss=lambda y, x: mse_loss(y[-1], x[0, :, :1].expand(-1, 5))):
    torch.manual_seed(3)
    x = change(torch.randn(TIME, BATCH, 2))
    audit = bptt.check(model, x, lambda model, x: loss(model(x)[0] if isinstance(model, nn.RNNBase) else model(x), x))
    return {one.kind: one.sentence for one in audit.findings if one.is_fault}, audit


@pytest.mark.parametrize(
    "model", [lambda: nn.LSTM(2, 5, num_layers=2, dropout=0.5), lambda: nn.GRU(2, 5), Loop, lambda: Chunks(True)]
)
def test_nothing_is_named_where_nothing_is_wrong(model):
    faults, audit = found(model())
    assert not faults
    assert len(audit.table) == TIME
    assert all(row.autograd for row in audit.table)
    assert "agrees with finite differences at all 8" in str(audit)


def test_a_detached_state(double):
    faults, audit = found(Loop(every=3))
    assert set(faults) == {"gradient", "detached"}
    assert "every 3 timesteps, before timesteps 4, 7" in faults["detached"]
    assert [row.agrees for row in audit.table] == [False] * 6 + [True] * 2
    assert all(row.finite for row in audit.table)


def test_a_state_that_is_reset_each_call():
    faults, _ = found(Chunks(False))
    assert set(faults) == {"state", "unreached"}  # the loss reads the last chunk alone
    assert faults["state"].startswith("2 calls start from a new state")


def test_inputs_that_do_not_reach_the_loss():
    faults, _ = found(nn.LSTM(2, 5), loss=lambda y, x: y[4].square().mean())
    assert set(faults) == {"unreached"}
    assert "inputs of timesteps 6 to 8 do not" in faults["unreached"]


def pad(x):
    x = x.clone()
    x[5:, 0] = x[4:, 2] = 0
    return x


def test_padding_that_enters_the_loss():
    faults, _ = found(nn.LSTM(2, 5), pad, lambda y, x: y.square().mean())
    assert set(faults) == {"padding"}
    assert "2 of 6 samples" in faults["padding"]
    masked, audit = found(nn.LSTM(2, 5), pad, lambda y, x: (y.square().mean(-1) * (x != 0).any(-1)).mean())
    assert not masked
    assert "does not take part" in str(audit)


def test_an_outlier_sample():
    weights = torch.tensor([1.0, 1, 1, 500, 1, 1])
    faults, _ = found(nn.GRU(2, 5), loss=lambda y, x: (y[-1].square().mean(-1) * weights).mean())
    assert set(faults) == {"outlier"}
    assert faults["outlier"].startswith("sample 4 of 6 has 9")


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, 5)

    def forward(self, x):
        packed = pack_padded_sequence(x, torch.tensor([8, 3, 8, 5, 1, 6]), enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0])[0]


class Opaque(torch.autograd.Function):
    """The mean of the squares, computed where autograd's graph does not show it."""

    @staticmethod
    def forward(context, y):
        context.save_for_backward(y)
        return y.square().mean()

    @staticmethod
    def backward(context, gradient):
        (y,) = context.saved_tensors
        return gradient * 2 * y / y.numel()


def masked(y):
    mask = torch.arange(TIME)[:, None] < torch.tensor([8, 3, 8, 5, 1, 6])
    return (y.square().mean(-1) * mask).sum() / mask.sum()


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda y: y.square().sum(0).mean(), "is a sum over time: the weights of its 240 terms at 8 timesteps"),
        (lambda y: mse_loss(y, torch.ones_like(y), reduction="sum") / 4, "is a sum over time"),
        (lambda y: sum(mse_loss(one, torch.ones_like(one)) for one in y), "is a sum over time"),
        (lambda y: sum(mse_loss(one, torch.ones_like(one)) for one in y) / 8, "is a mean over time"),
        (lambda y: cross_entropy(y.flatten(0, 1), torch.arange(48) % 5) / 3, "at 8 timesteps (NllLoss) add up to 1,"),
        (masked, "is a mean over time"),
        (lambda y: y[-1].square().mean(), "cannot be decided: the loss reads the last layer's output at a single"),
        (
            lambda y: mse_loss(y.mean(0), torch.ones_like(y[0])),
            "cannot be decided: a single term of the loss (MseLoss)",
        ),
        (lambda y: (y.square().mean((1, 2)) * 0.9 ** torch.arange(8)).sum(), "by numbers that differ"),
    ],
)
@pytest.mark.parametrize("model", [lambda: nn.LSTM(2, 5, num_layers=2), lambda: Chunks(True), Loop, Packed])
def test_a_sum_over_time_that_was_meant_as_a_mean(model, loss, said):
    _, audit = found(model(), loss=lambda y, x: loss(y))
    (sentence,) = (one.sentence for one in audit.findings if one.kind == "reduction")
    assert said in sentence


def test_a_loss_that_autograd_does_not_show_is_cut():
    _, audit = found(nn.LSTM(2, 5), loss=lambda y, x: Opaque.apply(y))
    assert "is a mean over time: cut to 4 of 8 timesteps, it sends 2 times as much" in str(audit)


def test_a_loss_that_differs_each_time_is_refused():
    noise = iter(range(1000))
    with pytest.raises(ValueError, match="nothing can be said"):
        found(nn.GRU(2, 5), loss=lambda y, x: y.square().mean() * (1 + next(noise)))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((nn.GRU(2, 5), None), TypeError, "loss_function: must be a function .* but is a NoneType"),
        (("model", len), TypeError, "model: must be a torch.nn.Module, but is a str"),
        ((nn.GRU(2, 5), lambda model, x: 3.0), ValueError, "loss_function: must return a tensor, but returned a float"),
        ((nn.GRU(2, 5), lambda model, x: model(x)[0]), ValueError, r"but has the shape \(8, 6, 5\)"),
        ((nn.GRU(2, 5), lambda model, x: x.mean()), ValueError, "no recurrent layer of the given model was called"),
    ],
)
def test_what_is_not_a_model_or_a_loss_function_is_refused(arguments, error, said):
    model, loss_function = arguments
    with pytest.raises(error, match=said):
        bptt.check(model, torch.randn(TIME, BATCH, 2), loss_function)


def test_an_error_of_the_loss_function_has_only_its_own_frames():
    def loss_function(model, x):
        raise KeyError("target")

    with pytest.raises(KeyError, match="target") as caught:
        bptt.check(nn.GRU(2, 5), torch.randn(TIME, BATCH, 2), loss_function)
    assert [entry.name for entry in caught.traceback][-3:] == ["check", "check", "loss_function"]
    assert "in float64" in caught.value.__notes__[0]


def test_a_layer_without_gradients():
    class Frozen(Chunks):
        def forward(self, x):
            with torch.no_grad():
                state = self.rnn(x[:4])[1]
            return self.rnn(x[4:], state)[0]

    faults, _ = found(Frozen(True))
    assert "is called 1 times under torch.no_grad" in str(found(Frozen(True))[1])
    assert set(faults) == {"gradient"}


def test_layers_that_the_backward_pass_calls_again_are_named():
    class Checkpointed(Chunks):
        def forward(self, x):
            return checkpoint(lambda x: self.rnn(x)[0], x, use_reentrant=False)

    with pytest.raises(ValueError, match=r"again in the backward pass, by torch.utils.checkpoint"):
        found(Checkpointed(True), loss=lambda y, x: y.square().mean())


def test_a_watch_checks_its_model_and_the_copy_is_not_watched(watch, table):
    model = nn.LSTM(2, 5)
    watched = watch(model)
    x = torch.randn(TIME, BATCH, 2)
    loss = model(x)[0].square().mean()
    audit = watched.check(x, lambda model, x: model(x)[0].square().mean())
    assert "agrees with finite differences at all 8" in str(audit)
    loss.backward()
    watched.step(loss)
    assert len(table(watched).query("step == 1")) == 2 * TIME
