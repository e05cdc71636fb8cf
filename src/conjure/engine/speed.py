"""How fast a process's network runs, and at which batch size: found by measuring."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from conjure.engine import noise
from conjure.errors import ConjureError, is_out_of_memory
from conjure.process.base import Process

SIZES = (1, 4, 16, 32, 64, 128, 256, 512)
ENOUGH = 0.03
"""A larger batch must be faster by this much, since smaller ones need less memory."""


SINGLE_FROM, LONG = 100, 10.0
"""Calls from which one of them is timed, and seconds from which more is asked about a run."""

KEPT = 8.0
"""Seconds after which what was computed is to be on disk, at the measured pace."""

PROBED_FROM = 5000
"""Calls from which it is always worth knowing how long they will take."""

MEASURED_FROM = 40_000
"""Calls from which finding the best batch size, which takes one or two thousand, pays."""


@dataclass(frozen=True)
class Speed:
    """A measured rate.

    Args:
        batch_size: Rows of a pass at which it was reached.
        seconds_per_call: Of one row in such a pass.
        calls: Rows that measuring took.
    """

    batch_size: int
    seconds_per_call: float
    calls: int

    @property
    def calls_kept(self) -> int:
        """Calls after which to keep what was computed: a power of two, so that noise says little.

        >>> Speed(16, 0.01, 1).calls_kept, Speed(1, 100, 1).calls_kept
        (512, 1)
        """
        return 2 ** max(0, math.floor(math.log2(KEPT / self.seconds_per_call)))


def find_pace(process: Process, prompts: tuple[str, ...], planned: int) -> Speed | None:
    """How long a call takes; in long runs at the batch size, found by measuring, that is fastest.

    Args:
        process: Whose network.
        prompts: To ask under in turn.
        planned: Calls that the run will make.

    Returns:
        None for a run of few calls.
    """
    if planned < PROBED_FROM:
        if planned < SINGLE_FROM:
            return None
        one = measure_speed(process, prompts, sizes=(1,), repeats=1)
        if planned * one.seconds_per_call < LONG:
            return Speed(process.batch_size, one.seconds_per_call, one.calls)
    if process.tunable and planned >= MEASURED_FROM:
        # On a CPU larger passes than the usual gain little, and take memory that others want.
        powers = range(4 if process.device.type == "cpu" else 6)
        around = (process.batch_size * 2**power // 8 for power in powers)
        sizes = dict.fromkeys([1, *(size for size in around if size)])
        return measure_speed(process, prompts, sizes=tuple(sizes))
    # From one row upwards: where the usual batch does not fit, the run will halve it.
    # One pass is enough to say how long it will take.
    sizes = tuple({1: None, process.batch_size: None})
    found = measure_speed(process, prompts, sizes=sizes, repeats=1)
    return Speed(process.batch_size, found.seconds_per_call, found.calls)


def measure_speed(
    process: Process,
    prompts: tuple[str, ...],
    sizes: tuple[int, ...] = SIZES,
    repeats: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time passes of growing size on noise; stop where they no longer get faster per row.

    Not before the usual size has been tried: what else runs on a machine may slow a few passes.

    Args:
        process: Whose network.
        prompts: To ask under in turn; which does not matter, but of two processes as one: either
            is asked about its own.
        sizes: To try, growing.
        repeats: Passes a size, after one that is not counted; the fastest counts.
        clock: In seconds.

    Raises:
        ConjureError: Not even the smallest fits in memory.
    """
    best: Speed | None = None
    calls = 0
    worse = 0
    for size in sizes:
        x = process.prior(process.place(noise.batch(0, [0], 0, process.shape)))
        rows = x.expand(size, *x.shape[1:]).contiguous()
        times = []
        try:
            for _ in range(repeats + 1):
                _wait(x)
                started = clock()
                process.predict(rows, 0, (list(prompts) * size)[:size])
                _wait(x)
                times.append(clock() - started)
                calls += size
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
        each = min(times[1:]) / size
        if best is None or each < best.seconds_per_call * (1 - ENOUGH):
            best, worse = Speed(size, each, calls), 0
        else:
            worse += 1
        if worse >= 2 and size >= process.batch_size:
            break
    if best is None:
        raise ConjureError(
            "Memory ran out on a single network call. Use a smaller model, another device, or half "
            "precision (dtype='bfloat16')."
        )
    return Speed(best.batch_size, best.seconds_per_call, calls)


def _wait(x: torch.Tensor) -> None:
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
