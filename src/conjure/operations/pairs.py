"""Many pairs of prompts: one plan, every network call made once, nothing lost."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Unpack

from conjure.checks import whole
from conjure.engine.jobs import Pair
from conjure.errors import ConjureError
from conjure.loading.load import default_process
from conjure.operations.arguments import CheckedPairs, check_arguments, is_repeatable
from conjure.operations.pair_run import PairRun
from conjure.operations.sampling import Sampling, SamplingOptions
from conjure.operations.windows import Listed, Windows
from conjure.process.base import Process
from conjure.signatures import shows
from conjure.store.manifest import make_manifest
from conjure.store.opening import open_run

WINDOW_JOBS, WINDOW_PAIRS = 2**14, 64
"""Samples, but at least pairs, that are planned together; their results wait in the run."""


@shows(Sampling)
def compare_pairs(
    pairs: Iterable[Pair],
    *,
    process: Process | None = None,
    ordered: bool = True,
    out: str | Path | None = None,
    window: int | None = None,
    progress: bool = False,
    **sampling: Unpack[SamplingOptions],
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
        ordered: Give results in the order of the input, a window after another; else each as soon
            as the last sample that it needs is there.
        out: A run directory, in which every finished sample is kept. A killed run goes on from
            there, and a longer one adds to it; other settings than those it was made with are
            refused.
        window: Pairs that are planned together; None for some thousand samples' worth.
        progress: Show a bar on standard error.

    Returns:
        An iterator of ``Comparison``, which also says what it costs.

    Raises:
        ConjureError: A bad argument or prompt, or a run directory with other settings.

    Examples:
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
    chosen = Sampling(**sampling)
    check_arguments(process, chosen.most, chosen.seed, chosen.estimand)
    if window is None:
        window = max(WINDOW_PAIRS, WINDOW_JOBS // chosen.most)
        if chosen.top is not None:  # a ranking is one of all pairs
            window = sys.maxsize
    elif chosen.top is not None:
        raise ConjureError("top ranks all pairs together: it takes no window.")
    else:
        window = whole("window", window)
    checked, foreseen = CheckedPairs(pairs), is_repeatable(pairs)
    if not foreseen and (chosen.max_calls is not None or chosen.top is not None):
        raise ConjureError("max_calls and top need to see all pairs first: give a list.")
    listed = Listed(checked if foreseen else iter(checked), window, foreseen)
    return run_windows(listed, process, chosen, out, in_order=ordered, progress=progress)


def run_windows(
    windows: Windows,
    process: Process,
    sampling: Sampling,
    out: str | Path | None,
    *,
    in_order: bool = True,
    progress: bool = False,
) -> PairRun:
    """A run over pairs in windows, whose arguments have been checked; see ``compare_pairs``.

    Raises:
        ConjureError: A prompt that the process cannot take, a budget that is too small, or a run
            directory with other settings.
    """
    more = {"noise": "antithetic"} if sampling.antithetic else {}
    run = open_run(out, make_manifest(process, sampling.seed, **more) if out is not None else {})
    try:
        return PairRun(windows, process, run, sampling, in_order=in_order, progress=progress)
    except BaseException:
        run.close()
        raise
