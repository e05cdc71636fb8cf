"""The one place where a network is called: counted, split to fit, and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError, is_out_of_memory
from conjure.process.base import Process, check_finite
from conjure.process.prediction import Prediction

Rows = tuple[Tensor, Sequence[str]]
"""States of shape ``(n, *state)``, and a prompt for each."""


class Network:
    """A process's ``predict``, with a count of its rows.

    Args:
        process: Whose network.
        on_calls: Called with the number of rows after each pass, to show progress.

    Attributes:
        on_calls: As above.
        calls: Network evaluations so far, one a row: what a run costs.
        batch_size: Rows a pass may hold; halved for good when memory runs out.
    """

    def __init__(self, process: Process, on_calls: Callable[[int], None] | None = None) -> None:
        self._process = process
        self.on_calls = on_calls
        self.batch_size = process.batch_size
        self.calls = 0

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """Predictions for rows ``x`` of shape ``(n, *state)``, in passes of at most a batch.

        Raises:
            NonFinitePredictionError: The network returned infinities or NaNs.
            ConjureError: Memory runs out even for a single row.
        """
        if not prompts:
            return Prediction(x, x)
        parts: list[Prediction] = []
        done = 0
        while done < len(prompts):
            rows = slice(done, done + even_size(len(prompts) - done, self.batch_size))
            try:
                part = self._process.predict(x[rows], step, prompts[rows])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch_size == 1:
                    raise ConjureError(
                        "Memory ran out on a single network call. Use a smaller model, another "
                        "device, or half precision (dtype='bfloat16')."
                    ) from error
                self.batch_size = max(1, len(prompts[rows]) // 2)
                continue
            check_finite(part, step, self._process)
            parts.append(part)
            count = len(prompts[rows])
            done += count
            self.calls += count
            if self.on_calls is not None:
                self.on_calls(count)
        return parts[0] if len(parts) == 1 else Prediction.concatenate(parts)

    def predict_together(self, step: int, rows: Sequence[Rows]) -> list[Prediction]:
        """Predictions for several lists of rows, which share their passes."""
        x = torch.cat([part for part, _ in rows])
        answer = self.predict(x, step, [prompt for _, prompts in rows for prompt in prompts])
        ends = np.cumsum([0, *(len(part) for part, _ in rows)]).tolist()
        return [answer[start:stop] for start, stop in pairwise(ends)]


def even_size(rows: int, most: int) -> int:
    """Rows of a pass if all passes are to be about as long: a short last one costs more a row.

    >>> even_size(200, 64), even_size(128, 64), even_size(3, 64)
    (50, 64, 3)
    """
    return math.ceil(rows / max(1, math.ceil(rows / most)))
