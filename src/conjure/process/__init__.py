"""What has meaning: generative processes, their samplers, their models, and processes round them.

Imports nothing at start, so that ``--help`` need not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conjure.registry import imported_when_used

if TYPE_CHECKING:
    from conjure.process.base import Process
    from conjure.process.gaussian import Gaussian, GaussianProcess
    from conjure.process.prediction import Prediction, Transition, guide

__all__ = ["Gaussian", "GaussianProcess", "Prediction", "Process", "Transition", "guide"]

__getattr__ = imported_when_used(
    __name__,
    {
        "Gaussian": "conjure.process.gaussian",
        "GaussianProcess": "conjure.process.gaussian",
        "Prediction": "conjure.process.prediction",
        "Process": "conjure.process.base",
        "Transition": "conjure.process.prediction",
        "guide": "conjure.process.prediction",
    },
)
