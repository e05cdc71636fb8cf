"""Visually grounded semantic similarity: how far apart two texts are, by what they conjure.

>>> import conjure
>>> result = conjure.compare("snow leopard", "bengal tiger", samples=1)  # doctest: +SKIP
>>> result.distance  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conjure.comparison import Comparison, compare
    from conjure.divergence import Estimate
    from conjure.drifting import Drift, drift
    from conjure.embedding import Embeddings, embed
    from conjure.errors import ConjureError
    from conjure.loading import load
    from conjure.matrices import Matrix, matrix
    from conjure.pairs import PairRun, compare_pairs
    from conjure.process import Gaussian, GaussianProcess, Process
    from conjure.processes import Processes, compare_processes
    from conjure.registry import ESTIMANDS, METHODS, SAMPLERS
    from conjure.relative import Relative, relative_pairs

__version__ = "0.1.0"

# Looked up when first used, so that `conjure --help` does not wait for torch.
_PUBLIC = {
    "Comparison": "conjure.comparison",
    "ConjureError": "conjure.errors",
    "Drift": "conjure.drifting",
    "ESTIMANDS": "conjure.registry",
    "Embeddings": "conjure.embedding",
    "Estimate": "conjure.divergence",
    "Gaussian": "conjure.process",
    "GaussianProcess": "conjure.process",
    "METHODS": "conjure.registry",
    "Matrix": "conjure.matrices",
    "PairRun": "conjure.pairs",
    "Process": "conjure.process",
    "Processes": "conjure.processes",
    "Relative": "conjure.relative",
    "SAMPLERS": "conjure.registry",
    "compare": "conjure.comparison",
    "compare_pairs": "conjure.pairs",
    "compare_processes": "conjure.processes",
    "drift": "conjure.drifting",
    "embed": "conjure.embedding",
    "load": "conjure.loading",
    "matrix": "conjure.matrices",
    "relative_pairs": "conjure.relative",
}

__all__ = [
    "ESTIMANDS",
    "METHODS",
    "SAMPLERS",
    "Comparison",
    "ConjureError",
    "Drift",
    "Embeddings",
    "Estimate",
    "Gaussian",
    "GaussianProcess",
    "Matrix",
    "PairRun",
    "Process",
    "Processes",
    "Relative",
    "compare",
    "compare_pairs",
    "compare_processes",
    "drift",
    "embed",
    "load",
    "matrix",
    "relative_pairs",
]


_MODULES = ("baselines", "drifting", "evaluate", "loading", "mteb", "oracle", "registry", "store")


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return import_module(f"conjure.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_PUBLIC) | set(_MODULES))
