"""Sentences that several commands say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conjure.operations.pair_run import PairRun


def near_floor(floor: float) -> str:
    """What is to be known of a distance in half precision that is small."""
    return (
        f"below three times {floor:.3g}, which rounding in half precision adds by itself: use "
        "--dtype float32 for what is so close"
    )


def cost(run: PairRun, asked: int) -> str:
    """What a run will take, said before it starts."""
    from conjure.cli.console import duration

    if run.planned == 0:
        return "Nothing to compute: every sample is there."
    said = f"At most {run.planned:,} network calls"
    if run.seconds_per_call is not None:
        each = 1000 * run.seconds_per_call
        said += (
            f", about {duration(run.planned * run.seconds_per_call)} ({each:.2g} ms a call in "
            f"batches of {run.batch_size})"
        )
    if run.samples < asked:
        said += f"; {run.samples} samples a pair instead of {asked}, to keep to the budget"
    return said + "."


def spent(run: PairRun) -> str:
    """What it took, said at the end."""
    said = f"{run.calls:,} network calls"
    if run.rewalked:
        said += f"; {run.rewalked:,} paths were walked again"
    if run.imprecise:
        said += f"; {run.imprecise:,} pairs took all samples and are not within the tolerance"
    if run.unfinished:
        said += f"; {run.unfinished:,} pairs would have taken more, had --max-calls allowed it"
    return said + "."
