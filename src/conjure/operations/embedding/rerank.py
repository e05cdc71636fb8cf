"""Candidates of a search, ordered by the exact estimand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conjure.errors import ConjureError
from conjure.operations.costs import Plan
from conjure.operations.embedding.search import Neighbour
from conjure.operations.pairs import compare_pairs
from conjure.process.base import Process
from conjure.store.manifest import differences, identity, make_manifest, process_digest


def rerank(
    query: str,
    candidates: Sequence[Neighbour],
    process: Process,
    manifest: Mapping[str, Any],
    *,
    samples: int,
    announce: Callable[[Plan], None] | None = None,
    progress: bool = False,
) -> list[Neighbour]:
    """The nearest first by the exact estimand, each with its standard error.

    Args:
        query: A prompt.
        candidates: Prompts that were embedded.
        process: The process that embedded them.
        manifest: Theirs, which says what process that was.
        samples: Monte Carlo samples a pair.
        announce: Called with what the run takes before it starts.
        progress: Show a bar on standard error.

    Raises:
        ConjureError: It was another process.
    """
    here = json.loads(json.dumps(make_manifest(process, manifest["seed"])))
    if process_digest(here) != process_digest(manifest):
        names = ("weights", "process", "levels")
        there, now = (identity({name: m[name] for name in names}) for m in (manifest, here))
        lines = "\n  ".join(differences(there, now))
        raise ConjureError(f"This is not the process that was embedded:\n  {lines}")
    run = compare_pairs(
        [(query, candidate.prompt) for candidate in candidates],
        process=process, samples=samples, seed=manifest["seed"],
        estimand=manifest["embedding"]["estimand"], progress=progress,
    )  # fmt: skip
    if announce is not None:
        announce(run.plan)
    found = [Neighbour(r.prompts[1], r.distance, r.standard_error) for r in run]
    return sorted(found, key=lambda neighbour: neighbour.distance)
