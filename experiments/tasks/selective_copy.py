"""The selective copy task: find ten symbols among blanks, and repeat them in their order."""

import torch
from torch import Generator, Tensor

from experiments.tasks.copy import COPIED, Copy
from experiments.tasks.lengths import Length


class SelectiveCopy(Copy):
    """Read 10 symbols from an alphabet of 8 that stand anywhere before a go signal, and repeat them in their order.

    The symbols are at random timesteps among the blanks, so their number of timesteps before the answer varies (the
    denoise task of Jing et al. 2019; Gu and Dao 2023 call it selective copying). Lengths, loss, chance and criterion
    are those of `Copy`.
    """

    def _positions(self, starts: Length, batch_size: int, generator: Generator) -> Tensor:
        scores = torch.rand(self.timesteps - COPIED - 1, batch_size, generator=generator)
        scores.masked_fill_(torch.arange(len(scores))[:, None] < starts, -1.0)
        return scores.topk(COPIED, dim=0).indices.sort(dim=0).values
