"""A plain PyTorch script, for `bptt watch -- plain.py`: an LSTM learns the first number of a sequence."""

import argparse

import torch
from torch import nn


class Memory(nn.Module):
    """An LSTM and a read-out of its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 16, batch_first=True)
        self.readout = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Answer after the last timestep; x is (batch, time, 1)."""
        output: torch.Tensor = self.readout(self.lstm(x)[0][:, -1])
        return output


def main() -> None:
    """Train for --steps steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--length", type=int, default=20)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = Memory()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(1, options.steps + 1):
        x = torch.randn(32, options.length, 1)
        loss = nn.functional.mse_loss(model(x), x[:, 0])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
