"""Small scores in compressed MusicXML files."""

import zipfile

import numpy as np

CONTAINER = '<container><rootfiles><rootfile full-path="score.xml"/></rootfiles></container>'


def note(step, duration, *, octave=4, extra="", chord=False):
    pitch = f"<pitch><step>{step}</step>{extra}<octave>{octave}</octave></pitch>" if step else "<rest/>"
    return f"<note>{'<chord/>' * chord}{pitch}<duration>{duration}</duration></note>"


def write(folder, name, *parts):
    body = "".join(
        f"<part><measure><attributes><divisions>2</divisions></attributes>{one}</measure></part>" for one in parts
    )
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("score.xml", f"<score-partwise>{body}</score-partwise>")


def write_scales(folder, pieces, length):
    """Write pieces of two voices with random notes, one at each quarter note."""
    generator = np.random.default_rng(0)
    for number in range(pieces):
        voices = ["".join(note("CDEFGAB"[step], 2) for step in generator.integers(0, 7, length)) for _ in range(2)]
        write(folder, f"{number:02}.mxl", *voices)
