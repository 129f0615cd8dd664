"""The sentences of a caption: each belongs to a mark that is drawn, so that no caption explains what is not there."""

from typing import TypeVar
from weakref import WeakKeyDictionary

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Mark = TypeVar("Mark", bound=Artist)

_SENTENCES: WeakKeyDictionary[Artist, list[str]] = WeakKeyDictionary()


def say(mark: Mark, sentence: str) -> Mark:
    """Explain a mark in the caption: what it stands for, or how to read it.

    Args:
        mark: The artist that the sentence is about. Where it is removed from its figure, the sentence goes with it.
        sentence: A whole sentence; marks that say the same are explained once.
    """
    _SENTENCES.setdefault(mark, []).append(sentence)
    return mark


def sentences(figure: Figure) -> list[str]:
    """What the marks in a figure say, panel by panel in the order in which they were drawn, each sentence once."""
    marks = [mark for ax in figure.axes if ax.axison for mark in (ax, *ax.get_children())]
    return list(dict.fromkeys(sentence for mark in marks for sentence in _SENTENCES.get(mark, ())))


def say_if_losses_mix(ax: Axes, frame: pd.DataFrame, what: str) -> None:
    """Say that a gradient shows no reach, where the loss is at several timesteps.

    Args:
        ax: A panel of gradients or contributions.
        frame: Its rows; `readout_steps` is at how many timesteps a run has a loss.
        what: The quantity, as the sentence's subject.
    """
    if "readout_steps" in frame and (frame["readout_steps"] > 1).any():
        say(ax, f"With a loss at several timesteps {what} mixes them and does not show how far back one loss reaches.")
