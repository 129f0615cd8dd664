"""What a single pixel says about the class of its image: the chance level of reading images pixel by pixel."""

from statistics import fmean

from jaxtyping import Int64, Real
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
    scores = []
    for seen, asked in zip(training.T, test.T, strict=True):
        of_seen, of_asked = ((pixel / brightest * LEVELS).round().long() for pixel in (seen, asked))
        counts = (of_seen * len(shares) + labels).bincount(minlength=(LEVELS + 1) * len(shares))
        known = counts.view(-1, len(shares)) + shares
        answers = (known / known.sum(dim=1, keepdim=True))[of_asked]
        loss = -answers.gather(1, test_labels[:, None]).log().mean().item()
        scores.append((loss, (answers.argmax(dim=1) != test_labels).double().mean().item()))
    losses, errors = zip(*scores, strict=True)
    return fmean(losses), fmean(errors)
