"""What a single pixel says about the class of its image: the chance level of reading images pixel by pixel."""

from statistics import fmean

import torch
from jaxtyping import Float, Int64, Real
from torch import Tensor

LEVELS = 16
"""Largest level of a pixel: values are told apart in steps of a sixteenth of their range."""


def chance_of_single_pixels(
    training: Real[Tensor, "images pixels"],
    labels: Int64[Tensor, " images"],
    test: Real[Tensor, "tested pixels"],
    test_labels: Int64[Tensor, " tested"],
    brightest: float,
) -> tuple[float, float]:
    """Score the answers that know one pixel each, and which pixel of the image it is.

    Such an answer is the share of each class among the training images that have the same level at this pixel; one more
    image, with the shares of all training images, keeps levels that are rare there from a share of 0.

    Args:
        training: Pixels of the training images, from 0 to `brightest`.
        labels: Their classes.
        test: Pixels of the test images.
        test_labels: Their classes.
        brightest: Largest value of a pixel.

    Returns:
        Cross entropy in nats and share of wrong answers: the mean over all pixels of all test images.
    """
    shares = labels.bincount().double() / len(labels)
    losses, errors = [], []
    for seen, asked in zip(training.T.contiguous(), test.T.contiguous(), strict=True):
        known = _count(seen / brightest, labels, len(shares)) + shares
        counts = _count(asked / brightest, test_labels, len(shares))
        products = torch.special.xlogy(counts, known / known.sum(dim=1, keepdim=True))
        losses.append(-products.sum().item() / len(test))
        errors.append(1 - counts.gather(1, known.argmax(dim=1, keepdim=True)).sum().item() / len(test))
    return fmean(losses), fmean(errors)


def _count(
    pixel: Float[Tensor, " images"], labels: Int64[Tensor, " images"], classes: int
) -> Int64[Tensor, "levels classes"]:
    """The number of images of each class with each level of a pixel, whose values go from 0 to 1."""
    levels = (pixel * LEVELS).round().long()
    return (levels * classes + labels).bincount(minlength=(LEVELS + 1) * classes).view(-1, classes)
