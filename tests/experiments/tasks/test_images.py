"""Images in IDX files: by pixel and by row, permuted, held out, their chance level, and damaged files."""

import gzip
import math

import numpy as np
import pytest
import torch
from torch import Generator

from experiments.errors import UsageError
from experiments.tasks.images import Images
from tests.experiments.tasks.idx_files import idx, write_images


@pytest.fixture
def written(tmp_path):
    return write_images(tmp_path)


@pytest.mark.parametrize(("by", "timesteps", "width"), [("pixel", 12, 1), ("row", 4, 3)])
def test_an_image_is_read_in_row_order(tmp_path, written, by, timesteps, width):
    task = Images(str(tmp_path), by)
    (test,) = task.held_out(1000, Generator())
    assert (task.timesteps, task.input_size, task.output_size) == (timesteps, width, 3)
    images, labels = written["t10k"]
    assert test.inputs.shape == (timesteps, 20, width)
    assert np.array_equal(test.inputs.transpose(0, 1).reshape(20, 4, 3) * 255, images)
    assert np.array_equal(test.targets[0], labels)
    (few,) = task.held_out(2, Generator().manual_seed(1))
    assert torch.equal(few.inputs, test.inputs[:, [0, 19]])


def test_training_draws_training_images_with_their_labels(tmp_path, written):
    batch = Images(str(tmp_path)).draw(300, Generator().manual_seed(0))
    labels = {image.tobytes(): label for image, label in zip(*written["train"], strict=True)}
    drawn = (batch.inputs[..., 0].T * 255).round().to(torch.uint8).numpy()
    assert [labels[image.tobytes()] for image in drawn] == batch.targets[0].tolist()
    assert len({image.tobytes() for image in drawn}) == 40


@pytest.mark.parametrize("by", ["pixel", "row"])
def test_permuted_pixels_are_in_one_order_for_all_images(tmp_path, written, by):
    (plain,) = Images(str(tmp_path), by).held_out(20, Generator())
    (permuted,) = Images(str(tmp_path), by, permuted=True).held_out(20, Generator())
    flat, moved = (one.inputs.transpose(0, 1).flatten(1) for one in (plain, permuted))
    assert not torch.equal(flat, moved)
    order = [int((flat == column[:, None]).all(dim=0).nonzero()) for column in moved.T]
    assert sorted(order) == list(range(12))


def test_chance_is_what_the_shares_of_the_labels_score(tmp_path, written):
    task = Images(str(tmp_path))
    labels = torch.from_numpy(written["train"][1]).long()
    shares = labels.bincount() / len(labels)
    outputs = shares.log().expand(1, len(labels), 3)
    assert task.losses(outputs, labels[None]).mean().item() == pytest.approx(task.chance_loss, rel=1e-5)
    assert task.errors(outputs, labels[None]).mean().item() == pytest.approx(task.chance_error, rel=1e-5)
    assert task.chance_loss < math.log(3)
    assert task.data["training"] == 40


def test_chance_at_each_pixel_is_what_the_shares_among_images_with_such_a_pixel_score(tmp_path, written):
    """Counted here in a loop. A pixel is one of 17 levels, and one image with the shares of all is added."""
    last, every = Images(str(tmp_path)), Images(str(tmp_path), permuted=True, loss_at="all")
    (images, labels), (tested, _) = written["train"], written["t10k"]
    shares = np.bincount(labels) / len(labels)
    answers = np.empty((12, len(tested), 3))
    levels, of_tested = (np.round(part.reshape(-1, 12) / 255 * 16) for part in (images, tested))
    for place, pixel in enumerate(every._order.tolist()):
        for number, level in enumerate(of_tested[:, pixel]):
            same = labels[levels[:, pixel] == level]
            answers[place, number] = np.bincount(same, minlength=3) + shares
    outputs = torch.from_numpy(answers / answers.sum(axis=2, keepdims=True)).log()
    (test,) = every.held_out(1000, Generator())
    assert test.targets.shape == (12, len(tested))
    assert every.losses(outputs, test.targets).mean().item() == pytest.approx(every.chance_loss)
    assert every.errors(outputs, test.targets).mean().item() == pytest.approx(every.chance_error)
    assert every.chance_loss != last.chance_loss
    one, whole = (task.draw(30, Generator().manual_seed(0)) for task in (last, every))
    assert torch.equal(whole.targets, one.targets.expand(12, 30))


def test_a_loss_at_each_row_is_refused(tmp_path, written):
    with pytest.raises(UsageError, match=r"task.loss_at=all: needs task.by=pixel; what a single row"):
        Images(str(tmp_path), "row", loss_at="all")


def test_missing_and_damaged_files_are_refused(tmp_path, written):
    def refused(message):
        with pytest.raises(UsageError, match=message) as error:
            Images(str(tmp_path))
        assert "\n" not in str(error.value)

    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(19, np.uint8)))
    refused("the t10k files have 20 images and 19 labels")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(20, 9, np.uint8)))
    refused("the label 9 is only in the test files")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"label")
    refused("t10k-labels-idx1-ubyte is damaged or no IDX file")
    whole = (tmp_path / "train-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(whole[:-20])
    refused("train-images-idx3-ubyte.gz is damaged .*; copy it again")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"x" * 9))
    refused("train-images-idx3-ubyte.gz is damaged or no IDX file with 3")
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    refused("has no train-images-idx3-ubyte or .*; on Debian, install dataset-fashion-mnist, or give the folder")
