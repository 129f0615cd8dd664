"""A CSV file as a task: forecast a column, or classify by a label."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from pydantic import Field
from torch import Generator, Tensor

from experiments.errors import UsageError
from experiments.tasks.csv_checks import columns_option
from experiments.tasks.csv_file import Layout, Table, read_table
from experiments.tasks.data_files import KEY, check_file, evenly, version, window_starts
from experiments.tasks.dependence import Dependence, dependence_by_lag
from experiments.tasks.task import Batch, LossAt, Outputs, PerSequence, Task, class_errors, class_losses
from experiments.wording import counted

MOST_LABELS = 6
"""Number of labels, the most frequent ones, whose dependence on the inputs is measured."""


class Series(Task):
    """Read windows of a table's rows, and forecast a column or tell a label, some rows after the window.

    The rows are in the order of time. The first part of them (of each group, if there are groups) is for training and
    the rest is held out. A window and its answer lie within one part of one group. Columns are scaled to mean 0 and
    standard deviation 1 with the numbers of the training part. Evaluation takes held-out windows that are evenly
    spread, the same ones every time. There is no criterion for when the task is solved.

    Of a forecast, the loss is the squared error in units of the target's variance in the training part, and a sequence
    is wrong if it is off by more than `tolerance` standard deviations. Chance is the better one of two answers,
    measured on the held-out windows: the mean of the training part and, if the target is also an input, the last value.
    Of a label, the loss is the cross entropy. Chance then answers with the labels' shares in the training part.

    Args:
        length: Number of timesteps T, which is the number of rows in a window.
        path: Path of the CSV file.
        columns: Columns that are read; None for all that are not label, time or group.
        target: Column to forecast.
        label: Column to classify by, in place of `target`.
        horizon: Number of rows between the last row of the window and the answer; 0 for the answer in that row.
        time: Column with times, which must not go back; it is not an input.
        group: Column that tells series apart, such as a machine's number; it is not an input.
        separator: Separator of the fields; auto takes the one that is most frequent in the first line.
        decimal: Sign before the decimals.
        encoding: Encoding of the file, as Python names it.
        held_out: Share of the rows, at the end, that is held out.
        tolerance: Largest error that counts as right, in standard deviations of the target.
        loss_at: Whether the last row of a window has an answer, or every row: the one `horizon` rows after it.

    Raises:
        UsageError: The file or a column cannot be used; the message says what to do.
    """

    solved_below = None

    def __init__(
        self,
        length: Annotated[int, Field(ge=1)],
        path: str,
        columns: list[str | int] | None = None,
        target: str | int | None = None,
        label: str | int | None = None,
        horizon: Annotated[int, Field(ge=0)] = 1,
        time: str | int | None = None,
        group: str | int | None = None,
        separator: Literal["auto", "comma", "semicolon", "tab", "pipe"] = "auto",
        decimal: Literal["point", "comma"] = "point",
        encoding: str = "utf-8",
        held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2,
        tolerance: Annotated[float, Field(gt=0)] = 0.5,
        loss_at: LossAt = "last",
    ) -> None:
        if (target is None) == (label is None):
            given = f"task.target={target or 'null'} task.label={label or 'null'}"
            raise UsageError(f"{given}: give one of them, a column to forecast or one with classes")
        layout = Layout(
            columns=None if columns is None else tuple(map(str, columns)),
            target=_name(target),
            label=_name(label),
            time=_name(time),
            group=_name(group),
            separator=separator,
            decimal=decimal,
            encoding=encoding,
        )
        table = read_table(path, layout, *version(check_file(path)))
        self._name, self._path = str(target if label is None else label), path
        self._reads_target = self._name in table.columns
        if horizon == 0 and self._reads_target:
            others = [name for name in table.columns if name != self._name]
            advice = f"leave it out: {columns_option(others)}" if others else "give task.columns others than it"
            raise UsageError(f"task.horizon=0: the answer {self._name} would be an input; {advice}")
        self.timesteps, self.horizon, self.tolerance = length, horizon, tolerance
        self.readout_steps = 1 if loss_at == "last" else None
        cuts = [(start, end - int(held_out * (end - start)), end) for start, end in table.bounds]
        self._training_parts = [(start, cut) for start, cut, _ in cuts]
        self._training = self._starts(self._training_parts, "training")
        self._held_out = self._starts([(cut, end) for _, cut, end in cuts], "held-out")
        in_training = np.concatenate([np.arange(start, cut) for start, cut, _ in cuts])
        scaled, means, stds = _scale(table.inputs, in_training)
        self._inputs = torch.from_numpy(scaled)
        self.input_size, self._columns = len(table.columns), [" ".join(name.split()) for name in table.columns]
        self._answers: Tensor
        chances = (
            self._prepare_target(table, in_training) if label is None else self._prepare_labels(table, in_training)
        )
        self.chance_loss, self.chance_error = min(chances.values())
        self.data = {
            "sha256": table.sha256,
            "rows": len(table.inputs),
            "groups": len(table.bounds),
            "columns": list(table.columns),
            "means": means.tolist(),
            "stds": stds.tolist(),
            "training_rows": len(in_training),
            "held_out_rows": len(table.inputs) - len(in_training),
            "training_windows": len(self._training),
            "held_out_windows": len(self._held_out),
            "chance_losses": {name: loss for name, (loss, _) in chances.items()},
        }

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        return self._windows(self._training[torch.randint(0, len(self._training), (batch_size,), generator=generator)])

    def held_out(self, samples: int, generator: Generator) -> Iterator[Batch]:
        """Yield evenly spread windows of the held-out part, at most `samples`."""
        return map(self._windows, evenly(self._held_out, samples))

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        if targets.is_floating_point():
            return ((outputs - targets) ** 2).mean(dim=(0, 2))
        return class_losses(outputs, targets)

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        if targets.is_floating_point():
            return ((outputs - targets).abs() > self.tolerance).to(outputs.dtype).mean(dim=(0, 2))
        return class_errors(outputs, targets)

    def dependence(self) -> Sequence[Dependence]:
        """How much the answer depends on each input column at each lag; of labels, the most frequent ones count."""
        answers = self._answers.numpy()
        if answers.ndim == 1:
            answers = answers[:, None] == np.argsort(-np.bincount(answers), kind="stable")[:MOST_LABELS]
        inputs = self._inputs.numpy()
        pieces = [(inputs[a : b - self.horizon], answers[a + self.horizon : b]) for a, b in self._training_parts]
        return dependence_by_lag([piece for piece in pieces if len(piece[1])], self._columns, self.timesteps)

    def _windows(self, starts: Int64[Tensor, " batch"]) -> Batch:
        rows = starts + torch.arange(self.timesteps)[:, None]
        return Batch(self._inputs[rows], self._answers[rows[-(self.readout_steps or 0) :] + self.horizon])

    def _starts(self, parts: list[tuple[int, int]], name: str) -> Int64[Tensor, " windows"]:
        """The first rows of all windows that lie within one of these parts of the table, answers included."""
        needed = self.timesteps + self.horizon
        starts = window_starts(parts, needed)
        if not len(starts):
            longest = counted(max(end - start for start, end in parts), "row")
            raise UsageError(
                f"{KEY}={self._path}: the {name} part has {longest} in sequence, but task.length={self.timesteps} and "
                f"task.horizon={self.horizon} need {needed:,}; reduce task.length or give more rows"
            )
        return starts

    def _prepare_target(self, table: Table, training: NDArray[np.int64]) -> dict[str, tuple[float, float]]:
        """Set the answers of a forecast. Return loss and error of each answer that needs no memory, by name."""
        assert table.target is not None
        scaled, _, stds = _scale(table.target[:, None], training)
        if stds[0] == 0:
            raise UsageError(
                f"task.target={self._name}: is constant in the training part; there is nothing to forecast"
            )
        self.output_size, self._answers = 1, torch.from_numpy(scaled)
        rows, times = self._asked()
        target = self._answers[rows + self.horizon][None].double()
        answers = {"mean": torch.zeros_like(target)}
        if self._reads_target:
            answers["last value"] = self._answers[rows][None].double()
        return {name: self._score(answer, target, times) for name, answer in answers.items()}

    def _prepare_labels(self, table: Table, training: NDArray[np.int64]) -> dict[str, tuple[float, float]]:
        """Set the answers of a classification. Return loss and error of the labels' shares in the training part."""
        assert table.labels is not None
        known, counts = np.unique(table.labels[training], return_counts=True)
        if len(known) < 2:
            raise UsageError(f"task.label={self._name}: all training rows have the label {known[0]!r}")
        places = np.searchsorted(known, table.labels).clip(max=len(known) - 1)
        if (unknown := np.flatnonzero(known[places] != table.labels)).size:
            raise UsageError(
                f"{KEY}={self._path}: row {table.row_numbers[unknown[0]]}, column {self._name}: the label "
                f"{table.labels[unknown[0]]!r} is not in the training part; change task.held_out or delete these rows"
            )
        self.output_size, self._answers = len(known), torch.from_numpy(places)
        rows, times = self._asked()
        target = self._answers[rows + self.horizon][None]
        logits = torch.from_numpy(np.log(counts / counts.sum()))
        return {"shares of labels": self._score(logits.expand(1, target.shape[1], -1), target, times)}

    def _asked(self) -> tuple[Int64[Tensor, " rows"], Int64[Tensor, " rows"]]:
        """The rows of held-out windows with a loss, and in how many of these windows each of them has one."""
        ends = self._held_out + self.timesteps
        starts = ends - (self.readout_steps or self.timesteps)
        changes = starts.bincount(minlength=len(self._inputs) + 1) - ends.bincount(minlength=len(self._inputs) + 1)
        times = changes.cumsum(dim=0)
        rows = times.nonzero()[:, 0]
        return rows, times[rows]

    def _score(
        self, outputs: Float[Tensor, "1 rows output"], targets: Tensor, times: Int64[Tensor, " rows"]
    ) -> tuple[float, float]:
        """Mean loss and error of answers at some rows, each of which counts several times."""
        scores = (self.losses(outputs, targets), self.errors(outputs, targets))
        loss, error = ((score * times).sum().item() / times.sum().item() for score in scores)
        return loss, error


def _scale(
    values: NDArray[np.float64], training: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """The columns with mean 0 and standard deviation 1 in the training rows, as float32; these means and deviations.

    A column that is constant in the training rows is only shifted.
    """
    means, stds = values[training].mean(axis=0), values[training].std(axis=0)
    return ((values - means) / np.where(stds > 0, stds, 1)).astype(np.float32), means, stds


def _name(column: str | int | None) -> str | None:
    """The name of a column, which is text in the file even where it looks like a number."""
    return None if column is None else str(column)
