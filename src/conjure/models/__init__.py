"""The models that ship with the package, and their names."""

from pathlib import Path

EMBEDDED = {"emoji": Path(__file__).parent / "emoji"}
"""A folder each, in the layout of diffusers' ``save_pretrained``."""
