"""The recurrent network: a stack of cells and a linear read-out."""

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models import truncation
from models.cell import Cell, HiddenSequence
from models.padding import Starts


class RecurrentNetwork(nn.Module):
    """Layers of recurrent cells, and a linear read-out of the hidden state of the last layer.

    Args:
        make_cell: Function that makes the cell of a layer, called with `input_size` and `hidden_size`.
        initialize: Function that sets the recurrent matrices of a cell in place.
        input_size: Size of the input at each timestep.
        hidden_size: Size of the hidden state of every layer.
        num_layers: Number of layers.
        output_size: Size of the output at each timestep that is read out.
        readout_steps: Number of timesteps, counted from the end, that are read out; None reads out all of them.
        dtype: Data type of all parameters. The initialisation draws in this type, so an orthogonal matrix is
            orthogonal to its precision.
        truncation: Number of timesteps, counted back from the end, after which the gradient of the states is cut, and
            again after as many (see `models.truncation`); None backpropagates through the whole sequence.
    """

    def __init__(
        self,
        make_cell: Callable[..., Cell],
        initialize: Callable[[Cell], None],
        *,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        output_size: int,
        readout_steps: int | None,
        dtype: torch.dtype = torch.float32,
        truncation: int | None = None,
    ) -> None:
        super().__init__()
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(make_cell(input_size=size, hidden_size=hidden_size) for size in sizes)
        self.readout = nn.Linear(hidden_size, output_size)
        self.readout_steps = readout_steps
        self.truncation = truncation
        self.to(dtype)
        with torch.no_grad():
            for cell in self.cells:
                initialize(cell)

    @property
    def cells(self) -> list[Cell]:
        """The layers, from the one that reads the input to the one that is read out."""
        return cast(list[Cell], list(self.layers))

    def forward(
        self, x: Float[Tensor, "time batch input"], starts: Starts | None = None
    ) -> Float[Tensor, "steps batch output"]:
        """Return the outputs of the timesteps that are read out.

        Args:
            x: Sequences.
            starts: Number of padded timesteps before each sequence; None for sequences without padding.
        """
        return self.read_out(self.hidden(x, starts)[-1])

    def hidden(self, x: Float[Tensor, "time batch input"], starts: Starts | None = None) -> list[HiddenSequence]:
        """Return h of every timestep of each layer, from the one that reads the input upwards; see `forward`."""
        hidden = []
        for cell in self.cells:
            x = truncation.run(cell, x, self.truncation, starts)
            hidden.append(x)
        return hidden

    def read_out(self, hidden: HiddenSequence) -> Float[Tensor, "steps batch output"]:
        """Return the outputs of the timesteps that are read out, from h of the last layer."""
        outputs: Tensor = self.readout(hidden if self.readout_steps is None else hidden[-self.readout_steps :])
        return outputs
