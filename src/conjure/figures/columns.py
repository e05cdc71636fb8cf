"""Which states of a path to show, and which of them matter most. Pure numbers, no drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conjure.levels import Floats


@dataclass(frozen=True)
class Columns:
    """The columns of the figure: groups of neighbouring states, one of them shown.

    Args:
        states: The state shown in each column of either half, shape ``(2, columns)``.
        shares: What each column of either half contributes to the distance, as a fraction of it,
            shape ``(2, columns)``; they sum to 1 over both halves.
        framed: The cells that carry most of it, shape ``(2, columns)``.
    """

    states: np.ndarray
    shares: Floats
    framed: np.ndarray


def choose_columns(per_state: Floats, columns: int, most: float = 0.5) -> Columns:
    """Group the states into columns and mark those that matter.

    Args:
        per_state: Contributions of each path and state, shape ``(2, T)``, not negative.
        columns: At most how many columns.
        most: The fewest cells that together make up this fraction of the whole are framed.

    Each column stands for a run of neighbouring states, and shows the one that contributes most.

    >>> chosen = choose_columns(np.array([[1.0, 1.0, 6.0, 0.0], [0.0, 1.0, 1.0, 0.0]]), 2)
    >>> chosen.states[0], chosen.shares[0], chosen.framed
    (array([0, 2]), array([0.2, 0.6]), array([[False,  True], [False, False]]))
    """
    steps = per_state.shape[1]
    groups = np.array_split(np.arange(steps), min(columns, steps))
    states = np.array([[g[np.argmax(half[g])] for g in groups] for half in per_state])
    shares = np.array([[half[g].sum() for g in groups] for half in per_state])
    total = shares.sum()
    if total > 0:
        shares = shares / total
    order = np.argsort(-shares, axis=None, kind="stable")
    reached = np.cumsum(shares.ravel()[order])
    count = int(np.searchsorted(reached, most - 1e-12) + 1) if total > 0 else 0
    framed = np.zeros(shares.size, dtype=bool)
    framed[order[:count]] = True
    return Columns(states, shares, framed.reshape(shares.shape))
