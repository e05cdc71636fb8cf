"""Processes that are another one in all but what they say otherwise, or two as one."""

from conjure.process.wrappers.between import Between
from conjure.process.wrappers.blind import Blind
from conjure.process.wrappers.nudged import Nudged

__all__ = ["Between", "Blind", "Nudged"]
