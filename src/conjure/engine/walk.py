"""The paths of a block, in step: where they are, and what the network says of them there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from conjure.engine.jobs import Block
from conjure.engine.network import Network, Rows
from conjure.engine.recall import Answers, Recall
from conjure.process.base import Process
from conjure.process.prediction import Memory, Prediction, Transition, guide


class Walk:
    """All paths of a block, from noise on, one visit after another.

    Args:
        process: The process.
        network: Its counted network.
        block: Whose paths.
        recall: What of them is known already.
        draw: Standard normal noise of each of the block's samples, by step.

    Attributes:
        prompts: Of each path.
        x: Its state at this visit, shape ``(P, *state)``.
        rows: That the paths themselves ask the network at a visit.
    """

    def __init__(
        self,
        process: Process,
        network: Network,
        block: Block,
        recall: Recall,
        draw: Callable[[int], Tensor],
    ) -> None:
        self._process, self._network, self._recall, self._draw = process, network, recall, draw
        self.prompts = [prompt for prompt, _ in block.paths]
        self._fresh_prompts = [self.prompts[p] for p in recall.fresh.tolist()]
        self._origin = torch.tensor([block.samples[sample] for _, sample in block.paths])
        self._guided = process.guidance > 1
        self.rows = len(recall.fresh) * (2 if self._guided else 1)
        wanted = [*self.prompts, process.negative] if self._guided else self.prompts
        process.prepare(dict.fromkeys(wanted))
        self._start = process.prior(draw(0))
        self.x = self._start[self._origin]
        self._memory: Memory = None

    def ask(self, visit: int, beside: Sequence[Rows] = ()) -> tuple[Answers, list[Prediction]]:
        """Ask at every path's state under its own prompt, and with guidance under the negative one.

        Args:
            visit: Where the paths are.
            beside: Other rows that share the passes.

        Returns:
            The answers at all paths, and those to the other rows.
        """
        fresh = self._recall.fresh
        rows: list[Rows] = [(self.x[fresh], self._fresh_prompts)]
        if self._guided:  # all paths of a sample start at one state
            where = self._start[self._recall.unstarted] if visit == 0 else self.x[fresh]
            rows.append((where, [self._process.negative] * len(where)))
        own, *others = self._network.predict_together(visit, [*rows, *beside])
        unconditional = others.pop(0) if self._guided else None
        if unconditional is not None:
            if visit == 0 and len(fresh):
                unconditional = self._recall.start(unconditional)[self._origin[fresh]]
            own = guide(own, unconditional, self._process.guidance)
        return self._recall.complete(visit, Answers(own, unconditional)), others

    def move(self, visit: int, own: Prediction) -> Transition | None:
        """Where the sampler goes from a visit; None from the last, whose map is left out."""
        if visit + 1 == len(self._process.visits):
            return None
        return self._process.transition(self.x, visit, own, self._memory)

    def advance(self, visit: int, move: Transition) -> None:
        """Go there."""
        self._memory = move.memory
        self.x = move.draw(self._draw(visit + 1)[self._origin])
