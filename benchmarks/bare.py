"""The network passes that a run made, and nothing else: what no engine can be faster than."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain

import torch
from torch import Tensor

from conjure.process.pipeline import PipelineProcess
from conjure.process.prediction import Prediction


@dataclass(frozen=True)
class Recorded(PipelineProcess):
    """A process that notes what each pass was asked.

    Args:
        passes: States, step and prompts of each pass so far.
    """

    passes: list[tuple[Tensor, int, Sequence[str]]] = field(default_factory=list)

    @staticmethod
    def of(process: PipelineProcess) -> Recorded:
        given = (f.name for f in fields(process) if f.init)
        return Recorded(**{name: getattr(process, name) for name in given})

    @property
    def sizes(self) -> list[int]:
        """Rows of each pass."""
        return [len(prompts) for _, _, prompts in self.passes]

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        self.passes.append((x.to(self.dtype), step, list(prompts)))
        return super().predict(x, step, prompts)


@torch.inference_mode()
def repeat_bare(recorded: Recorded) -> float:
    """Seconds of the network alone in the recorded passes, each on the inputs that it had."""
    spent = 0.0
    recorded.prepare(dict.fromkeys(chain.from_iterable(p for _, _, p in recorded.passes)))
    for x, step, prompts in recorded.passes:
        rows = recorded._prompts.conditions(prompts)
        condition = {
            k: torch.cat([row[k] for row in rows]).to(recorded.device, recorded.dtype)
            for k in rows[0]
        }
        time_step = float(recorded.grid.timesteps[step])
        spent += seconds(lambda x=x, t=time_step, c=condition: recorded.family.denoise(x, t, c))
    return spent


def bare_calls(process: PipelineProcess, sizes: Sequence[int], prompt: str) -> Callable[[], None]:
    """A function that makes passes of these sizes on fixed inputs."""
    condition = process.family.encode([prompt])
    inputs = {
        size: (
            torch.randn(size, *process.shape, device=process.device, dtype=process.dtype),
            {k: v.expand(size, *v.shape[1:]).contiguous() for k, v in condition.items()},
        )
        for size in set(sizes)
    }

    @torch.inference_mode()
    def run() -> None:
        for size in sizes:
            x, rows = inputs[size]
            process.family.denoise(x, 500.0, rows)

    return run


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
