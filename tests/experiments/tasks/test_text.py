"""The text task: windows of a text, held-out windows, its chance level, and files that are no text."""

import hashlib
import math
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
import torch
from torch import Generator

from experiments.errors import UsageError
from experiments.tasks.text import Text

STORY = "the cat sat on the mat. it was a fat cat, and the mat was flat.\n" * 20


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text(STORY, encoding="utf-8")
    return path


def draw(task, size=50):
    return task.draw(size, Generator().manual_seed(0))


def read(batch, symbols):
    """The text that each sequence reads, with the character that follows it."""
    codes = torch.cat([batch.inputs.argmax(dim=-1), batch.targets[-1:]])
    return ["".join(symbols[code] for code in sequence) for sequence in codes.T]


def test_sequences_are_windows_of_the_training_part_and_targets_the_next_characters(story):
    task, symbols = Text(30, str(story)), sorted(set(STORY))
    batch = draw(task)
    assert task.input_size == task.output_size == len(symbols)
    assert torch.equal(batch.inputs[1:].argmax(dim=-1), batch.targets[:-1])
    assert (batch.inputs.sum(dim=-1) == 1).all()
    training = STORY[: len(STORY) - len(STORY) // 10]
    assert all(window in training for window in read(batch, symbols))
    assert len(set(read(batch, symbols))) > 20


def test_no_training_window_reaches_into_the_held_out_part(tmp_path):
    (tmp_path / "ordered.txt").write_text("".join(map(chr, range(0x4E00, 0x4E00 + 200))), encoding="utf-8")
    task = Text(10, str(tmp_path / "ordered.txt"))
    training = draw(task, 5000)
    (held,) = task.held_out(1000, Generator())
    assert {*training.targets.flatten().tolist()} == set(range(1, 180))
    assert held.inputs.argmax(dim=-1).min() == 180
    assert held.targets.max() < 200
    (again,) = task.held_out(1000, Generator().manual_seed(7))
    assert torch.equal(held.inputs, again.inputs)


@pytest.mark.parametrize("path", [None, "story"])
def test_chance_is_what_the_best_prediction_from_the_last_character_scores(path, story):
    task = Text(100, path and str(story))
    codes = task._codes[: task._cut].tolist()
    after = defaultdict(Counter)
    for current, following in pairwise(codes):
        after[current][following] += 1
    pairs = sum(sum(counts.values()) for counts in after.values())
    bits = -sum(n * math.log2(n / counts.total()) for counts in after.values() for n in counts.values()) / pairs
    assert task.chance_loss == pytest.approx(bits)
    single = Counter(codes[1:])
    unigram = -sum(n * math.log2(n / single.total()) for n in single.values()) / single.total()
    assert task.data["unigram_bits"] == pytest.approx(unigram)

    logits = torch.full((task.output_size, task.output_size), -30.0)
    for current, counts in after.items():
        for following, n in counts.items():
            logits[current, following] = math.log(n / counts.total())
    batch = draw(task, 400)
    outputs = logits[batch.inputs.argmax(dim=-1)]
    for measured, chance in (
        (task.losses(outputs, batch.targets), task.chance_loss),
        (task.errors(outputs, batch.targets), task.chance_error),
    ):
        # Windows may overlap, so their mean varies more than that of 400 independent ones.
        tolerance = 8 * measured.std().item() / math.sqrt(400)
        assert measured.mean().item() == pytest.approx(chance, abs=tolerance)


def test_bytes_and_characters_are_different_units(tmp_path):
    text = "Überraschung größer\n" * 40
    (tmp_path / "umlauts.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    characters = Text(5, str(tmp_path / "umlauts.txt"))
    as_bytes = Text(5, str(tmp_path / "umlauts.txt"), unit="byte")
    assert characters.data["characters"] == len(text)  # without the mark of the byte order
    assert as_bytes.data["bytes"] == len(text.encode()) + 3
    assert characters.data["sha256"] == hashlib.sha256((tmp_path / "umlauts.txt").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        ("Größe".encode("cp1252") * 1000, "is not UTF-8 .byte 0xf6 at position 2.; save it as UTF-8, or add task.unit"),
        (b"too short", "has 9 characters; task.length=20 needs 210, as a tenth is held out; reduce task.length"),
        (b"a" * 1000, "has a single character over and over"),
        ("text".encode("utf-16") * 1000, "holds null bytes"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(UsageError, match=message) as refused:
        Text(20, str(tmp_path / "notes.txt"))
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"task.path=nothing.txt: there is no such file in "):
        Text(20, "nothing.txt")
    with pytest.raises(UsageError, match="is a folder; give a file"):
        Text(20, str(tmp_path))
    with open(tmp_path / "zeros.txt", "wb") as sparse:
        sparse.truncate(2 * 10**9)
    with pytest.raises(UsageError, match="holds null bytes"):
        Text(20, str(tmp_path / "zeros.txt"))
