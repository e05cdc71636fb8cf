"""A process whose meanings are Gaussians, so that every answer is known exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError
from conjure.io.brief import listed
from conjure.levels import Floats
from conjure.process.base import Defaults
from conjure.process.prediction import Prediction
from conjure.process.samplers import SAMPLERS
from conjure.process.samplers.base import Grid, Sampler
from conjure.process.samplers.schedules import lay_out


@dataclass(frozen=True)
class Gaussian:
    """N(m, C): what a prompt means to a ``GaussianProcess``.

    Args:
        mean: m, shape ``(d,)``.
        covariance: C, shape ``(d, d)``.
    """

    mean: Floats
    covariance: Floats

    def __repr__(self) -> str:
        return f"<Gaussian in {len(self.mean)} dimensions>"

    def predicted_noise(self, alpha: float, sigma: float) -> tuple[Floats, Floats]:
        """ε̂(x) = Ex + e of the perfect network: σ(α²C + σ²I)⁻¹(x − αm). Returns E and e."""
        d = len(self.mean)
        E = sigma * np.linalg.inv(alpha**2 * self.covariance + sigma**2 * np.eye(d))
        return E, -alpha * E @ self.mean

    def predicted_picture(self, alpha: float, sigma: float) -> tuple[Floats, Floats]:
        """x̂₀(x) = Fx + f = E[x₀ | x], also where α = 0. Returns F and f."""
        d = len(self.mean)
        precision = np.linalg.inv(alpha**2 * self.covariance + sigma**2 * np.eye(d))
        F = alpha * self.covariance @ precision
        return F, self.mean - alpha * F @ self.mean


@dataclass(frozen=True)
class GaussianProcess(Defaults):
    """A perfect diffusion model of Gaussian pictures, run by a real sampler in finitely many steps.

    Args:
        meanings: What each prompt means; the negative prompt must be there if guidance is above 1.
        sampler: How paths are advanced.
        grid: The states it visits.
        guidance: w ≥ 1.
        negative: The unconditional prompt.
        batch_size: Rows a pass.
    """

    meanings: Mapping[str, Gaussian]
    sampler: Sampler
    grid: Grid
    guidance: float = 1.0
    negative: str = ""
    batch_size: int = 4096
    model: str = field(default="gaussian", init=False)

    def __repr__(self) -> str:
        known = listed(list(self.meanings))
        return (
            f"<GaussianProcess of {known}: {self.sampler.name}, {len(self.levels)} steps, "
            f"guidance {self.guidance:g}>"
        )

    @classmethod
    def build(
        cls,
        meanings: Mapping[str, Gaussian],
        *,
        sampler: str = "ddim",
        eta: float | None = None,
        steps: int = 10,
        guidance: float = 1.0,
        negative: str = "",
        config: Mapping[str, Any] | None = None,
    ) -> GaussianProcess:
        """One on the noise schedule of a diffusers scheduler configuration (default: linear)."""
        config = dict(config or {"timestep_spacing": "trailing"})
        made = SAMPLERS[sampler](config, eta)
        return cls(meanings, made, lay_out(made, config, steps, {}), guidance, negative)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(d,)``."""
        return next(iter(self.meanings.values())).mean.shape

    def describe(self) -> dict[str, Any]:
        """The sampler, its steps and the guidance."""
        return {
            **self.sampler.describe(),
            "steps": len(self.levels),
            "guidance": self.guidance,
            "negative": self.negative,
        }

    def fingerprint(self) -> str:
        """Of all meanings."""
        digest = hashlib.blake2b(digest_size=16)
        for prompt, meaning in sorted(self.meanings.items()):
            digest.update(repr(prompt).encode())
            digest.update(np.concatenate([meaning.mean, meaning.covariance.ravel()]).tobytes())
        return digest.hexdigest()

    def check(self, *prompts: str) -> None:
        """Refuse a prompt that has no meaning here."""
        for prompt in prompts:
            if prompt not in self.meanings:
                raise ConjureError(f"This process knows {sorted(self.meanings)}, not {prompt!r}.")

    def prepare(self, prompts: Iterable[str]) -> None:
        """Nothing to do."""

    def place(self, noise: Tensor) -> Tensor:
        """Noise in float64."""
        return noise.to(torch.float64)

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """The exact conditional expectations; shape ``(n, d)``."""
        alpha, sigma = self.grid.at(step)
        noise, picture = torch.empty_like(x), torch.empty_like(x)
        for prompt in dict.fromkeys(prompts):
            rows = torch.tensor([p == prompt for p in prompts])
            meaning = self.meanings[prompt]
            for out, (slope, offset) in (
                (noise, meaning.predicted_noise(alpha, sigma)),
                (picture, meaning.predicted_picture(alpha, sigma)),
            ):
                out[rows] = x[rows] @ torch.from_numpy(slope.T) + torch.from_numpy(offset)
        return Prediction(noise, picture)
