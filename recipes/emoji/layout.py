"""Where a caption puts things, told by slots among a text's pads.

A sentence encoder hardly tells "a cat to the left of a car" from "a car to the left of a cat", and
its student does not either: what no state says, no denoiser can draw. So of every eight pads four
belong to the sides of a picture. Where a caption puts a thing on a side, that side's pads are what
they are for the thing alone ("a cat"), and marked with the side: the denoiser, which knows how to
draw a cat already, has only to learn from where to look at which mark. All other pads, and all of a
caption that puts nothing anywhere, stand for the whole text.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .scenes import Scene

SIDES, PERIOD = 4, 8  # left, right, top, bottom; then four for the whole text
TELLING = ("relation", "place")  # kinds of scenes whose captions say where things are
MARK = 8.0  # length of a mark, in standard deviations of a state's numbers


def sides(scene: Scene) -> list[tuple[int, int]]:
    """(side, label's row) of each thing that a caption puts on one; a corner is two."""
    found = []
    for item in scene.items if scene.kind in TELLING else ():
        found += [(n, item.row) for n, low in ((0, item.x), (2, item.y)) if low < 0.4]
        found += [(n, item.row) for n, high in ((1, item.x), (3, item.y)) if high > 0.6]
    return found


def slots(side: int, length: int, width: int) -> list[int]:
    """Positions of the pads that belong to a side, of a text of so many tokens."""
    return [place for place in range(length, width) if place % PERIOD == side]


def with_whole_end(width: int, longest: int) -> int:
    """At least so many positions, at most the longest, the last of which is no side's."""
    while width < longest and (width - 1) % PERIOD < SIDES:
        width += 1
    return min(width, longest)


def marks(width: int, seed: int = 0) -> Tensor:
    """A direction for each side, orthonormal: [SIDES, width]."""
    drawn = torch.randn(width, SIDES, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(drawn).Q.T


def placed_states(whole: Tensor, alone: Tensor, lengths: Sequence[int], scenes: Sequence[Scene],
                  scale: float | Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
    """What the states of captions should be.

    Args:
        whole: The states of the captions before, [N, positions, width].
        alone: Of each label's row the states of the thing alone, [rows, positions or more, width].
        lengths: N numbers of tokens.
        scenes: N of them.
        scale: Standard deviation of a state's numbers.

    Returns:
        The states wanted, like `whole`, and where they are slots in use, [N, positions].
    """
    wanted, used = whole.clone(), torch.zeros(whole.shape[:2], dtype=torch.bool)
    signs = MARK * scale * marks(whole.shape[-1]).to(whole)
    for n, (length, scene) in enumerate(zip(lengths, scenes, strict=True)):
        for side, row in sides(scene):
            places = slots(side, length, whole.shape[1])
            wanted[n, places] = alone[row, places] + signs[side]
            used[n, places] = True
    return wanted, used
