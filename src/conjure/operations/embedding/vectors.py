"""What the network says of prompts at landmarks, as one vector each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from conjure.engine.network import Network
from conjure.operations.embedding.landmarks import Landmarks, differences
from conjure.operations.embedding.projection import project
from conjure.process.base import Process
from conjure.process.prediction import scored_visits


def embed_vectors(
    process: Process,
    network: Network,
    landmarks: Landmarks,
    weights: tuple[np.ndarray, np.ndarray],
    prompts: Sequence[str],
    dimensions: int | None,
) -> np.ndarray:
    """√weight · w · difference, over all landmarks; projected, unless all numbers are kept.

    Args:
        process: The process.
        network: Its counted network.
        landmarks: Where to ask.
        weights: Of ‖Δε̂‖² and ‖Δx̂₀‖² at each state, see ``estimand_weights``.
        prompts: To ask under.
        dimensions: D; None for all.

    Returns:
        Shape ``(N, D)``, float32.
    """
    process.prepare(dict.fromkeys(prompts))
    total = 0.0
    kept = []
    for step, visit in enumerate(scored_visits(process.visits)):
        gap = differences(landmarks, network, step, visit, prompts)
        for kind, (part, weight) in enumerate(
            ((gap.noise, weights[0][step]), (gap.picture, weights[1][step]))
        ):
            if weight == 0:
                continue
            scale = process.guidance * (weight / landmarks.paths) ** 0.5
            rows = scale * part.reshape(len(prompts), -1)
            if dimensions is None:
                kept.append(rows)
            else:
                total = total + project(rows, dimensions, landmarks.seed, 2 * step + kind)
    whole = torch.cat(kept, 1) if dimensions is None else total
    assert isinstance(whole, torch.Tensor)
    return whole.float().cpu().numpy()
