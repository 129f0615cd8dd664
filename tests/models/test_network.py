"""The network compared with torch's fused layers."""

import pytest
import torch

from tests.models.reference import CELLS, PARAMETERS, gradients_of, inputs, loss_of, network, torch_layers, traced


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize(("length", "batch"), [(1, 4), (2, 1), (2, 4), (7, 4), (20, 1), (20, 4)])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_loss_and_gradients_equal_those_of_torchs_layers(name, num_layers, length, batch, readout_steps):
    net = network(name, num_layers, readout_steps)
    x = inputs(length, batch).requires_grad_()
    loss = loss_of(net(x)).mean()
    loss.backward()
    ours, ours_of_x = gradients_of(net), x.grad.clone()

    fused = torch_layers(name, net)
    net.zero_grad()
    x.grad = None
    hidden, _ = fused(x)
    expected = loss_of(net.readout(hidden if readout_steps is None else hidden[-readout_steps:])).mean()
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=1e-10)
    torch.testing.assert_close(ours_of_x, x.grad, rtol=0, atol=1e-10)
    for i in range(num_layers):
        for parameter in PARAMETERS:
            theirs = getattr(fused, f"{parameter}_l{i}").grad
            torch.testing.assert_close(ours[f"layers.{i}.{parameter}"], theirs, rtol=0, atol=1e-10)
    for parameter, theirs in net.readout.named_parameters():
        torch.testing.assert_close(ours[f"readout.{parameter}"], theirs.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
def test_outputs_are_those_of_the_last_hidden_states(name):
    net = network(name, num_layers=2, readout_steps=2)
    x = inputs(9)
    hidden = net.hidden(x)
    assert len(hidden) == 2
    assert torch.equal(net(x), net.readout(hidden[-1][-2:]))
    assert torch.equal(net(x), net.read_out(hidden[-1]))


@pytest.mark.parametrize("name", CELLS)
def test_the_first_readout_and_every_step_of_a_sequence_have_gradients(name):
    trace = traced(network(name, readout_steps=2), inputs(9))
    for gradients in trace.layers[0].gradients.values():
        assert (gradients.flatten(1).norm(dim=1) > 0).all()


def test_the_usual_mistake_finds_zeros_where_we_find_the_gradient():
    """A stack of the states is their child in the graph, and the loss does not go through it."""
    net = network("tanh")
    x = inputs(6)
    hidden, states = [], net.cells[0].initial_state(x.shape[1])
    for x_t in x:
        states = net.cells[0].step(x_t, states)
        hidden.append(states[0])
    stack = torch.stack(hidden)
    stack.retain_grad()
    loss_of(net.readout(stack[-1:])).mean().backward()
    assert (stack.grad[:-1] == 0).all()  # other software reports this as 'extreme vanishing'
    assert (traced(net, x).layers[0].gradients["h"].abs().amax(dim=(1, 2)) > 1e-6).all()
