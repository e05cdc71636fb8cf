"""Pictures that show where a distance comes from. Each says what it draws as a small protocol."""

from conjure.figures.comparison import comparison_figure
from conjure.figures.drift import drift_figure
from conjure.figures.matrix import matrix_figure
from conjure.figures.processes import processes_figure
from conjure.figures.style import save_figure

__all__ = [
    "comparison_figure",
    "drift_figure",
    "matrix_figure",
    "processes_figure",
    "save_figure",
]
