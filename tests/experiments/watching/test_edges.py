"""Trainings that differ from the plain loop: what is recorded right, and what is named in one line."""

import json

import pandas as pd
import pytest
import torch
from torch import nn

from experiments.watching import calls
from experiments.watching.seeing import has_recurrent_layers
from tests.experiments.watching.test_script import runs

TIME, BATCH = 5, 3


def train(watched, layer, forward, steps=2, dtype=torch.float64, last=lambda loss: loss.backward()):
    torch.manual_seed(1)
    optimizer = torch.optim.SGD([one for one in layer.parameters() if one.requires_grad], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = forward(torch.randn(TIME, BATCH, 2, dtype=torch.float64).to(dtype))
        last(loss)
        watched.step(loss.detach())
        optimizer.step()


def test_bfloat16_has_the_gradients_of_float64_but_for_its_rounding(watch, table):
    read = []
    for dtype in (torch.float64, torch.bfloat16):
        torch.manual_seed(0)
        layer = nn.GRU(2, 4).to(dtype)
        watched = watch(layer)
        train(watched, layer, lambda x, layer=layer: layer(x)[0].square().mean(), dtype=dtype)
        assert not watched.not_seen
        read.append([table(watched)["grad_norm"], table(watched, "parameters")["sigma_max"].dropna()])
    for exact, short in zip(*read, strict=True):
        assert short.tolist() == pytest.approx(exact.tolist(), rel=0.05)


def test_an_encoder_whose_output_is_not_used_is_recorded_in_float32_as_in_float64(watch, table):
    """torch's fused LSTM, in float32 alone, gives an unused output the gradient None."""
    read = []
    for dtype in (torch.float64, torch.float32):
        torch.manual_seed(0)
        model = nn.ModuleList([nn.LSTM(2, 4), nn.LSTM(2, 4)]).to(dtype)
        watched = watch(model)
        train(watched, model, lambda x, both=model: both[1](x, both[0](x)[1])[0].square().mean(), dtype=dtype)
        assert not watched.not_seen
        read.append(table(watched)["grad_norm"].tolist())
    assert read[1] == pytest.approx(read[0], rel=1e-3)


def test_a_frozen_recurrent_matrix_has_no_rows(watch, table):
    layer = nn.GRU(2, 4)
    layer.weight_hh_l0.requires_grad_(False)
    watched = watch(layer)
    train(watched, layer, lambda x: layer(x)[0].square().mean())
    assert not watched.not_seen
    assert len(table(watched)) == 2 * TIME
    assert set(table(watched, "parameters")["parameter"]) == {
        f"layers.0.{name}" for name in ("weight_ih", "bias_ih", "bias_hh")
    }


def test_data_parallel_without_a_gpu_is_seen(watch):
    if torch.cuda.is_available():
        pytest.skip("nn.DataParallel copies its module to each GPU")
    watched = watch(nn.DataParallel(nn.GRU(2, 3)))
    assert (watched.layers, watched.not_seen) == (["module"], {})


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(2, 3)

    def forward(self, x):
        state, outputs = None, []
        for one in x:
            state = self.cell(one, state)
            outputs.append(state[0])
        return (torch.stack(outputs),)


def under_autocast(model, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(x)[0].float().square().mean()


def with_penalty(model, x):
    loss = model(x.requires_grad_())[0].square().mean()
    return loss + torch.autograd.grad(loss, x, create_graph=True)[0].square().sum()


@pytest.mark.parametrize(
    ("make", "forward", "said"),
    [
        (Loop, under_autocast, "cell is not seen: it is called under torch.autocast"),
        (lambda: nn.GRU(2, 3), under_autocast, "GRU is not seen: it is called under torch.autocast"),
        (lambda: nn.GRU(2, 3), with_penalty, "its gradient is differentiated again"),
    ],
)
def test_what_cannot_be_seen_is_named(watch, make, forward, said):
    model = make().float()
    watched = watch(model)
    with pytest.warns(UserWarning, match=said):
        train(watched, model, lambda x: forward(model, x), steps=1, dtype=torch.float32)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_layers_are_known(watch):
    scripted = torch.jit.script(nn.Sequential(nn.GRU(2, 3)))
    assert has_recurrent_layers(scripted)
    with pytest.raises(ValueError, match="0: it is a scripted module"):
        watch(scripted)


def test_a_watch_without_steps_says_so_and_keeps_few_calls(watch, monkeypatch):
    monkeypatch.setattr(calls, "MOST_STALE", 4)
    layer = nn.GRU(2, 3)
    watched = watch(layer)
    for _ in range(10):
        layer(torch.randn(TIME, BATCH, 2))[0].sum().backward()
        torch.optim.SGD(layer.parameters(), lr=0.1).step()
    assert len(watched._calls.kept) < 4
    with pytest.warns(UserWarning, match=r"nothing is recorded: watch.step was never called"):
        watched.close()


SCRIPT = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, 3)

    def forward(self, x):
        if len(x) > 5:
            raise ValueError("too long")
        return self.rnn(x)[0]

torch.manual_seed(0)
model = Model()
if LENGTH == 5:
    torch.jit.trace(model, torch.ones(5, 2, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(LENGTH, 2, 2)).square().mean()
        loss.backward()
        return loss
    print(float(optimizer.step(closure).detach()))
"""


@pytest.mark.parametrize("length", [5, 6])
def test_a_script_with_a_closure_and_an_error_inside_the_model(tmp_path, bptt, python, length):
    """Frames of ours stand between the script and its model; the traceback is as without them."""
    (tmp_path / "train.py").write_text(SCRIPT.replace("LENGTH", str(length)))
    watched = bptt("watch", "--every", 1, "--", "train.py")
    alone = python("train.py")
    assert (watched.returncode, watched.stdout) == (alone.returncode, alone.stdout)
    assert alone.stderr in watched.stderr
    if length == 5:
        (run,) = runs(tmp_path / "results" / "train")
        assert json.loads((run / "run.json").read_text())["not_seen"] == {}
        assert pd.read_csv(run / "gradients.csv")["step"].unique().tolist() == [1, 2, 3]
