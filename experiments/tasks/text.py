"""A text as a task: predict the next character, or the next byte."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.errors import UsageError
from experiments.tasks.data_files import KEY, check_file, evenly, version
from experiments.tasks.dependence import MOST_REGRESSORS, Dependence, dependence_by_lag, lags_wanted
from experiments.tasks.task import Batch, ClassificationTask, LossAt, Outputs, PerSequence

HELD_OUT = 0.1
"""Share of the text, at its end, that is held out."""

MOST_BYTES = 2**27
"""Largest size of a text, which is held in memory."""

MOST_SYMBOLS = 7
"""Number of symbols, the most frequent ones, whose dependence on each other is measured."""

NAMES = {0x09: "tab", 0x0A: "newline", 0x20: "space"}
"""Names of characters that cannot be seen, by code point."""


class Text(ClassificationTask):
    """Read a text character by character, and predict the next one at each timestep.

    Sequences start anywhere in the first nine tenths of the text. The last tenth is held out: evaluation takes windows
    that are evenly spread over it, the same ones every time. The loss is in bits per character, and the error is the
    share of characters that are not the most likely one. Chance is the bigram entropy of the training part, which is
    the loss of the best prediction from the current character alone. There is no criterion for when the task is solved.

    Args:
        length: Number of timesteps T.
        path: Path of the text, in UTF-8; None for the help texts of Python's standard library (465,000 characters).
        unit: Whether a timestep reads a character or a byte.
        loss_at: Whether the last timestep has a loss, or all timesteps.

    Raises:
        UsageError: The file cannot be read, is not UTF-8, is too short, or has a single character only.
    """

    solved_below = None

    def __init__(
        self,
        length: Annotated[int, Field(ge=1)],
        path: str | None = None,
        unit: Literal["character", "byte"] = "character",
        loss_at: LossAt = "all",
    ) -> None:
        self.timesteps = length
        self.readout_steps = None if loss_at == "all" else 1
        text = _default(unit) if path is None else _read(path, unit, *_version(path, unit))
        cut = len(text.codes) - int(HELD_OUT * len(text.codes))
        if len(text.codes) - cut <= length:
            needed = math.ceil((length + 1) / HELD_OUT)
            raise UsageError(
                f"{KEY}={path}: has {len(text.codes):,} {unit}s; task.length={length} needs {needed:,}, as a tenth is "
                "held out; reduce task.length or give a longer text"
            )
        if len(text.names) < 2:
            raise UsageError(f"{KEY}={path}: has a single {unit} over and over; there is nothing to predict")
        self._codes, self._cut, self._names = torch.from_numpy(text.codes), cut, text.names
        self.input_size = self.output_size = len(text.names)
        unigram, self.chance_loss, self.chance_error = _entropies(text.codes[:cut], len(text.names))
        self.data = {
            "sha256": text.sha256,
            f"{unit}s": len(text.codes),
            "symbols": len(text.names),
            "training": cut,
            "held_out": len(text.codes) - cut,
            "unigram_bits": unigram,
            "bigram_bits": self.chance_loss,
        }

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        return self._windows(torch.randint(0, self._cut - self.timesteps, (batch_size,), generator=generator))

    def held_out(self, samples: int, generator: Generator) -> Iterator[Batch]:
        """Yield windows of the held-out part that do not overlap, evenly spread, at most `samples`."""
        starts = torch.arange(self._cut, len(self._codes) - self.timesteps, self.timesteps)
        return map(self._windows, evenly(starts, samples))

    def dependence(self) -> Sequence[Dependence]:
        """How much each of the most frequent symbols depends on where these symbols stand before it."""
        codes = self._codes[: self._cut].numpy()
        number = max(2, min(MOST_SYMBOLS, MOST_REGRESSORS // lags_wanted(self.timesteps)))
        chosen = np.argsort(-np.bincount(codes), kind="stable")[:number]
        stands = codes[:, None] == chosen
        return dependence_by_lag([(stands[:-1], stands[1:])], [self._names[code] for code in chosen], self.timesteps)

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return super().losses(outputs, targets) / math.log(2)

    def _windows(self, starts: Int64[Tensor, " batch"]) -> Batch:
        codes = self._codes[starts + torch.arange(self.timesteps + 1)[:, None]].long()
        first = 1 if self.readout_steps is None else self.timesteps
        return Batch(one_hot(codes[:-1], self.input_size).float(), codes[first:])


def _version(path: str, unit: str) -> tuple[int, int]:
    """Size and modification time of a text that can be read."""
    size, modified = version(check_file(path, text=unit != "byte"))
    if size > MOST_BYTES:
        raise UsageError(f"{KEY}={path}: has {size:,} bytes, but at most {MOST_BYTES:,} are read; give a part of it")
    return size, modified


class _Coded(NamedTuple):
    """A text as numbers from 0: `codes`, the `names` of the different symbols, and the `sha256` of the file."""

    codes: np.ndarray[Any, np.dtype[np.int32]]
    names: list[str]
    sha256: str


@lru_cache(maxsize=2)
def _read(path: str, unit: str, size: int, modified: int) -> _Coded:
    """Read a text; again only if its size or modification time changes."""
    with open(path, "rb") as file:
        content = file.read()
    return _code(path, content, unit)


@lru_cache(maxsize=2)
def _default(unit: str) -> _Coded:
    from pydoc_data.topics import topics

    return _code("null", "\n".join(topics.values()).encode(), unit)


def _code(path: str, content: bytes, unit: str) -> _Coded:
    if unit == "byte":
        units = np.frombuffer(content, np.uint8)
    else:
        try:
            decoded = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{KEY}={path}: is not UTF-8 (byte 0x{content[error.start]:02x} at position {error.start:,}); "
                "save it as UTF-8, or add task.unit=byte"
            ) from None
        units = np.frombuffer(decoded.encode("utf-32-le"), np.uint32)
    different, codes = np.unique(units, return_inverse=True)
    names = [f"0x{value:02x}" if unit == "byte" else _name(value) for value in different.tolist()]
    return _Coded(codes.astype(np.int32), names, hashlib.sha256(content).hexdigest())


def _name(code_point: int) -> str:
    """A character, or U+ and its number where it could not be read in a CSV file."""
    if code_point in NAMES:
        return NAMES[code_point]
    character = chr(code_point)
    return character if character.isprintable() and character not in ",\"'" else f"U+{code_point:04X}"


def _entropies(codes: np.ndarray[Any, np.dtype[np.int32]], symbols: int) -> tuple[float, float, float]:
    """Entropy of a symbol and of a symbol after another one, in bits, and the error of the best guess after one."""
    _, single = np.unique(codes[1:], return_counts=True)
    pairs, counts = np.unique(codes[:-1].astype(np.int64) * symbols + codes[1:], return_counts=True)
    before = pairs // symbols
    totals = np.bincount(before, counts, symbols)
    best = np.zeros(symbols)
    np.maximum.at(best, before, counts)
    shares = single / single.sum()
    unigram = -(shares * np.log2(shares)).sum()
    bigram = -(counts * np.log2(counts / totals[before])).sum() / counts.sum()
    return float(unigram), abs(float(bigram)), 1 - float(best.sum() / counts.sum())
