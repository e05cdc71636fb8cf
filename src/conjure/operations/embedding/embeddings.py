"""Prompts in, vectors out, and what can be asked of them: distances, neighbours, reranking."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from conjure.checks import whole
from conjure.engine.network import Network
from conjure.engine.speed import find_pace
from conjure.errors import ConjureError, DamagedError
from conjure.io.brief import listed
from conjure.io.progress import progress_bar
from conjure.levels import Floats
from conjure.loading.load import default_process
from conjure.operations.arguments import check_arguments, check_texts
from conjure.operations.costs import Plan
from conjure.operations.embedding.landmarks import (
    Landmarks,
    draw_landmarks,
    estimand_weights,
    load_landmarks,
    save_landmarks,
)
from conjure.operations.embedding.projection import projection_error
from conjure.operations.embedding.rerank import rerank
from conjure.operations.embedding.saved import Saved, read, write
from conjure.operations.embedding.search import Neighbour, build_index, nearest_rows
from conjure.operations.embedding.vectors import embed_vectors
from conjure.operations.unread import check_distinct
from conjure.process.base import Process
from conjure.store.manifest import make_manifest, process_digest
from conjure.store.opening import open_run

MOST_PATHS, MOST_DIMENSIONS = 10_000, 1_000_000
"""More would fill the memory with landmarks, or with vectors, and tell nothing new."""


@dataclass(frozen=True)
class Embeddings:
    """One vector a prompt; made by ``conjure.embed``.

    Args:
        prompts: In the order of the rows.
        vectors: Shape ``(N, D)``, float32.
        landmarks: The states at which they were asked.
        manifest: What they depend on.
        calls: Network calls that were made.
        seconds: Wall time, without loading the model.
    """

    prompts: tuple[str, ...]
    vectors: np.ndarray = field(repr=False)
    landmarks: Landmarks = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    calls: int = 0
    seconds: float = 0.0

    def __repr__(self) -> str:
        return (
            f"<Embeddings {listed(self.prompts)}: {self.dimensions:,} dimensions, "
            f"{self.landmarks.count} landmarks, {self.manifest['model']}>"
        )

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def dimensions(self) -> int:
        """D."""
        return self.vectors.shape[1]

    @property
    def space(self) -> tuple[object, ...]:
        """What vectors must have in common to be compared."""
        chosen = self.manifest["embedding"]
        return (self.landmarks.origin, self.landmarks.seed, *chosen.values())

    @property
    def error(self) -> float:
        """Relative error that the projection adds to squared distances; 0 without one."""
        chosen = self.manifest["embedding"]["dimensions"]
        return 0.0 if chosen is None else projection_error(chosen)

    def distances(self, other: Embeddings | None = None) -> Floats:
        """Squared Euclidean distances between all rows, which estimate the divergence.

        Args:
            other: Columns; None for the same prompts.

        Returns:
            Shape ``(N, N′)``, float64.

        Raises:
            ConjureError: They are not at the same landmarks.
        """
        if other is not None and other.space != self.space:
            raise ConjureError(
                "These embeddings are not at the same landmarks: embed the one with the other's."
            )
        rows = self.vectors.astype(np.float64)
        columns = rows if other is None else other.vectors.astype(np.float64)
        squares = (rows**2).sum(1)[:, None] + (columns**2).sum(1)[None] - 2 * rows @ columns.T
        found = np.maximum(squares, 0)
        if other is None:
            np.fill_diagonal(found, 0)
        return found

    def embed(self, prompts: Sequence[str], *, process: Process) -> Embeddings:
        """Other prompts at the same landmarks, so that they can be compared with these.

        Args:
            prompts: New ones, or old.
            process: The process of these embeddings.

        Raises:
            ConjureError: It is another one, or a bad prompt.
        """
        chosen = self.manifest["embedding"]
        return embed(
            prompts, process=process, landmarks=self.landmarks, dimensions=chosen["dimensions"],
            estimand=chosen["estimand"],
        )  # fmt: skip

    def nearest(
        self, query: np.ndarray | Embeddings, count: int = 10, *, index: Any = None
    ) -> list[Neighbour]:
        """The prompts nearest to another one.

        Args:
            query: One embedding from ``embed``; or a vector, shape ``(D,)``: a row of these.
            count: At most how many.
            index: From ``index``, to search approximately in less time; None compares with all.

        Raises:
            ConjureError: The query is not one prompt at the same landmarks, or of another length.
        """
        if not isinstance(query, np.ndarray):
            if query.space != self.space or len(query) != 1:
                raise ConjureError(
                    "A query is one prompt at the same landmarks: found.embed([prompt], "
                    "process=process)."
                )
            vector = query.vectors[0]
        else:
            vector = query
        if vector.shape != (self.dimensions,):
            raise ConjureError(
                f"The query has shape {vector.shape}, and these embeddings have {self.dimensions} "
                "dimensions: embed it with the same landmarks and dimensions."
            )
        found = nearest_rows(self.vectors, vector, count, index)
        return [Neighbour(self.prompts[row], distance) for row, distance in found]

    def index(self, links: int = 32) -> Any:
        """An approximate index (faiss, hierarchical navigable small worlds) for large collections.

        Args:
            links: A row's neighbours in the graph; more are slower and find more.

        Raises:
            ConjureError: faiss is not installed.
        """
        return build_index(self.vectors, links)

    def rerank(
        self,
        query: str,
        candidates: Sequence[Neighbour],
        *,
        process: Process,
        samples: int = 16,
        announce: Callable[[Plan], None] | None = None,
        progress: bool = False,
    ) -> list[Neighbour]:
        """Order candidates by the exact estimand, each with its standard error.

        Args:
            query: A prompt.
            candidates: From ``nearest``.
            process: The process of these embeddings.
            samples: Monte Carlo samples a pair.
            announce: Called with what the run takes before it starts.
            progress: Show a bar on standard error.

        Raises:
            ConjureError: The process is not the one of these embeddings.
        """
        return rerank(
            query, candidates, process, self.manifest, samples=samples, announce=announce,
            progress=progress,
        )  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: vectors, landmarks, prompts and manifest.

        Raises:
            ConjureError: The ending is not .safetensors, or the folder does not exist.
        """
        write(path, Saved(self.prompts, self.vectors, self.landmarks, self.manifest))

    @staticmethod
    def load(path: str | Path) -> Embeddings:
        """Read what ``save`` wrote.

        Raises:
            ConjureError: There is no such file, or it is something else.
        """
        saved = read(path)
        return Embeddings(tuple(saved.prompts), saved.vectors, saved.landmarks, saved.manifest)


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
    announce: Callable[[Plan], None] | None = None,
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
        announce: Called with what the run takes before it starts.
        progress: Show a bar on standard error.

    Raises:
        ConjureError: A bad argument or prompt, or a run directory with other settings.

    Examples:
        >>> from conjure import Gaussian, GaussianProcess
        >>> names = ["", "a", "b"]
        >>> meanings = {n: Gaussian(i * np.ones(2), np.eye(2)) for i, n in enumerate(names)}
        >>> process = GaussianProcess.build(meanings)
        >>> found = embed(["a", "b"], process=process, dimensions=None)
        >>> found.vectors.shape  # 2 paths of 10 states in 2 dimensions
        (2, 40)
        >>> found.calls  # M + N·M
        60
    """
    process = process or default_process()
    paths, seed = _settled("paths", paths, 2, landmarks), _settled("seed", seed, 0, landmarks)
    names = _check_prompts(process, prompts)
    _, seed = check_arguments(process, 1, seed, estimand)
    paths = whole("paths", paths, 1, MOST_PATHS)
    dimensions = None if dimensions is None else whole("dimensions", dimensions, 2, MOST_DIMENSIONS)
    weights = estimand_weights(estimand, process.levels)
    started = time.perf_counter()
    chosen = {"paths": paths, "dimensions": dimensions, "estimand": estimand}
    manifest = make_manifest(process, seed, embedding=chosen)
    origin = process_digest(manifest)
    if landmarks is not None and landmarks.origin != origin:
        raise ConjureError(
            "These landmarks were drawn by another process: other weights, noise levels or "
            "settings. Load the process they belong to, or draw new ones (landmarks=None)."
        )
    with closing(open_run(out, manifest)) as run:
        kept = run.folder / "landmarks.safetensors"
        landmarks = landmarks or _kept(kept, (origin, seed, paths))
        distinct = list(dict.fromkeys(names))
        missing = [prompt for prompt in distinct if run.vector(prompt) is None]
        planned = paths * len(process.levels) * len(missing)
        planned += paths * len(process.visits) if landmarks is None else 0
        process.prepare([process.negative])
        network = Network(process)
        pace = find_pace(process, (names[0],), planned)
        if pace is not None:
            network.batch_size = pace.batch_size
        if announce is not None:
            seconds = None if pace is None else pace.seconds_per_call * planned
            announce(Plan(planned, seconds, network.batch_size))
        with progress_bar("Embedding", planned, shown=progress) as bar:
            network.on_calls = bar.advance
            if landmarks is None:
                landmarks = draw_landmarks(process, network, paths, seed, origin)
                save_landmarks(landmarks, kept)
            _check_shape(landmarks, process)
            landmarks = landmarks.placed(process)
            together = network.batch_size  # which shrinks where memory runs out
            if pace is not None:
                together = max(1, min(together, pace.calls_kept // (paths * len(process.levels))))
            for start in range(0, len(missing), together):
                some = missing[start : start + together]
                rows = embed_vectors(process, network, landmarks, weights, some, dimensions)
                run.add_vectors(some, rows)
        found: dict[str, Any] = {prompt: run.vector(prompt) for prompt in distinct}
    vectors = np.stack([found[prompt] for prompt in names])
    return Embeddings(
        tuple(names), vectors, landmarks, manifest, network.calls, time.perf_counter() - started
    )


def _settled(name: str, value: int | None, usual: int, landmarks: Landmarks | None) -> int:
    """An argument, or what the landmarks say, which must agree where both are there."""
    if landmarks is None:
        return usual if value is None else value
    theirs = getattr(landmarks, name)
    if value is not None and value != theirs:
        raise ConjureError(f"These landmarks have {name} {theirs}, not {value}: leave {name} out.")
    return theirs


def _check_prompts(process: Process, prompts: Sequence[str]) -> list[str]:
    """The prompts, where all are in order."""
    names = list(check_texts(process, prompts))
    if not names:
        raise ConjureError("There is no prompt to embed.")
    check_texts(process, [process.negative])
    check_distinct(process, list(dict.fromkeys(names)))
    return names


def _check_shape(landmarks: Landmarks, process: Process) -> None:
    """Landmarks may say that they are of a process, and be damaged."""
    found, wanted = tuple(landmarks.states.shape), (len(process.levels), *process.shape)
    if (found[0], *found[2:]) != wanted:
        raise DamagedError(
            f"The landmarks are damaged: their states have the shape {found}, which is not that of "
            "this process. Embed the prompts anew, into another file or folder."
        )


def _kept(path: Path, wanted: tuple[str, int, int]) -> Landmarks | None:
    """The landmarks of a run, if it has any with this origin, seed and number of paths.

    One that was killed before its first vector may have been begun with other settings.
    """
    if not path.is_file():
        return None
    there = load_landmarks(path)
    return there if (there.origin, there.seed, there.paths) == wanted else None
