"""Many pairs of prompts: one plan, every network call made once, nothing lost."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from conjure.checks import is_whole
from conjure.engine.jobs import Pair
from conjure.errors import ConjureError
from conjure.loading.load import default_process
from conjure.operations.arguments import CheckedPairs, check_arguments, check_prompts, is_repeatable
from conjure.operations.budget import make_budget
from conjure.operations.pair_run import PairRun
from conjure.process.base import Process
from conjure.store.manifest import make_manifest
from conjure.store.run import open_run

WINDOW_JOBS, WINDOW_PAIRS = 2**14, 64
"""Samples, but at least pairs, that are planned together; their results wait in the run."""


def compare_pairs(
    pairs: Iterable[Pair],
    *,
    process: Process | None = None,
    samples: int | None = None,
    seed: int = 0,
    estimand: str = "girsanov",
    antithetic: bool = False,
    ordered: bool = True,
    tolerance: float | None = None,
    top: int | None = None,
    first_round: int | None = None,
    max_calls: int | None = None,
    out: str | Path | None = None,
    window: int | None = None,
    progress: bool = False,
) -> PairRun:
    """Compare many pairs of prompts, making every network call once.

    Prompts that occur in several pairs walk one path, pairs that occur twice (either way round) are
    computed once, and passes are filled across the borders of pairs. Each result equals that of
    ``conjure.compare`` on the pair alone, up to the rounding of the network's arithmetic at
    another batch size (about 1e-6 of the distance in float32).

    Args:
        pairs: Of prompts. What can be read twice (a list) is checked whole before any work, and its
            cost is known; a stream is read in windows, however long it is.
        process: From ``conjure.load``; None for the embedded model with its defaults.
        samples: Monte Carlo samples a pair, at most; None for 16, or with a tolerance 256.
        seed: Of the noise, which all pairs share.
        estimand: Reported first, and the one whose error ``tolerance`` is about.
        antithetic: Draw samples in pairs of opposite noise, see ``conjure.compare``.
        ordered: Give results in the order of the input, a window after another; else each as soon
            as the last sample that it needs is there.
        tolerance: Stop sampling a pair where its standard error is at most this times its distance.
        top: Spend samples on the nearest so many pairs: after each round, the further half of those
            still in the running stops (successive halving), until ``top`` are left. All pairs are
            planned together then. A pair that left on few samples may look nearer than one that
            stayed: rank by samples first, the most before fewer, and then by distance.
        first_round: Samples before either is looked at; they double from there. By default 12 with
            a tolerance (24 antithetic ones), since stopping early on fewer makes intervals lie, and
            2 with ``top``.
        max_calls: Network calls that this run may make: fewer samples are taken to keep to it. With
            a tolerance, pairs that come first spend what is left over first. One that goes on from
            another has its own; measuring the speed, and paths that must be walked again because
            the cache was full, come on top, and so does the floor of half precision.
        out: A run directory, in which every finished sample is kept. A killed run goes on from
            there, and a longer one adds to it; other settings than those it was made with are
            refused.
        window: Pairs that are planned together; None for some thousand samples' worth.
        progress: Show a bar on standard error.

    Returns:
        An iterator of ``Comparison``, which also says what it costs.

    Raises:
        ConjureError: A bad argument or prompt, or a run directory with other settings.

    >>> import numpy as np
    >>> from conjure import Gaussian, GaussianProcess
    >>> meanings = {name: Gaussian(n * np.ones(2), np.eye(2)) for n, name in enumerate("abc")}
    >>> process = GaussianProcess.build(meanings)
    >>> run = compare_pairs([("a", "b"), ("b", "c"), ("b", "a")], process=process, samples=4)
    >>> [result.prompts for result in run]
    [('a', 'b'), ('b', 'c'), ('b', 'a')]
    >>> run.calls  # three paths of 10 states, two pairs crossed at 9, four samples
    264
    """
    if process is None:
        process = default_process()
    budget = make_budget(samples, tolerance, top, first_round, max_calls, antithetic=antithetic)
    check_arguments(process, budget.samples, seed, estimand)
    if window is None:
        window = max(WINDOW_PAIRS, WINDOW_JOBS // budget.samples)
        if top is not None:  # a ranking is one of all pairs
            window = sys.maxsize
    elif not is_whole(window, 1):
        raise ConjureError(f"window is a whole number, at least 1, not {window!r}.")
    elif top is not None:
        raise ConjureError("top ranks all pairs together: it takes no window.")
    checked = CheckedPairs(pairs)
    if is_repeatable(pairs):
        check_prompts(process, checked)
    elif max_calls is not None or top is not None:
        raise ConjureError("max_calls and top need to see all pairs first: give a list.")
    more = {"noise": "antithetic"} if antithetic else {}
    run = open_run(out, make_manifest(process, seed, **more) if out is not None else {})
    try:
        return PairRun(
            checked if is_repeatable(pairs) else iter(checked), process, run, budget, seed=seed,
            antithetic=antithetic, estimand=estimand, in_order=ordered, window=window,
            progress=progress,
        )  # fmt: skip
    except BaseException:
        run.close()
        raise
