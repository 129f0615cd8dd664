"""Images in IDX files, such as Fashion-MNIST and MNIST, read by pixel or by row."""

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Generator, Tensor

from experiments.errors import UsageError
from experiments.tasks.data_files import KEY, evenly, version
from experiments.tasks.pixel_chance import chance_of_single_pixels
from experiments.tasks.task import Batch, ClassificationTask, LossAt

FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
"""Names of the files with training images, training labels, test images and test labels; each may end in .gz."""


class Images(ClassificationTask):
    """Read an image pixel by pixel or row by row, and answer its class, at T or at each timestep.

    The images are those of Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), MNIST (LeCun et al. 1998) or others in the same
    format. Evaluation takes images that are evenly spread over the test files, the same ones every time. Chance is a
    guess by the classes' shares in the training images: ln 10 and 90 % for ten equally frequent classes. (The last row
    of an image is an input at T, so row by row it may say a little more.) With a loss at each timestep, chance knows
    the pixel of its timestep; see `pixel_chance`. There is no published criterion for when the task is solved.

    Args:
        path: Folder with the four IDX files.
        by: Whether a timestep reads a pixel, from 0 to 1, or a row of pixels.
        permuted: Whether the pixels of all images are in the same random order.
        loss_at: Whether the last timestep has a loss, or all timesteps, which are pixels then.

    Raises:
        UsageError: A file is missing or damaged, or there is a loss at each row.
    """

    solved_below = None

    def __init__(
        self, path: str, by: Literal["pixel", "row"] = "pixel", permuted: bool = False, loss_at: LossAt = "last"
    ) -> None:
        if (by, loss_at) == ("row", "all"):
            raise UsageError(
                "task.loss_at=all: needs task.by=pixel; what a single row says about the class, which would be chance, "
                "is not known"
            )
        files = _read(path, tuple(version(file) for file in self.files_in(path).values()))
        self._training, self._test = (files.images, files.labels), (files.test_images, files.test_labels)
        _, rows, columns = files.images.shape
        self.timesteps, self.input_size = (rows * columns, 1) if by == "pixel" else (rows, columns)
        self.readout_steps = 1 if loss_at == "last" else None
        pixels = rows * columns
        self._order = pixel_order(pixels, permuted)
        shares = files.labels.bincount().double() / len(files.labels)
        self.output_size = len(shares)
        self.chance_loss = -torch.special.xlogy(shares, shares).sum().item()
        self.chance_error = 1 - shares.max().item()
        if loss_at == "all":
            self.chance_loss, self.chance_error = chance_of_single_pixels(
                files.images.flatten(1), files.labels, files.test_images.flatten(1), files.test_labels, brightest=255.0
            )
        self.data = {
            "sha256": files.sha256,
            "training": len(files.images),
            "held_out": len(files.test_images),
            "rows": rows,
            "columns": columns,
        }

    @staticmethod
    def files_in(path: str) -> dict[str, Path]:
        """The files of a folder that the task reads, by name; those that are missing are left out."""
        return {name: file for name in FILES if (file := _find(path, name)) is not None}

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        return self._batch(self._training, torch.randint(0, len(self._training[0]), (batch_size,), generator=generator))

    def held_out(self, samples: int, generator: Generator) -> Iterator[Batch]:
        """Yield images of the test files, evenly spread, at most `samples`."""
        for chosen in evenly(torch.arange(len(self._test[0])), samples):
            yield self._batch(self._test, chosen)

    def _batch(self, part: tuple[Tensor, Tensor], chosen: Int64[Tensor, " batch"]) -> Batch:
        pixels = part[0][chosen].flatten(1)[:, self._order].float() / 255
        inputs = pixels.view(len(chosen), self.timesteps, self.input_size).transpose(0, 1)
        return Batch(inputs, part[1][chosen].expand(self.readout_steps or self.timesteps, -1))


def pixel_order(pixels: int, permuted: bool) -> Int64[Tensor, " pixels"]:
    """The order in which the pixels of all images are read; a random one is the same in every run."""
    return torch.randperm(pixels, generator=Generator().manual_seed(0)) if permuted else torch.arange(pixels)


class _Files(NamedTuple):
    """Training images (images, rows, columns) and labels, test images and labels, and the digests of the files."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    sha256: dict[str, str]


@lru_cache(maxsize=1)
def _read(path: str, versions: tuple[tuple[int, int], ...]) -> _Files:
    """Read the four files; again only if the size or modification time of one changes."""
    found = {name: _array(path, name, dimensions=3 if "images" in name else 1) for name in FILES}
    images, labels, test_images, test_labels = (torch.from_numpy(array) for array, _ in found.values())
    for name, one, of in (("train", images, labels), ("t10k", test_images, test_labels)):
        if len(one) != len(of) or not len(one):
            raise UsageError(f"{KEY}={path}: the {name} files have {len(one):,} images and {len(of):,} labels")
    if images.shape[1:] != test_images.shape[1:]:
        raise UsageError(f"{KEY}={path}: training and test images differ in size")
    if test_labels.max() > labels.max():
        raise UsageError(f"{KEY}={path}: the label {test_labels.max()} is only in the test files")
    sha256 = {name: digest for name, (_, digest) in found.items()}
    return _Files(images, labels.long(), test_images, test_labels.long(), sha256)


def _find(folder: str, name: str) -> Path | None:
    """An IDX file, compressed or not."""
    return next((file for file in (Path(folder, name), Path(folder, f"{name}.gz")) if file.is_file()), None)


def _array(folder: str, name: str, dimensions: int) -> tuple[NDArray[np.uint8], str]:
    """The content of an IDX file of bytes, compressed or not, and its digest."""
    file = _find(folder, name)
    if file is None:
        raise UsageError(
            f"{KEY}={folder}: has no {name} or {name}.gz; on Debian, install dataset-fashion-mnist, or give the folder "
            "with the four IDX files of Fashion-MNIST or MNIST"
        )
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        plain = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{KEY}={folder}: {file.name} is damaged ({error}); copy it again") from None
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(plain[place : place + 4]) for place in range(4, start, 4)]
    if plain[:4] != bytes([0, 0, 8, dimensions]) or len(plain) - start != math.prod(shape):
        raise UsageError(
            f"{KEY}={folder}: {file.name} is damaged or no IDX file with {dimensions} dimension(s) of bytes"
        )
    return np.frombuffer(plain, np.uint8, offset=start).reshape(shape).copy(), digest
