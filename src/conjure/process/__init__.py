"""What has meaning: generative processes, their samplers and their models."""

from conjure.process.base import Prediction, Process, Transition, guide
from conjure.process.gaussian import Gaussian, GaussianProcess

__all__ = [
    "Gaussian",
    "GaussianProcess",
    "Prediction",
    "Process",
    "Transition",
    "guide",
]
