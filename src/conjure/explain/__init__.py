"""Pictures that show where a distance comes from."""

from conjure.explain.figure import comparison_figure, save_figure
from conjure.explain.heatmap import matrix_figure

__all__ = ["comparison_figure", "matrix_figure", "save_figure"]
