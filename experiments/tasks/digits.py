"""A task with real data: handwritten digits, read one pixel per timestep."""

from collections.abc import Iterator
from functools import cache
from math import log
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import pad

from experiments.tasks.images import pixel_order
from experiments.tasks.pixel_chance import chance_of_single_pixels
from experiments.tasks.task import Batch, ClassificationTask, LossAt

PIXELS = 64


class Digits(ClassificationTask):
    """Read a handwritten digit pixel by pixel, and answer which digit it is, at T or at each timestep.

    The data are the 1,797 images of 8x8 pixels by Alpaydin and Kaynak (1998) that scikit-learn ships. A fifth of the
    images, the same in every run, is the test set. Guessing has a loss of ln 10 and is wrong for 90 % of the images.
    With a loss at each timestep, chance knows the pixel of its timestep; see `pixel_chance`. There is no published
    criterion for when the task is solved.

    Args:
        length: Number of timesteps T, at least the 64 pixels. The timesteps after the pixels are blank, so the network
            must remember the image for longer.
        permuted: Whether the pixels of all images are in the same random order.
        loss_at: Whether the last timestep has a loss, or all timesteps.
    """

    input_size = 1
    output_size = 10
    chance_loss = log(10)
    chance_error = 0.9
    solved_below = None

    def __init__(
        self, length: Annotated[int, Field(ge=PIXELS)] = PIXELS, permuted: bool = False, loss_at: LossAt = "last"
    ) -> None:
        self.timesteps = length
        self.readout_steps = 1 if loss_at == "last" else None
        self._order = pixel_order(PIXELS, permuted)
        if loss_at == "all":
            training, labels, test, test_labels = _split()
            blank = (0, length - PIXELS)
            self.chance_loss, self.chance_error = chance_of_single_pixels(
                pad(training, blank), labels, pad(test, blank), test_labels, brightest=1.0
            )

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        images, labels, _, _ = _split()
        chosen = torch.randint(0, len(images), (batch_size,), generator=generator)
        return self._read(images[chosen], labels[chosen])

    def held_out(self, samples: int, generator: Generator) -> Iterator[Batch]:
        """Yield the whole test set as one batch, whatever number of samples is asked for."""
        _, _, images, labels = _split()
        yield self._read(images, labels)

    def _read(self, images: Float[Tensor, "batch pixels"], labels: Tensor) -> Batch:
        inputs = torch.zeros(self.timesteps, len(images), 1)
        inputs[:PIXELS, :, 0] = images.T[self._order]
        return Batch(inputs, labels.expand(self.readout_steps or self.timesteps, -1))


@cache
def _split() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images (values from 0 to 1) and labels, test images and labels, stratified by digit."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=labels
    )
    return (
        torch.from_numpy(train / 16).float(),  # on the CPU, though a network is being built on another device
        torch.from_numpy(train_labels),
        torch.from_numpy(test / 16).float(),
        torch.from_numpy(test_labels),
    )
