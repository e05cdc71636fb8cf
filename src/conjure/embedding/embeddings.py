"""Vectors of prompts: distances, neighbours, an index, and reranking with the exact estimand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from conjure.embedding.landmarks import Landmarks
from conjure.embedding.projection import projection_error
from conjure.errors import ConjureError
from conjure.files import check_embeddings_path, written_whole
from conjure.levels import Floats
from conjure.process.base import Process
from conjure.store.manifest import process_digest

if TYPE_CHECKING:
    from conjure.pairs import PairRun


class Neighbour(NamedTuple):
    """A prompt that was found.

    Args:
        prompt: Which.
        distance: From the query: landmark distance, or the exact one after reranking.
        standard_error: Of the exact one; None before reranking.
    """

    prompt: str
    distance: float
    standard_error: float | None = None


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
        from conjure.embedding.embed import embed

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
        if index is not None:
            squares, rows = index.search(vector[None].astype(np.float32), min(count, len(self)))
            found = [(int(r), float(s)) for r, s in zip(rows[0], squares[0], strict=True) if r >= 0]
        else:
            parts = np.array_split(self.vectors, max(1, len(self) // 4096))
            gaps = np.concatenate([((p.astype(np.float64) - vector) ** 2).sum(1) for p in parts])
            found = [(int(r), float(gaps[r])) for r in np.argsort(gaps, kind="stable")[:count]]
        return [Neighbour(self.prompts[row], distance) for row, distance in found]

    def index(self, links: int = 32) -> Any:
        """An approximate index (faiss, hierarchical navigable small worlds) for large collections.

        Args:
            links: A row's neighbours in the graph; more are slower and find more.

        Raises:
            ConjureError: faiss is not installed.
        """
        try:
            import faiss  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConjureError(
                "An approximate index needs faiss: pip install 'conjure[index]'."
            ) from error
        made = faiss.IndexHNSWFlat(self.dimensions, links)
        made.hnsw.efConstruction = made.hnsw.efSearch = 128
        made.add(np.ascontiguousarray(self.vectors))
        return made

    def rerank(
        self,
        query: str,
        candidates: Sequence[Neighbour],
        *,
        process: Process,
        samples: int = 16,
        announce: Callable[[PairRun], None] | None = None,
        progress: bool = False,
    ) -> list[Neighbour]:
        """Order candidates by the exact estimand, each with its standard error.

        Args:
            query: A prompt.
            candidates: From ``nearest``.
            process: The process of these embeddings.
            samples: Monte Carlo samples a pair.
            announce: Called with the run before it starts, when its cost is known.
            progress: Show a bar on standard error.

        Raises:
            ConjureError: The process is not the one of these embeddings.
        """
        from conjure.pairs import compare_pairs
        from conjure.store import make_manifest
        from conjure.store.manifest import differences, process_digest

        here = json.loads(json.dumps(make_manifest(process, self.manifest["seed"])))
        if process_digest(here) != process_digest(self.manifest):
            names = ("weights", "process", "levels")
            there, now = ({name: m[name] for name in names} for m in (self.manifest, here))
            lines = "\n  ".join(differences(there, now))
            raise ConjureError(f"This is not the process that was embedded:\n  {lines}")
        results = compare_pairs(
            [(query, candidate.prompt) for candidate in candidates],
            process=process, samples=samples, seed=self.manifest["seed"],
            estimand=self.manifest["embedding"]["estimand"], progress=progress,
        )  # fmt: skip
        if announce is not None:
            announce(results)
        found = [Neighbour(r.prompts[1], r.distance, r.standard_error) for r in results]
        return sorted(found, key=lambda n: n.distance)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: vectors, landmarks, prompts and manifest.

        Raises:
            ConjureError: The ending is not .safetensors, or the folder does not exist.
        """
        from safetensors.torch import save_file

        target = check_embeddings_path(path)
        listed = bytearray(json.dumps(self.prompts), "utf-8")
        tensors = {
            "vectors": torch.from_numpy(np.ascontiguousarray(self.vectors)),
            # As a tensor: a safetensors header holds no more than 100 MB.
            "prompts": torch.frombuffer(listed, dtype=torch.uint8),
            **{f"landmarks.{name}": part for name, part in self.landmarks.tensors().items()},
        }
        about = {"manifest": json.dumps(self.manifest)}
        with written_whole(target) as draft:
            save_file(tensors, draft, metadata=about)

    @staticmethod
    def load(path: str | Path) -> Embeddings:
        """Read what ``save`` wrote.

        Raises:
            ConjureError: There is no such file, or it is something else.
        """
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise ConjureError(f"There is no file {str(path)!r}.")
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                manifest = json.loads(about["manifest"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                marks = [tensors[f"landmarks.{n}"] for n in ("states", "noise", "picture")]
                prompts = json.loads(tensors["prompts"].numpy().tobytes())
                vectors = tensors["vectors"].numpy()
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ConjureError(f"{str(path)!r} does not hold embeddings: {error}") from error
        landmarks = Landmarks(*marks, seed=manifest["seed"], origin=process_digest(manifest))
        return Embeddings(tuple(prompts), vectors, landmarks, manifest)
