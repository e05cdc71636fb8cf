"""Which pipelines can be run: one architecture family a file."""

from conjure.process.families.base import Condition, Family, Source

__all__ = ["Condition", "Family", "Source"]
