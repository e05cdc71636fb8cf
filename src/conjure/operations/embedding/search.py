"""The rows nearest to a vector: among all of them, or by a graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from conjure.errors import ConjureError

AT_ONCE = 4096
"""Rows that are compared with a query at a time."""


class Neighbour(NamedTuple):
    """A prompt that was found.

    Attributes:
        prompt: Which.
        distance: From the query: landmark distance, or the exact one after reranking.
        standard_error: Of the exact one; None before reranking.
    """

    prompt: str
    distance: float
    standard_error: float | None = None


def nearest_rows(
    vectors: np.ndarray, query: np.ndarray, count: int, index: Any = None
) -> list[tuple[int, float]]:
    """Numbers of the nearest rows and their squared distances, the nearest first.

    Args:
        vectors: Shape ``(N, D)``.
        query: Shape ``(D,)``.
        count: At most how many.
        index: From ``build_index``, to search approximately; None compares with all rows.
    """
    if index is not None:
        squares, rows = index.search(query[None].astype(np.float32), min(count, len(vectors)))
        return [(int(r), float(s)) for r, s in zip(rows[0], squares[0], strict=True) if r >= 0]
    parts = np.array_split(vectors, max(1, len(vectors) // AT_ONCE))
    gaps = np.concatenate([((p.astype(np.float64) - query) ** 2).sum(1) for p in parts])
    return [(int(r), float(gaps[r])) for r in np.argsort(gaps, kind="stable")[:count]]


def build_index(vectors: np.ndarray, links: int) -> Any:
    """An approximate index of rows (faiss, hierarchical navigable small worlds).

    Args:
        vectors: Shape ``(N, D)``, float32.
        links: A row's neighbours in the graph.

    Raises:
        ConjureError: faiss is not installed.
    """
    try:
        import faiss  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConjureError(
            "An approximate index needs faiss: pip install 'conjure[index]'."
        ) from error
    made = faiss.IndexHNSWFlat(vectors.shape[1], links)
    made.hnsw.efConstruction = made.hnsw.efSearch = 128
    made.add(np.ascontiguousarray(vectors))
    return made
