"""Sentences that several commands say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conjure.io.progress import duration

if TYPE_CHECKING:
    from conjure.operations.costs import Plan, Spent


def near_floor(floor: float) -> str:
    """What is to be known of a distance in half precision that is small."""
    return (
        f"below three times {floor:.3g}, which rounding in half precision adds by itself: use "
        "--dtype float32 for what is so close"
    )


def cost(plan: Plan) -> str:
    """What a run will take, said before it starts."""
    if plan.calls == 0:
        return "Nothing to compute: every sample is there."
    text = f"At most {plan.calls:,} network calls"
    if plan.seconds is not None:
        each = 1000 * plan.seconds / plan.calls
        text += (
            f", about {duration(plan.seconds)} ({each:.2g} ms a call in batches of "
            f"{plan.batch_size})"
        )
    if plan.samples < plan.wanted:
        text += f"; {plan.samples} samples a pair instead of {plan.wanted}, to keep to the budget"
    return text + "."


def took(plan: Plan) -> str:
    """`` , about 2 min`` where that was measured, to put behind a number of calls."""
    return "" if plan.seconds is None else f", about {duration(plan.seconds)}"


def spent(what: Spent) -> str:
    """What a run took, said at the end."""
    text = f"{what.calls:,} network calls"
    if what.rewalked:
        text += f"; {what.rewalked:,} paths were walked again"
    if what.imprecise:
        text += f"; {what.imprecise:,} pairs took all samples and are not within the tolerance"
    if what.unfinished:
        text += f"; {what.unfinished:,} pairs would have taken more, had --max-calls allowed it"
    return text + "."
