"""How far back data carry information about an answer: its linear dependence on inputs by lag."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

FALSE_ALARM = 0.01
"""Probability that any lag of data without dependence is above its bound."""

SMALLEST = 0.01
"""Smallest dependence that counts: a ten-thousandth of the variance of the answer."""

MOST_ROWS, PIECES = 50_000, 10
"""Number of rows up to which all are read; of more, as many in evenly spread pieces."""

MOST_REGRESSORS = 1500
"""Largest number of lags times columns, which bounds time and memory."""

SHIFTS = 400
"""Number of shifted answers that say what noise reaches, for all answers together."""

Rows = NDArray[Any]
"""Numbers in rows and columns."""

ByLag = NDArray[np.float64]
"""A number for each lag, column and answer, and perhaps shift."""


class Dependence(NamedTuple):
    """The dependence of an answer on one input column at one lag; a row of data_lags.csv.

    Attributes:
        lag: Rows before the last row that the answer may use.
        column: Name of the input column.
        dependence: Semipartial correlation, from 0 to 1: its square is the share of the answer's variance that a linear
            forecast explains with this column at this lag, and not with all columns at smaller lags.
        bound: What noise reaches, and at least `SMALLEST`.
        rows: Number of rows that were read.
    """

    lag: int
    column: str
    dependence: float
    bound: float
    rows: int


def dependence_by_lag(pieces: Sequence[tuple[Rows, Rows]], columns: Sequence[str], timesteps: int) -> list[Dependence]:
    """Measure at which lags an answer depends on its inputs.

    Each lag is credited only with what no smaller lag explains, by a linear regression of the answer on all of them.
    So a series that depends only on its last value has no dependence beyond lag 0, however slowly its autocorrelation
    falls. A straight line is taken out of every piece first, so that a trend is no dependence.

    The bound comes from the same regression with answers that are shifted in time against the inputs, which keeps
    their distribution and autocorrelation. It is a multiple of the root mean square of the dependence over the shifts,
    and the multiple is the one that any lag or column exceeds in one of a hundred shifts.

    Args:
        pieces: Stretches of consecutive rows: the inputs, and the answers that belong to each of these rows. Of several
            answers, such as classes, the one with the largest dependence counts.
        columns: Names of the input columns.
        timesteps: Length of the task's sequences. Twice as many lags are looked at, and at least 100, as far as the
            number of rows and columns allows.

    Returns:
        A row for each lag and column; none if there are too few rows.
    """
    from threadpoolctl import threadpool_limits

    pieces = _spread(pieces)
    rows = [len(inputs) for inputs, _ in pieces]
    lags = min(
        lags_wanted(timesteps), MOST_REGRESSORS // len(columns), sum(rows) // (10 * len(columns)), max(rows) // 4
    )
    if lags < 1:
        return []
    with threadpool_limits(
        1
    ):  # the digits must not depend on the number of threads, and small fits are slow in several
        pieces = [_without_trend(*piece) for piece in pieces if len(piece[0]) >= 2 * lags]
        found, bounds = _compare_with_noise(pieces, lags)
    of_answer = (found / bounds).argmax(axis=2)[..., None]  # (lag, column, 1)
    found, bounds = (np.take_along_axis(values, of_answer, axis=2)[..., 0] for values in (found, bounds))
    used = sum(len(inputs) for inputs, _ in pieces)
    return [
        Dependence(lag, name, float(found[lag, place]), float(bounds[lag, place]), used)
        for lag in range(lags)
        for place, name in enumerate(columns)
    ]


def lags_wanted(timesteps: int) -> int:
    """The number of lags to look at for sequences of this length, if there are enough rows."""
    return max(2 * timesteps, 100)


def _spread(pieces: Sequence[tuple[Rows, Rows]]) -> list[tuple[Rows, Rows]]:
    """Evenly spread stretches of long pieces, `MOST_ROWS` in all; short pieces as they are, as far as they fit."""
    chosen: list[tuple[Rows, Rows]] = []
    left = MOST_ROWS
    for inputs, answers in sorted(pieces, key=lambda piece: -len(piece[0])):
        if len(inputs) > left:
            length = left // PIECES
            starts = np.linspace(0, len(inputs) - length, PIECES if length else 0).astype(int)
            chosen += [(inputs[start : start + length], answers[start : start + length]) for start in starts]
            break
        chosen.append((inputs, answers))
        left -= len(inputs)
    return chosen


def _without_trend(inputs: Rows, answers: Rows) -> tuple[Rows, Rows]:
    from scipy.signal import detrend

    return detrend(inputs.astype(np.float64), axis=0), detrend(answers.astype(np.float64), axis=0)


def _compare_with_noise(pieces: Sequence[tuple[Rows, Rows]], lags: int) -> tuple[ByLag, ByLag]:
    """Dependence and bound by lag, column and answer."""
    from scipy.linalg import cholesky, solve_triangular

    scales = [np.concatenate(rows).std(axis=0) for rows in zip(*pieces, strict=True)]
    scales = [np.where(scale > 1e-12, scale, np.inf) for scale in scales]  # constant columns become 0
    pieces = [(inputs / scales[0], answers / scales[1]) for inputs, answers in pieces]
    complete = sum(len(inputs) - lags + 1 for inputs, _ in pieces)  # rows with all lags before them
    products = _products(pieces, lags)
    products[np.diag_indices_from(products)] += 1e-9 * complete  # columns may be linear combinations of others
    factor = cholesky(products, lower=True, overwrite_a=True, check_finite=False)
    with_answers = _products_with_answers(pieces, lags)
    squares = np.sum([(answers[lags - 1 :] ** 2).sum(axis=0) for _, answers in pieces], axis=0).clip(1e-12)
    flat = solve_triangular(factor, with_answers.reshape(len(factor), -1), lower=True, check_finite=False)
    weights = solve_triangular(factor, flat, lower=True, trans=1, check_finite=False).reshape(with_answers.shape)
    explained = (flat.reshape(with_answers.shape) ** 2).sum(axis=1, keepdims=True) / squares
    left = (1 - np.cumsum(explained, axis=0) + explained).clip(1e-12, 1)  # unexplained by smaller lags

    inputs = np.concatenate([inputs for inputs, _ in pieces])
    errors = np.concatenate([_errors(*piece, weights) for piece in pieces])
    sizes = np.sqrt((errors**2).sum(axis=0)).clip(1e-12)
    shifted = _cross_products(inputs, errors / sizes, lags, _shifts(len(inputs), lags, errors.shape[1]))
    noise = _partial(factor, shifted) * math.sqrt(complete / len(inputs))
    typical = np.sqrt((noise**2).mean(axis=-1)).clip(complete**-0.5)
    largest = np.quantile(np.abs(noise / typical[..., None]).max(axis=(0, 1, 2)), 1 - FALSE_ALARM)
    normal = NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * typical.size))  # few rows have few independent shifts
    # Errors may be largest where inputs are, as in series that are calm at times and wild at others.
    uneven = _cross_products(inputs**2, (errors / sizes) ** 2, lags, np.array([0]))[..., 0]
    uneven /= (inputs**2).mean(axis=0)[:, None].clip(1e-12)
    fitted = np.arange(1, lags + 1)[:, None, None] * inputs.shape[1]
    bounds = max(largest, normal) * typical * np.sqrt(uneven.clip(1) * left / (1 - fitted / complete))
    return np.abs(_partial(factor, with_answers)) / np.sqrt(squares), np.maximum(bounds, SMALLEST)


def _partial(factor: Rows, with_answers: Float[np.ndarray, "lag column *answers"]) -> ByLag:
    """Sums of products of answers and what smaller lags leave of the inputs, scaled to a sum of squares of 1.

    Args:
        factor: Cholesky factor of `_products`. Its rows make the columns at each lag orthogonal to all smaller lags.
        with_answers: Sums of products of inputs and answers.
    """
    from scipy.linalg import solve_triangular

    lags, columns, *_ = with_answers.shape
    flat = solve_triangular(factor, with_answers.reshape(len(factor), -1), lower=True, check_finite=False)
    blocks = factor.reshape(lags, columns, lags, columns)[np.arange(lags), :, np.arange(lags)]
    partial: ByLag = np.einsum("kij,kja->kia", blocks, flat.reshape(lags, columns, -1))
    partial /= np.sqrt((blocks**2).sum(axis=2, keepdims=True))
    return partial.reshape(with_answers.shape)


def _products(pieces: Sequence[tuple[Rows, Rows]], lags: int) -> Rows:
    """Sums of products of inputs at two lags, (lag and column, lag and column), over rows with all lags before them.

    A block of two lags follows from that of the lags before: it has the same products, one row earlier.
    """
    columns = pieces[0][0].shape[1]
    total = np.zeros((lags * columns, lags * columns))
    total[:columns] = _products_with_answers([(inputs, inputs) for inputs, _ in pieces], lags).reshape(-1, columns).T
    entering = np.stack([inputs[: lags - 1][::-1].ravel() for inputs, _ in pieces])
    leaving = np.stack([inputs[len(inputs) - lags + 1 :][::-1].ravel() for inputs, _ in pieces])
    change = entering.T @ entering - leaving.T @ leaving
    for lag in range(1, lags):
        before, here = slice((lag - 1) * columns, lag * columns), slice(lag * columns, (lag + 1) * columns)
        total[here, columns:] = total[before, :-columns] + change[before]
        total[here, :columns] = total[:columns, here].T
    return total


def _products_with_answers(pieces: Sequence[tuple[Rows, Rows]], lags: int) -> ByLag:
    """Sums of products of inputs and answers by lag, column and answer, over rows with all lags before them."""
    return np.stack(
        [
            np.sum([inputs[lags - 1 - lag : len(inputs) - lag].T @ of[lags - 1 :] for inputs, of in pieces], axis=0)
            for lag in range(lags)
        ]
    )


def _errors(inputs: Rows, answers: Rows, weights: ByLag) -> Rows:
    """The errors of the linear forecast of the answers from all lags; 0 in the first rows, which lack some of them."""
    from scipy.signal import oaconvolve

    lags = len(weights)
    forecasts = oaconvolve(inputs[..., None], weights, axes=0).sum(axis=1)[: len(inputs)]
    errors: Rows = answers - forecasts
    errors[: lags - 1] = 0
    return errors


def _cross_products(inputs: Rows, answers: Rows, lags: int, shifts: NDArray[np.int64]) -> ByLag:
    """Sums of products of inputs and answers by lag, column, answer and shift; the rows are shifted in a circle."""
    from scipy.fft import next_fast_len

    rows = len(inputs)
    size = next_fast_len(2 * rows, real=True)
    of_inputs, of_answers = (np.fft.rfft(values, size, axis=0) for values in (inputs, answers))
    places = shifts + np.arange(lags)[:, None]
    found = np.empty((lags, inputs.shape[1], answers.shape[1], len(shifts)))
    for column in range(inputs.shape[1]):
        for answer in range(answers.shape[1]):
            products = np.fft.irfft(of_inputs[:, column].conj() * of_answers[:, answer], size)
            found[:, column, answer] = products[places] + products[places - rows]
    return found


def _shifts(rows: int, lags: int, answers: int) -> NDArray[np.int64]:
    """Evenly spread shifts, of which none brings a row within the lags of itself."""
    number = min(max(SHIFTS // answers, 100), rows - 3 * lags + 1)
    return np.linspace(lags, rows - 2 * lags, number).astype(np.int64)
