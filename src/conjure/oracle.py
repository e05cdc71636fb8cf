"""What the Gaussian process must answer, exactly: no sampling, no network.

A chain whose network is perfect for Gaussian pictures is affine, so its mean and covariance can be
propagated, and every squared difference has a known expectation at any number of steps.
"""

from __future__ import annotations

import numpy as np
import torch

from conjure.divergence import Squares
from conjure.levels import Floats
from conjure.process.base import Prediction, guide
from conjure.process.gaussian import Gaussian, GaussianProcess


def expected_squares(process: GaussianProcess, a: str, b: str) -> Squares:
    """Expectations of a run's squares, as one sample of shape ``(1, 2, T)``.

    All estimands are linear in the squares, so :func:`conjure.divergence.estimate` on these is
    their exact T-step value. Both paths share their noise: they are propagated as one Gaussian.
    """
    steps, d = len(process.levels), process.shape[0]
    squares = Squares(*(np.full((1, 2, steps), np.nan) for _ in range(4)))
    mean = np.zeros(2 * d)
    covariance = process.grid.prior_scale**2 * np.kron(np.ones((2, 2)), np.eye(d))
    # Rows that pick one path's state out of both.
    pick = [np.eye(d, 2 * d), np.eye(d, 2 * d, d)]

    def expected(slope: Floats, offset: Floats) -> float:
        """E‖Mz + v‖² for z ~ N(mean, covariance)."""
        return float(np.sum((slope @ mean + offset) ** 2) + np.sum((slope @ covariance) * slope))

    for i in range(steps):
        predictions = [affine_prediction(process, i, prompt) for prompt in (a, b)]
        (E1, e1, F1, f1), (E2, e2, F2, f2) = predictions
        sigma = process.levels.sigma[i]
        for path in (0, 1):
            P, Q = pick[path], pick[1 - path]
            squares.noise[0, path, i] = expected((E1 - E2) @ P, e1 - e2)
            squares.picture[0, path, i] = expected((F1 - F2) @ P, f1 - f2)
            squares.printed[0, path, i] = expected(E1 @ P - E2 @ Q, e1 - e2) / sigma**2
        if i + 1 == steps:
            break
        (A1, c1, std), (A2, c2, _) = (affine_step(process, i, prompt) for prompt in (a, b))
        if std > 0:
            for path in (0, 1):
                difference = expected((A1 - A2) @ pick[path], c1 - c2)
                squares.step[0, path, i] = difference / std**2
        move = np.block([[A1, np.zeros((d, d))], [np.zeros((d, d)), A2]])
        mean = move @ mean + np.concatenate([c1, c2])
        covariance = move @ covariance @ move.T + std**2 * np.kron(np.ones((2, 2)), np.eye(d))
    return squares


def affine_prediction(
    process: GaussianProcess, step: int, prompt: str
) -> tuple[Floats, Floats, Floats, Floats]:
    """The guided predictions ε̂ = Ex + e and x̂₀ = Fx + f at a state. Returns E, e, F, f."""
    alpha, sigma = process.grid.at(step)

    def parts(meaning: Gaussian) -> list[Floats]:
        return [
            *meaning.predicted_noise(alpha, sigma),
            *meaning.predicted_picture(alpha, sigma),
        ]

    conditional = parts(process.meanings[prompt])
    if process.guidance > 1:
        unconditional = parts(process.meanings[process.negative])
        conditional = [
            u + process.guidance * (c - u) for c, u in zip(conditional, unconditional, strict=True)
        ]
    E, e, F, f = conditional
    return E, e, F, f


def affine_step(process: GaussianProcess, step: int, prompt: str) -> tuple[Floats, Floats, float]:
    """The sampler's step as x′ = Ax + c + σ̃z. Returns A, c and σ̃.

    Found by asking the sampler itself at the origin and at each unit vector, so that it holds for
    any sampler whose step is affine and remembers nothing.
    """
    d = process.shape[0]
    x = torch.from_numpy(np.concatenate([np.zeros((1, d)), np.eye(d)]))
    prediction: Prediction = process.predict(x, step, [prompt] * (d + 1))
    if process.guidance > 1:
        unconditional = process.predict(x, step, [process.negative] * (d + 1))
        prediction = guide(prediction, unconditional, process.guidance)
    move = process.transition(x, step, prediction, None)
    values = move.mean.numpy()
    return (values[1:] - values[0]).T, values[0], float(move.std)


def gaussian_kl(mean1: Floats, covariance1: Floats, mean2: Floats, covariance2: Floats) -> float:
    """KL(N(m₁, C₁)‖N(m₂, C₂)) in nats."""
    L1, L2 = np.linalg.cholesky(covariance1), np.linalg.cholesky(covariance2)
    M = np.linalg.solve(L2, L1)
    y = np.linalg.solve(L2, mean2 - mean1)
    log_det = 2 * np.sum(np.log(np.diag(L2)) - np.log(np.diag(L1)))
    return float(0.5 * (np.sum(M**2) - len(mean1) + y @ y + log_det))


def continuous_kl(first: Gaussian, second: Gaussian, alpha: Floats, sigma: Floats) -> float:
    """KL(P₁‖P₂) of the continuous reverse SDEs between two noise levels, in nats.

    Both diffuse by the same forward kernels, so that by the chain rule it is the KL between the
    marginals at the clean end less that at the noisy end; for paths that start from p(·|y) there.

    Args:
        first: What y₁ means.
        second: What y₂ means.
        alpha: Signal scale at the noisy and at the clean end, shape ``(2,)``.
        sigma: Noise scale there.
    """
    noisy, clean = (
        gaussian_kl(*_marginal(first, a, s), *_marginal(second, a, s))
        for a, s in zip(alpha, sigma, strict=True)
    )
    return clean - noisy


def _marginal(meaning: Gaussian, alpha: float, sigma: float) -> tuple[Floats, Floats]:
    d = len(meaning.mean)
    return alpha * meaning.mean, alpha**2 * meaning.covariance + sigma**2 * np.eye(d)
