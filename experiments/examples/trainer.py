"""Hooks called by a trainer, as in Lightning, for `bptt watch -- trainer.py`: an LSTM whose loop is out of sight."""

from typing import Any

import torch
from torch import Tensor, nn


class Forecaster(nn.Module):
    """An LSTM that forecasts the next number of a wave, and how it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.readout = nn.LSTM(1, 16, num_layers=2, batch_first=True), nn.Linear(16, 1)

    def training_step(self, wave: Tensor) -> Tensor:
        """The loss of a batch of waves, (batch, time, 1)."""
        forecast = self.readout(self.lstm(wave[:, :-1])[0])
        return nn.functional.mse_loss(forecast, wave[:, 1:])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of all parameters."""
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Trainer:
    """Owns the loop."""

    def fit(self, model: Any, batches: Any) -> Tensor:
        """Train on all batches; return the last loss."""
        optimizer = model.configure_optimizers()
        for batch in batches:
            loss = model.training_step(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        result: Tensor = loss.detach()
        return result


def waves() -> Any:
    """60 batches of sine waves."""
    for _ in range(60):
        yield torch.sin(torch.arange(21.0) * 0.3 + 6 * torch.rand(32, 1)).unsqueeze(-1)


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"loss {Trainer().fit(Forecaster(), waves()).item():.4f}")
