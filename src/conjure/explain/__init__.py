"""Pictures that show where a distance comes from."""

from conjure.explain.drift import drift_figure
from conjure.explain.figure import comparison_figure, save_figure
from conjure.explain.heatmap import matrix_figure
from conjure.explain.processes import processes_figure

__all__ = [
    "comparison_figure",
    "drift_figure",
    "matrix_figure",
    "processes_figure",
    "save_figure",
]
