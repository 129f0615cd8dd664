"""L2 norms of gradients and weights, from the smallest to the largest numbers of float64."""

import torch
from torch import Tensor


def l2_norm(tensor: Tensor, dim: int | None = None) -> Tensor:
    """The L2 norm in float64. It is infinite or 0 only if an entry is infinite, or all are 0.

    The squares of float64 numbers above 1e154 or below 1e-162 leave its range. Therefore float64 entries are scaled
    by a power of two first, which is exact; the squares of float32 entries always fit.

    Args:
        tensor: Entries of any shape.
        dim: Dimension that is summed over; None for all.
    """
    if tensor.dtype != torch.float64 or not tensor.numel():
        plain: Tensor = torch.linalg.vector_norm(tensor, dim=dim, dtype=torch.float64)
        return plain
    largest = tensor.abs().amax() if dim is None else tensor.abs().amax(dim, keepdim=True)
    usable = largest.isfinite() & (largest > 0)
    exponent = torch.where(usable, torch.frexp(largest).exponent, 0)
    scaled = torch.linalg.vector_norm(
        torch.ldexp(torch.ldexp(tensor, -(exponent // 2)), -(exponent - exponent // 2)), dim=dim
    )
    exponent = exponent if dim is None else exponent.squeeze(dim)
    norm: Tensor = torch.ldexp(torch.ldexp(scaled, exponent // 2), exponent - exponent // 2)
    return norm
