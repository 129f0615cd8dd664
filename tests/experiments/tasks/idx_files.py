"""Small IDX files, written as the format has them."""

import gzip
import struct
from pathlib import Path

import numpy as np


def idx(array):
    """The bytes of an IDX file: two zeros, the type of the values (8: bytes), the sizes, and the values."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_images(folder: Path, training=40, test=20, size=(4, 3), classes=3, seed=0):
    """Write random images and labels; the training files compressed. Return them by part: (images, labels)."""
    generator = np.random.default_rng(seed)
    written = {}
    for part, number in (("train", training), ("t10k", test)):
        images = generator.integers(0, 256, (number, *size), dtype=np.uint8)
        labels = (np.arange(number) ** 2 % classes).astype(np.uint8)
        labels[0] = classes - 1
        written[part] = images, labels
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{part}-{kind}-ubyte"
            if part == "train":
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return written
