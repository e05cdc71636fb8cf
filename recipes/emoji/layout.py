"""Where a caption puts things, to be read off a text's last state by a linear map.

A sentence encoder hardly tells "a cat to the left of a car" from "a car to the left of a cat", and
its student does not either: what no state says, no denoiser can draw. So the student also learns to
say, at its last pad, what stands on which side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .scenes import Scene

SIDES = 4  # left, right, top, bottom
TELLING = ("relation", "place")  # kinds of scenes whose captions say where things are
TEMPERATURE = 0.07


def sides(scene: Scene) -> list[tuple[int, int]]:
    """(side, label's row) of each thing that a caption puts on one; a corner is two."""
    found = []
    for item in scene.items if scene.kind in TELLING else ():
        found += [(n, item.row) for n, low in ((0, item.x), (2, item.y)) if low < 0.4]
        found += [(n, item.row) for n, high in ((1, item.x), (3, item.y)) if high > 0.6]
    return found


class Layout(nn.Module):
    """A linear map for each side, from a state to the embedding of the label that is there."""

    def __init__(self, width: int, label_width: int) -> None:
        """For states of one width and embeddings of another."""
        super().__init__()
        self.heads = nn.Linear(width, SIDES * label_width)

    def forward(self, states: Tensor, scenes: Sequence[Scene], labels: Tensor) -> Tensor:
        """Cross-entropy of naming, among the labels of the batch, what is on each side.

        Args:
            states: The captions' last ones, [N, width].
            scenes: N of them.
            labels: Embeddings of all labels, [rows, label_width].
        """
        told = [(n, side, row) for n, scene in enumerate(scenes) for side, row in sides(scene)]
        numbers, places, rows = torch.tensor(told, device=states.device).T
        said = self.heads(states).unflatten(-1, (SIDES, -1))[numbers, places]
        there, targets = rows.unique(return_inverse=True)
        known = functional.normalize(labels[there], dim=-1)
        logits = functional.normalize(said, dim=-1) @ known.T / TEMPERATURE
        return functional.cross_entropy(logits, targets)
