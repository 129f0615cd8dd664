"""Norms where squares leave the range of float64."""

import math

import pytest
import torch

from models.norms import l2_norm


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-200, 1e-160, 1.0, 1e100, 1e160, 1e300, 1e307])
def test_squares_neither_overflow_nor_underflow(size):
    entries = torch.linspace(-1, 2, 12, dtype=torch.float64).view(3, 4) * size
    expected = [math.hypot(*row) for row in entries.tolist()]
    assert l2_norm(entries, dim=1).tolist() == pytest.approx(expected, rel=1e-14)
    assert l2_norm(entries).item() == pytest.approx(math.hypot(*expected), rel=1e-14)


def test_ordinary_numbers_keep_their_bits():
    entries = torch.randn(50, 30, dtype=torch.float64)
    assert torch.equal(l2_norm(entries, dim=1), torch.linalg.vector_norm(entries, dim=1))
    assert torch.equal(l2_norm(entries.float()), torch.linalg.vector_norm(entries.float(), dtype=torch.float64))


def test_what_is_not_finite_stays_so():
    assert l2_norm(torch.tensor([math.inf, 1.0], dtype=torch.float64)).item() == math.inf
    assert math.isnan(l2_norm(torch.tensor([math.nan, 1.0], dtype=torch.float64)).item())
    assert l2_norm(torch.zeros(3, dtype=torch.float64)).item() == 0
