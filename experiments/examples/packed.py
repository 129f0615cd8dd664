"""Packed sequences of different lengths, for `bptt watch -- packed.py`: a GRU learns each sequence's first number."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


def main() -> None:
    """Train for 60 steps."""
    torch.manual_seed(0)
    gru, readout = nn.GRU(1, 16), nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*gru.parameters(), *readout.parameters()], lr=0.01)
    for _ in range(60):
        lengths = torch.randint(5, 13, (32,))
        x = torch.randn(12, 32, 1)
        last = gru(pack_padded_sequence(x, lengths, enforce_sorted=False))[1][-1]
        loss = nn.functional.mse_loss(readout(last), x[0])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    print(f"loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
