"""Scores in compressed MusicXML files: the keys that sound at each quarter note."""

import hashlib
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from experiments.errors import UsageError
from experiments.tasks.data_files import KEY

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

ROUNDING = 1e-6
"""Larger than the rounding error of a time in quarter notes, and smaller than any note."""


class Scores(NamedTuple):
    """The chords of all files, in the order of their names.

    Attributes:
        chords: Whether each key sounds at each quarter note, (quarters, keys); the keys are those from the lowest to
            the highest one of all files.
        ends: Number of quarter notes up to the end of each file.
        lowest: MIDI number of the lowest key.
        sha256: Digest of the content of all files.
    """

    chords: NDArray[np.bool_]
    ends: NDArray[np.int64]
    lowest: int
    sha256: str


@lru_cache(maxsize=1)
def read_scores(folder: str) -> Scores:
    """Read all .mxl files of a folder, once in a process.

    Raises:
        UsageError: The folder has no such file, a file is damaged, or there is no note.
    """
    files = sorted(Path(folder).glob("*.mxl"))
    if not files:
        raise UsageError(f"{KEY}={folder}: there is no .mxl file (compressed MusicXML) in this folder")
    digest, notes, lengths = hashlib.sha256(), [], []
    for file in files:
        try:
            digest.update(file.read_bytes())
            found = list(_notes(_root(file)))
        except (OSError, zipfile.BadZipFile, ElementTree.ParseError, LookupError, ValueError, TypeError) as error:
            raise UsageError(f"{KEY}={folder}: {file.name} is damaged or no MusicXML ({error})") from None
        notes.append(found)
        lengths.append(max((last for *_, last in found), default=0))
    keys = {key for found in notes for key, *_ in found}
    if not keys:
        raise UsageError(f"{KEY}={folder}: the files have no notes")
    lowest, ends = min(keys), np.cumsum(lengths)
    chords = np.zeros((ends[-1], max(keys) - lowest + 1), bool)
    for found, end, length in zip(notes, ends, lengths, strict=True):
        for key, first, last in found:
            chords[end - length + first : end - length + last, key - lowest] = True
    return Scores(chords, ends, lowest, digest.hexdigest())


def _root(file: Path) -> Element:
    """The score in a compressed file, whose container names it."""
    with zipfile.ZipFile(file) as archive:
        container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
        name = next(one.attrib["full-path"] for one in container.iter() if one.tag.endswith("rootfile"))
        return ElementTree.fromstring(archive.read(name))


def _notes(root: Element) -> Iterator[tuple[int, int, int]]:
    """The MIDI number of each note, the first quarter at which it sounds, and the one at which it no longer does.

    A note that sounds between two quarters only, such as the second one of two eighths, is left out.
    """
    for part in root.iter("part"):
        now = begin = 0.0  # in quarter notes
        divisions, transposed = 1, 0
        for one in part.iterfind("measure/*"):
            if (found := one.findtext("divisions")) is not None:
                divisions = int(found)
            if (chromatic := one.findtext("transpose/chromatic")) is not None:
                transposed = int(chromatic)
            duration = float(one.findtext("duration") or 0) / divisions
            if one.tag == "backup":
                now -= duration
            elif one.tag == "forward":
                now += duration
            elif one.tag == "note":
                if one.find("chord") is None:
                    begin, now = now, now + duration
                first, last = ceil(begin - ROUNDING), ceil(begin + duration - ROUNDING)
                if (pitch := one.find("pitch")) is not None and first < last:
                    yield _midi(pitch) + transposed, first, last


def _midi(pitch: Element) -> int:
    octave, alter = int(pitch.findtext("octave") or ""), int(pitch.findtext("alter") or 0)
    return 12 * (octave + 1) + STEPS[pitch.findtext("step") or ""] + alter
