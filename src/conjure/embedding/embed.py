"""Prompts in, vectors out: N·M network calls for N prompts at M landmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conjure.checks import check_arguments, check_prompt, check_texts, is_whole
from conjure.comparison import default_process
from conjure.embedding.embeddings import Embeddings
from conjure.embedding.landmarks import (
    Landmarks,
    differences,
    draw_landmarks,
    estimand_weights,
    load_landmarks,
    save_landmarks,
)
from conjure.embedding.projection import project
from conjure.engine import Network
from conjure.engine.speed import find_pace
from conjure.errors import ConjureError
from conjure.process.base import Process, scored_visits
from conjure.progress import progress_bar
from conjure.store import make_manifest, open_run
from conjure.store.manifest import process_digest


def embed(
    prompts: Sequence[str],
    *,
    process: Process | None = None,
    paths: int | None = None,
    dimensions: int | None = 1024,
    seed: int | None = None,
    estimand: str = "girsanov",
    landmarks: Landmarks | None = None,
    out: str | Path | None = None,
    announce: Callable[[int, float | None], None] | None = None,
    progress: bool = False,
) -> Embeddings:
    """One vector a prompt, whose squared Euclidean distances estimate the divergence.

    All prompts are asked at the same landmarks, the states of a few unconditional paths: the
    divergence under that reference measure in place of the pair's own paths. It is another
    estimand, and needs no paths of the prompts: N·M network calls for N prompts and M = P·T
    landmarks, and M more, once, for the landmarks. The negative prompt lies at the origin.

    Args:
        prompts: Any number; equal ones are asked once.
        process: From ``conjure.load``; None for the embedded model with its defaults.
        paths: P, the unconditional paths whose states are the landmarks; 2 unless given.
        dimensions: D, numbers in a vector, to which all M·state numbers are projected at random;
            squared distances then have a relative error of about √(2/D). None keeps them all.
        seed: Of the landmarks and the projection; 0 unless given.
        estimand: ``girsanov``, ``score``, ``epsilon`` or ``picture``.
        landmarks: Of earlier embeddings by the same process, to join them; they decide ``paths``
            and ``seed``.
        out: A run directory in which landmarks and finished vectors are kept, so that a killed run
            goes on.
        announce: Called before the work with the network calls it takes and, of a long run, the
            seconds that one was measured to take.
        progress: Show a bar on standard error.

    Raises:
        ConjureError: A bad argument or prompt, or a run directory with other settings.

    >>> from conjure import Gaussian, GaussianProcess
    >>> meanings = {n: Gaussian(i * np.ones(2), np.eye(2)) for i, n in enumerate(["", "a", "b"])}
    >>> process = GaussianProcess.build(meanings)
    >>> found = embed(["a", "b"], process=process, dimensions=None)
    >>> found.vectors.shape  # 2 paths of 10 states in 2 dimensions
    (2, 40)
    >>> found.calls  # M + N·M
    60
    """
    process = process or default_process()
    paths, seed = _settled("paths", paths, 2, landmarks), _settled("seed", seed, 0, landmarks)
    check_arguments(process, 1, seed, estimand)
    if not is_whole(paths, 1):
        raise ConjureError(f"paths is a whole number, at least 1, not {paths!r}.")
    if dimensions is not None and not is_whole(dimensions, 2):
        raise ConjureError(f"dimensions is a whole number, at least 2, not {dimensions!r}.")
    names = list(check_texts(process, prompts))
    if not names:
        raise ConjureError("There is no prompt to embed.")
    check_prompt(process, process.negative)
    weights = estimand_weights(estimand, process.levels)

    started = time.perf_counter()
    manifest = make_manifest(
        process, seed, embedding={"paths": paths, "dimensions": dimensions, "estimand": estimand}
    )
    origin = process_digest(manifest)
    if landmarks is not None and landmarks.origin != origin:
        raise ConjureError(
            "These landmarks were drawn by another process: other weights, noise levels or "
            "settings. Load the process they belong to, or draw new ones (landmarks=None)."
        )
    run = open_run(out, manifest)
    kept = run.folder / "landmarks.safetensors"
    if landmarks is None and kept.is_file():
        there = load_landmarks(kept)
        # A run that was killed before its first vector may have been begun with other settings.
        if (there.origin, there.seed, there.paths) == (origin, seed, paths):
            landmarks = there
    distinct = list(dict.fromkeys(names))
    missing = [prompt for prompt in distinct if run.vector(prompt) is None]
    steps = len(process.levels)
    planned = paths * steps * len(missing)
    planned += paths * len(process.visits) if landmarks is None else 0
    process.prepare([process.negative])
    network = Network(process)
    pace = find_pace(process, (names[0],), planned)
    if pace is not None:
        network.batch_size = pace.batch_size
    if announce is not None:
        announce(planned, None if pace is None else pace.seconds_per_call)
    with progress_bar("Embedding", planned, shown=progress) as bar:
        network.on_calls = bar.advance
        if landmarks is None:
            landmarks = draw_landmarks(process, network, paths, seed, origin)
            save_landmarks(landmarks, kept)
        landmarks = landmarks.placed(process)
        together = network.batch_size  # which shrinks where memory runs out
        for start in range(0, len(missing), together):
            some = missing[start : start + together]
            run.add_vectors(some, _vectors(process, network, landmarks, weights, some, dimensions))
    found: dict[str, Any] = {prompt: run.vector(prompt) for prompt in distinct}
    vectors = np.stack([found[prompt] for prompt in names])
    run.close()
    return Embeddings(
        tuple(names), vectors, landmarks, manifest, network.calls, time.perf_counter() - started
    )


def _settled(name: str, value: int | None, usual: int, landmarks: Landmarks | None) -> int:
    """An argument, or what the landmarks say, which must agree where both are there."""
    if landmarks is None:
        return usual if value is None else value
    said = getattr(landmarks, name)
    if value is not None and value != said:
        raise ConjureError(f"These landmarks have {name} {said}, not {value}: leave {name} out.")
    return said


def _vectors(
    process: Process,
    network: Network,
    landmarks: Landmarks,
    weights: tuple[np.ndarray, np.ndarray],
    prompts: Sequence[str],
    dimensions: int | None,
) -> np.ndarray:
    """Shape ``(N, D)``, float32: √weight · w · difference, over all landmarks."""
    process.prepare(dict.fromkeys(prompts))
    total = 0.0
    kept = []
    for step, visit in enumerate(scored_visits(process.visits)):
        said = differences(landmarks, network, step, visit, prompts)
        for kind, (part, weight) in enumerate(
            ((said.noise, weights[0][step]), (said.picture, weights[1][step]))
        ):
            if weight == 0:
                continue
            scale = process.guidance * (weight / landmarks.paths) ** 0.5
            rows = scale * part.reshape(len(prompts), -1)
            if dimensions is None:
                kept.append(rows)
            else:
                total = total + project(rows, dimensions, landmarks.seed, 2 * step + kind)
    whole = torch.cat(kept, 1) if dimensions is None else total
    assert isinstance(whole, torch.Tensor)
    return whole.float().cpu().numpy()
