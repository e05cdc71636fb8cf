"""What the Gaussian process must answer, exactly: no sampling, no network.

A chain whose network is perfect for Gaussian pictures is affine in its noise, so that every squared
difference has a known expectation at any number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.divergence.base import FIELDS, Squares
from conjure.levels import Floats
from conjure.process.gaussian import Gaussian, GaussianProcess
from conjure.process.prediction import Prediction, predict_guided, scored_visits


def expected_squares(process: GaussianProcess, a: str, b: str) -> Squares:
    """Expectations of a run's squares, as one sample of shape ``(1, 2, T)``.

    All estimands are linear in the squares, so ``conjure.divergence.estimate`` on these is
    their exact T-step value. Everything along a path is an affine function c + Mz of its noise: the
    sampler itself walks from z = 0 and along each direction, whatever it remembers and however
    often it asks, and E‖c + Mz‖² = ‖c‖² + ‖M‖² follows from where that leads.
    """
    steps, visits, d = len(process.levels), process.visits, process.shape[0]
    scored = scored_visits(visits)
    squares = Squares(*(np.full((1, 2, steps), np.nan) for _ in FIELDS))

    def ask(x: Tensor, visit: int, prompt: str) -> Prediction:
        return predict_guided(process, process.predict, x, visit, [prompt] * len(x))

    # Row 0 is z = 0, each other row a direction; the first are those of the initial noise.
    start = process.prior(torch.cat([torch.zeros(1, d), torch.eye(d)]).double())
    x, own_memory, other_memory = [start, start], [None, None], [None, None]
    for visit, i in enumerate(visits):
        own = [ask(x[path], visit, prompt) for path, prompt in enumerate((a, b))]
        moves = [
            process.transition(x[path], visit, own[path], own_memory[path]) for path in range(2)
        ]
        last = visit + 1 == len(visits)
        others = [ask(x[path], visit, prompt) for path, prompt in enumerate((b, a))]
        for path, other in enumerate(others) if visit in scored else ():
            squares.noise[0, path, i] = _expected(own[path].noise - other.noise)
            squares.picture[0, path, i] = _expected(own[path].picture - other.picture)
            first, second = (own, others)[path]
            printed = _expected(first.noise - second.noise)
            squares.printed[0, path, i] = printed / process.levels.sigma[i] ** 2
            turned = process.transition(x[path], visit, other, other_memory[path])
            other_memory[path] = turned.memory
            std = float(moves[path].std)
            if std > 0 and not last:
                squares.step[0, path, i] = _expected(moves[path].mean - turned.mean) / std**2
        if last:
            break
        live = ([move.mean for move in moves], [move.memory for move in moves], other_memory)
        x, own_memory, other_memory = _with_noise(live, [float(m.std) for m in moves])
    return squares


def _expected(values: Tensor) -> float:
    """E‖c + Mz‖² for z ~ N(0, I); row 0 is c, each other row c and a row of Mᵀ."""
    return float(values[0].square().sum() + (values[1:] - values[0]).square().sum())


def _with_noise(live: Any, stds: list[float]) -> Any:
    """All that is alive at a step's end, with the noise of the next one added to the two means.

    Only sums of squares over the directions matter, which a rotation leaves alone: where there are
    more directions than numbers alive, QR replaces them by as many.
    """
    tensors = _tensors(live)
    d = tensors[0].shape[1]
    whole = torch.cat(tensors, dim=1)
    slopes = whole[1:] - whole[0]
    fresh = torch.zeros(d, whole.shape[1], dtype=whole.dtype)
    for number, std in enumerate(stds):
        fresh[:, number * d : (number + 1) * d] = std * torch.eye(d, dtype=whole.dtype)
    slopes = torch.cat([slopes, fresh])
    if len(slopes) > slopes.shape[1]:
        slopes = torch.linalg.qr(slopes, mode="r").R
    rows = torch.cat([whole[:1], whole[:1] + slopes])
    return _rebuilt(live, iter(rows.split(d, dim=1)))


def _tensors(tree: Any) -> list[Tensor]:
    """Those in nested lists and tuples."""
    if isinstance(tree, Tensor):
        return [tree]
    return [t for part in tree for t in _tensors(part)] if isinstance(tree, list | tuple) else []


def _rebuilt(tree: Any, tensors: Iterator[Tensor]) -> Any:
    """The same tree with other tensors."""
    if isinstance(tree, Tensor):
        return next(tensors)
    if isinstance(tree, list | tuple):
        return type(tree)(_rebuilt(part, tensors) for part in tree)
    return tree


def gaussian_kl(mean1: Floats, covariance1: Floats, mean2: Floats, covariance2: Floats) -> float:
    """KL(N(m₁, C₁)‖N(m₂, C₂)) in nats."""
    roots = np.linalg.cholesky(covariance1), np.linalg.cholesky(covariance2)
    return gaussian_kl_from_roots(mean1, roots[0], mean2, roots[1])


def gaussian_kl_from_roots(mean1: Floats, L1: Floats, mean2: Floats, L2: Floats) -> float:
    """KL(N(m₁, L₁L₁ᵀ)‖N(m₂, L₂L₂ᵀ)) in nats; the roots are triangular."""
    M = np.linalg.solve(L2, L1)
    y = np.linalg.solve(L2, mean2 - mean1)
    log_det = 2 * np.sum(np.log(np.abs(np.diag(L2))) - np.log(np.abs(np.diag(L1))))
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
