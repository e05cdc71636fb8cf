"""Pictures that show where a distance comes from."""

from conjure.explain.figure import comparison_figure, save_figure

__all__ = ["comparison_figure", "save_figure"]
