"""The reference pairs of a process, measured: what near and far are for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from conjure.loading.load import default_process
from conjure.operations.costs import Plan
from conjure.operations.pairs import compare_pairs
from conjure.operations.standing import PAIRS, Scale, keep_scale, kept_place, settings_of
from conjure.process.base import Process


def scale(
    process: Process | None = None,
    *,
    samples: int = 8,
    seed: int = 0,
    keep: bool = True,
    announce: Callable[[Plan], None] | None = None,
    progress: bool = False,
) -> Scale:
    """Measure the reference pairs of a process, once: ``compare`` then says near or far.

    Args:
        process: From ``conjure.load``; None for the embedded model with its defaults.
        samples: Of each pair.
        seed: Of the noise.
        keep: Whether to keep it for later, in ``CONJURE_CACHE`` or the user's cache.
        announce: Called with what it takes, before it starts.
        progress: Show a bar on standard error.

    Raises:
        ConjureError: As ``conjure.compare_pairs``.
    """
    process = default_process() if process is None else process
    run = compare_pairs(PAIRS, process=process, samples=samples, seed=seed, progress=progress)
    with closing(run):
        if announce is not None:
            announce(run.plan)
        found = list(run)
    distances = {
        name: [value.distance for result in found if (value := result.estimands[name]) is not None]
        for name, known in found[0].estimands.items()
        if known is not None
    }
    measured = Scale(
        process=settings_of(process), weights=process.fingerprint(), samples=samples, seed=seed,
        pairs=[list(pair) for pair in PAIRS], distances=distances,
    )  # fmt: skip
    if keep:
        keep_scale(measured, kept_place(process))
    return measured
