"""From a run's squares to every estimand, and the floor of half precision."""

from __future__ import annotations

from conjure.divergence import ESTIMANDS
from conjure.divergence.base import Squares
from conjure.divergence.estimate import Estimate, estimate
from conjure.engine.jobs import Job
from conjure.operations.arguments import why_unavailable
from conjure.process.base import Process
from conjure.process.wrappers.nudged import Beside


def nudged_job(prompt: str) -> Job:
    """The sample from which the floor of half precision is known: 4T − 2 calls, guided 6T − 3."""
    return Job(prompt, Beside(prompt), 0)


def floor_of(process: Process, squares: Squares) -> dict[str, float]:
    """The floor by estimand, from the squares of ``nudged_job``."""
    found = estimate_all(process, squares)
    return {name: value.distance for name, value in found.items() if value is not None}


def estimate_all(
    process: Process, squares: Squares, replicate: int = 1
) -> dict[str, Estimate | None]:
    """Every estimand by name, from the same squares; None where the process has none."""
    return {
        name: estimate(
            chosen, squares, process.levels, kl=chosen.is_kl(process), replicate=replicate
        )
        if why_unavailable(process, name) is None
        else None
        for name, chosen in ESTIMANDS.items()
    }
