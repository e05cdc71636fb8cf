"""Visually grounded semantic similarity: how far apart two texts are, by what they conjure.

>>> import conjure
>>> result = conjure.compare("snow leopard", "bengal tiger", samples=1)  # doctest: +SKIP
>>> result.distance  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conjure.divergence import ESTIMANDS
    from conjure.divergence.estimate import Estimate
    from conjure.errors import ConjureError
    from conjure.loading.load import load, vary
    from conjure.methods import METHODS
    from conjure.operations.compare import Comparison, compare
    from conjure.operations.drift import Drift, compare_by_matrices, drift
    from conjure.operations.embedding import Embeddings, embed
    from conjure.operations.matrix import Matrix, matrix
    from conjure.operations.pair_run import PairRun
    from conjure.operations.pairs import compare_pairs
    from conjure.operations.processes import Processes, compare_processes
    from conjure.operations.relative import Relative, relative, relative_pairs
    from conjure.operations.scale import scale
    from conjure.process.base import Process
    from conjure.process.families import FAMILIES
    from conjure.process.gaussian import Gaussian, GaussianProcess
    from conjure.process.samplers import SAMPLERS

__version__ = "0.1.0"

# Looked up when first used, so that `conjure --help` does not wait for torch.
_PUBLIC = {
    "Comparison": "conjure.operations.compare",
    "ConjureError": "conjure.errors",
    "Drift": "conjure.operations.drift",
    "ESTIMANDS": "conjure.divergence",
    "Embeddings": "conjure.operations.embedding",
    "Estimate": "conjure.divergence.estimate",
    "FAMILIES": "conjure.process.families",
    "Gaussian": "conjure.process.gaussian",
    "GaussianProcess": "conjure.process.gaussian",
    "METHODS": "conjure.methods",
    "Matrix": "conjure.operations.matrix",
    "PairRun": "conjure.operations.pair_run",
    "Process": "conjure.process.base",
    "Processes": "conjure.operations.processes",
    "Relative": "conjure.operations.relative",
    "SAMPLERS": "conjure.process.samplers",
    "compare": "conjure.operations.compare",
    "compare_by_matrices": "conjure.operations.drift",
    "compare_pairs": "conjure.operations.pairs",
    "compare_processes": "conjure.operations.processes",
    "drift": "conjure.operations.drift",
    "embed": "conjure.operations.embedding",
    "load": "conjure.loading.load",
    "matrix": "conjure.operations.matrix",
    "relative": "conjure.operations.relative",
    "relative_pairs": "conjure.operations.relative",
    "scale": "conjure.operations.scale",
    "vary": "conjure.loading.load",
}

__all__ = [
    "ESTIMANDS",
    "FAMILIES",
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
    "compare_by_matrices",
    "compare_pairs",
    "compare_processes",
    "drift",
    "embed",
    "load",
    "matrix",
    "relative",
    "relative_pairs",
    "scale",
    "vary",
]

_MODULES = {
    "drifting": "conjure.operations.drift",
    "evaluate": "conjure.evaluate",
    "loading": "conjure.loading",
    "methods": "conjure.methods",
    "mteb": "conjure.mteb",
    "oracle": "conjure.engine.oracle",
    "registry": "conjure.registry",
    "store": "conjure.store",
}
"""Rooms that are reached by their names, without an import of their own."""


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_PUBLIC) | set(_MODULES))
