"""Noise levels: the one axis, log-SNR, on which every process is written: x = αx₀ + σε."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""Arrays of float64; numpy's own functions are typed more loosely than they behave."""


@dataclass(frozen=True)
class NoiseLevels:
    """The T noise levels at which a process asks its network, noisiest first.

    Always in variance-preserving units, α² + σ² = 1, whatever units the sampler is usually
    written in: log-SNR, predicted noise and predicted picture are the same in all of them.

    Args:
        alpha: Signal scale α at each scored state, shape ``(T,)``; may be 0 at the first.
        sigma: Noise scale σ at each scored state, shape ``(T,)``.
        pure_noise: Whether the first state is meant to be noise alone. So it is where α is 0, and
            where a sampler that divides by α puts a stand-in for 0.
    """

    alpha: Floats
    sigma: Floats
    pure_noise: bool = False

    def __post_init__(self) -> None:
        if self.alpha.shape != self.sigma.shape or self.alpha.ndim != 1 or not len(self.alpha):
            raise ValueError("alpha and sigma are two vectors of one length, at least 1")
        if not np.allclose(self.alpha**2 + self.sigma**2, 1, atol=1e-6):
            raise ValueError("noise levels are given in variance-preserving units, α² + σ² = 1")
        if not (np.all(self.alpha >= 0) and np.all(self.sigma > 0)):
            raise ValueError("noise levels have α at least 0 and σ above 0")
        if np.any(np.diff(self.alpha) <= 0):
            raise ValueError("noise levels run from the noisiest to the cleanest, without repeats")
        object.__setattr__(self, "pure_noise", self.pure_noise or bool(self.alpha[0] == 0))

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def snr(self) -> Floats:
        """Signal-to-noise ratio α²/σ², shape ``(T,)``."""
        return self.alpha**2 / self.sigma**2

    @property
    def log_snr(self) -> Floats:
        """λ = 2 log(α/σ), shape ``(T,)``; −∞ where the schedule has zero terminal SNR."""
        with np.errstate(divide="ignore"):
            return 2 * (np.log(self.alpha) - np.log(self.sigma))

    @classmethod
    def from_log_snr(cls, log_snr: Floats) -> NoiseLevels:
        """The levels with the given λ, shape ``(T,)``, increasing."""
        log_snr = np.asarray(log_snr, dtype=np.float64)
        return cls(np.sqrt(1 / (1 + np.exp(-log_snr))), np.sqrt(1 / (1 + np.exp(log_snr))))
