"""Polyphonic music: scores made by hand, and Bach's chorales as music21 itself reads them."""

import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from experiments.errors import UsageError
from experiments.tasks.music import Music
from experiments.tasks.scores import read_scores
from tests.experiments.tasks.mxl_files import note, write, write_scales


def keys(scores):
    return [set((row.nonzero()[0] + scores.lowest).tolist()) for row in scores.chords]


def test_a_chord_has_the_notes_that_sound_at_a_quarter(tmp_path):
    """Two voices in one part, a rest, a chord, an accidental, a grace note, and an eighth that is over too soon."""
    upper = note("C", 2) + note("D", 1) + note("E", 1) + note(None, 2) + note("G", 4) + note("B", 4, chord=True)
    grace = "<note><grace/><pitch><step>A</step><octave>4</octave></pitch></note>"
    lower = grace + note("F", 6, octave=3, extra="<alter>1</alter>") + note("C", 4, octave=3)
    write(tmp_path, "a.mxl", upper + "<backup><duration>10</duration></backup>" + lower)
    write(tmp_path, "b.mxl", note("A", 2), "<forward><duration>2</duration></forward>" + note("A", 2, octave=5))
    scores = read_scores(str(tmp_path))
    assert keys(scores) == [{60, 54}, {62, 54}, {54}, {67, 71, 48}, {67, 71, 48}, {69}, {81}]
    assert scores.ends.tolist() == [5, 7]


def folder_of_scales(path):
    write_scales(path, pieces=20, length=9)
    return Music(4, str(path))


def test_sequences_are_windows_of_a_piece_and_their_answers_the_next_chords(tmp_path):
    task = folder_of_scales(tmp_path)
    chords = read_scores(str(tmp_path)).chords
    pieces = [{chords[start : start + 5].tobytes() for start in range(9 * one, 9 * one + 5)} for one in range(20)]
    training, held_out = (set.union(*part) for part in (pieces[:9] + pieces[10:19], [pieces[9], pieces[19]]))

    def windows(batch):
        assert torch.equal(batch.inputs[1:], batch.targets[:-1])
        return {one.numpy().astype(bool).tobytes() for one in torch.cat([batch.inputs, batch.targets[-1:]]).unbind(1)}

    assert windows(task.draw(2000, Generator().manual_seed(0))) == training
    (evaluated,) = task.held_out(1000, Generator())
    assert windows(evaluated) == held_out
    assert task.data["held_out_windows"] == 10


def test_chance_is_what_a_network_scores_that_sees_each_key_by_itself(tmp_path):
    """With the frequencies in the training part, counted here in a loop over all pairs of chords."""
    task = folder_of_scales(tmp_path)
    chords = read_scores(str(tmp_path)).chords
    pairs = [
        (chords[one], chords[one + 1])
        for piece in range(20)
        if piece % 10 != 9
        for one in range(9 * piece, 9 * piece + 8)
    ]
    before, after = (torch.tensor(np.array(side)) for side in zip(*pairs, strict=True))
    logits = torch.empty(len(pairs), chords.shape[1], dtype=torch.float64)
    for key in range(chords.shape[1]):
        for sounds in (False, True):
            here = before[:, key] == sounds
            logits[here, key] = torch.logit(after[here, key].double().mean())
    outputs, targets = logits[None], after[None].double()
    finite = outputs.clamp(-50, 50)
    assert task.losses(finite, targets).mean().item() == pytest.approx(task.chance_loss)
    assert task.errors(finite, targets).mean().item() == pytest.approx(task.chance_error)
    assert task.chance_loss < task.data["unigram_nats"] < chords.shape[1] * math.log(2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no .mxl file"),
        (b"", "a.mxl is damaged"),
        ("notes", "task.length=40 needs pieces of 41 quarter"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path, content, message):
    if content == "notes":
        write(tmp_path, "a.mxl", note("C", 2))
    elif content is not None:
        (tmp_path / "a.mxl").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        Music(40, str(tmp_path))


def test_without_music21_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("experiments.tasks.music.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed; pip install music21, or give"):
        Music(32)


@pytest.mark.skipif(find_spec("music21") is None, reason="needs music21: pip install music21")
@pytest.mark.parametrize("name", ["bwv1.6", "bwv269", "bwv66.6"])
def test_a_chorale_is_read_as_music21_reads_it(name, tmp_path):
    from music21 import converter

    file = Path(find_spec("music21").origin).parent / "corpus" / "bach" / f"{name}.mxl"
    (tmp_path / file.name).write_bytes(file.read_bytes())
    scores, expected = read_scores(str(tmp_path)), []
    for one in converter.parse(file, forceSource=True).flatten().notes:
        first, end = math.ceil(one.offset - 1e-6), math.ceil(one.offset + one.quarterLength - 1e-6)
        expected += [(quarter, pitch.midi) for pitch in one.pitches for quarter in range(first, end)]
    assert [{key for at, key in expected if at == quarter} for quarter in range(len(scores.chords))] == keys(scores)
