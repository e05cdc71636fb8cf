"""The methods of the table, a file each; their names are in :mod:`conjure.registry`."""

from conjure.baselines.base import GROUPS, Asked, Measured, Method, folder_name

__all__ = ["GROUPS", "Asked", "Measured", "Method", "folder_name"]
