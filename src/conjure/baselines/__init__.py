"""The methods of the table, a file each; their names are in ``conjure.registry``."""

from conjure.baselines.base import Asked, Measured, Method, folder_name, host, place_of

__all__ = ["Asked", "Measured", "Method", "folder_name", "host", "place_of"]
