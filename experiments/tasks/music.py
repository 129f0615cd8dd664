"""Polyphonic music as a task: predict the keys that sound at the next quarter note."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from experiments.errors import UsageError
from experiments.tasks.data_files import KEY, evenly, window_starts
from experiments.tasks.scores import read_scores
from experiments.tasks.task import Batch, LossAt, Outputs, PerSequence, Task

HELD_OUT = 10
"""One piece of so many is held out."""


class Music(Task):
    """Read the chord at each quarter note, and predict the next one.

    The pieces are Bach's chorales, which the package music21 brings along (408 files), or scores of your own. A chord
    is a 0 or 1 for each key between the lowest and the highest one of all pieces. Sequences are windows of a piece;
    every tenth piece, in the order of the files' names, is held out. Evaluation takes windows that are evenly spread
    over the held-out pieces, the same ones every time.

    Bach set many melodies more than once. Of the 40 held-out chorales, 20 share more than half of their stretches of 8
    melody notes with one training piece, in any key; of their stretches of 8 chords, 3 % are in any training piece. So
    a low loss may come in part from knowing the melody.

    The loss is the negative log-likelihood in nats per timestep: the sum of the binary cross entropies of all keys, as
    in Boulanger-Lewandowski, Bengio and Vincent (2012), whose selection of chorales was another one. The error of a
    timestep is the share of keys that are not in both chords among those that are in the predicted or in the true one;
    a key is predicted if its probability is above 1/2. Chance predicts each key from whether that key sounds now, with
    the frequencies of the training part. There is no criterion for when the task is solved.

    Args:
        length: Number of timesteps T. Pieces with at most as many quarter notes are left out.
        path: Folder with .mxl files (compressed MusicXML); None for the chorales in music21.
        loss_at: Whether the last timestep has a loss, or all timesteps.

    Raises:
        UsageError: music21 is not installed, the folder cannot be used, or the pieces are too short.
    """

    solved_below = None

    def __init__(self, length: Annotated[int, Field(ge=1)], path: str | None = None, loss_at: LossAt = "all") -> None:
        self.timesteps = length
        self.readout_steps = None if loss_at == "all" else 1
        scores = read_scores(_chorales() if path is None else path)
        chords = torch.from_numpy(scores.chords)
        ends = scores.ends.tolist()
        pieces = list(zip([0, *ends[:-1]], ends, strict=True))
        held_out = pieces[HELD_OUT - 1 :: HELD_OUT]
        training = [piece for piece in pieces if piece not in held_out]
        self._chords = chords.float()
        self._training, self._held_out = (self._starts(part, path) for part in (training, held_out))
        self.input_size = self.output_size = chords.shape[1]
        before, after = _pairs(chords, training)
        of_key = after.double().mean(dim=0)
        after_silence, after_sound = (_share(after, before == sounds) for sounds in (False, True))
        probability = torch.where(before, after_sound, after_silence)
        self.chance_loss = _entropies(after.double(), probability)
        self.chance_error = _distances(probability > 0.5, after).mean().item()
        self.data = {
            "sha256": scores.sha256,
            "pieces": len(pieces),
            "quarter_notes": len(chords),
            "lowest_key": scores.lowest,
            "keys": chords.shape[1],
            "training_pieces": len(training),
            "training_windows": len(self._training),
            "held_out_windows": len(self._held_out),
            "unigram_nats": _entropies(after.double(), of_key.expand_as(probability)),
            "bigram_nats": self.chance_loss,
        }

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        return self._windows(self._training[torch.randint(0, len(self._training), (batch_size,), generator=generator)])

    def held_out(self, samples: int, generator: Generator) -> Iterator[Batch]:
        """Yield evenly spread windows of the held-out pieces, at most `samples`."""
        return map(self._windows, evenly(self._held_out, samples))

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return binary_cross_entropy_with_logits(outputs, targets, reduction="none").sum(dim=-1).mean(dim=0)

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return _distances(outputs > 0, targets > 0).to(outputs.dtype).mean(dim=0)

    def _windows(self, starts: Int64[Tensor, " batch"]) -> Batch:
        chords = self._chords[starts + torch.arange(self.timesteps + 1)[:, None]]
        return Batch(chords[:-1], chords[1 if self.readout_steps is None else self.timesteps :])

    def _starts(self, pieces: list[tuple[int, int]], path: str | None) -> Int64[Tensor, " windows"]:
        """The first chords of all windows that lie within one of these pieces, with the chord after them."""
        starts = window_starts(pieces, self.timesteps + 1)
        if not len(starts):
            longest = max((end - start for start, end in pieces), default=0)
            raise UsageError(
                f"{KEY}={path or 'null'}: task.length={self.timesteps} needs pieces of {self.timesteps + 1} quarter "
                f"notes for training and among every tenth one; the longest has {longest}"
            )
        return starts


def _chorales() -> str:
    """The folder with Bach's chorales in music21, which need not be imported."""
    spec = find_spec("music21")
    if spec is None or spec.origin is None:
        raise UsageError(
            f"task=music: Bach's chorales come with music21, which is not installed; pip install music21, or give "
            f"{KEY}=FOLDER with .mxl files"
        )
    return str(Path(spec.origin).parent / "corpus" / "bach")


def _pairs(
    chords: Bool[Tensor, "quarters keys"], pieces: list[tuple[int, int]]
) -> tuple[Bool[Tensor, "pairs keys"], Bool[Tensor, "pairs keys"]]:
    """All chords of some pieces that have a next one, and these next ones."""
    first = torch.cat([torch.arange(start, end - 1) for start, end in pieces if end - start > 1])
    return chords[first], chords[first + 1]


def _share(after: Bool[Tensor, "pairs keys"], chosen: Bool[Tensor, "pairs keys"]) -> Float[Tensor, " keys"]:
    """The share of the chosen pairs in which each key sounds afterwards; 0 if none is chosen."""
    return (after & chosen).sum(dim=0).double() / chosen.sum(dim=0).clamp(min=1)


def _entropies(after: Float[Tensor, "pairs keys"], probability: Float[Tensor, "pairs keys"]) -> float:
    """The mean negative log-likelihood of a chord, in nats."""
    logs = torch.special.xlogy(after, probability) + torch.special.xlogy(1 - after, 1 - probability)
    nats: float = -logs.sum(dim=1).mean().item()
    return nats


def _distances(predicted: Bool[Tensor, "... keys"], true: Bool[Tensor, "... keys"]) -> Float[Tensor, "..."]:
    """The share of keys that are not in both chords, of those in either; 0 if both chords are empty."""
    either = (predicted | true).sum(dim=-1)
    return (predicted ^ true).sum(dim=-1).double() / either.clamp(min=1)
