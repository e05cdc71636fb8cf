"""The noise of a run: a function of (seed, sample, step) and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def standard_normal(seed: int, sample: int, step: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise, float32 on the CPU.

    Counter-based (Philox), keyed by a hash (SeedSequence) of its arguments: every prompt and pair
    meets the same noise, on any device, in any order, and two seeds never share a stream.

    Args:
        seed: Of the run, at least 0.
        sample: Which sample, at least 0.
        step: 0 for the first state; i + 1 for the step that leaves state i.
        shape: Of one state.

    >>> standard_normal(0, 3, 1, (2,)).equal(standard_normal(0, 3, 1, (2,)))
    True
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(sample, step))
    generator = np.random.Generator(np.random.Philox(sequence))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def batch(
    seed: int,
    samples: Sequence[int],
    step: int,
    shape: tuple[int, ...],
    *,
    antithetic: bool = False,
) -> Tensor:
    """The noise of several samples, shape ``(len(samples), *shape)``.

    Args:
        seed: Of the run.
        samples: Which.
        step: As above.
        shape: Of one state.
        antithetic: Samples 2r and 2r + 1 have opposite noise, at the start and at every step: two
            draws of one independent replicate r.
    """
    if antithetic:
        drawn = (standard_normal(seed, j // 2, step, shape) * (-1) ** j for j in samples)
    else:
        drawn = (standard_normal(seed, j, step, shape) for j in samples)
    return torch.stack(list(drawn))
