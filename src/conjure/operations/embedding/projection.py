"""Random projection by feature hashing: long vectors to short ones, nearly the same distances."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def project(rows: Tensor, dimensions: int, seed: int, part: int) -> Tensor:
    """Add every number, under a random sign, to one of ``dimensions`` random places.

    Weinberger et al. (2009); ‖projected‖² is unbiased for ‖row‖². Long vectors may be projected
    part by part and the results added up: each part hashes by its own number.

    Args:
        rows: Shape ``(n, length)``.
        dimensions: D.
        seed: Of the hash.
        part: Which part of the whole vector the rows are.

    Returns:
        Shape ``(n, D)``.
    """
    length = rows.shape[1]
    sequence = np.random.SeedSequence(seed, spawn_key=(part,))
    random = np.random.Generator(np.random.Philox(sequence))
    places = torch.from_numpy(random.integers(dimensions, size=length)).to(rows.device)
    signs = torch.from_numpy(random.choice([-1.0, 1.0], size=length)).to(rows)
    result = torch.zeros(len(rows), dimensions, dtype=rows.dtype, device=rows.device)
    return result.index_add_(1, places, rows * signs)


def projection_error(dimensions: int) -> float:
    """Relative standard deviation of a projected squared length: √(2/D), for spread-out vectors.

    >>> round(projection_error(1024), 3)
    0.044
    """
    return math.sqrt(2 / dimensions)
