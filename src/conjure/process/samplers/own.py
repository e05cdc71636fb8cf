"""The sampler that a model's pipeline comes with."""

from __future__ import annotations

from conjure.errors import ConjureError
from conjure.process.samplers.base import Sampler, SchedulerConfig

NAMES = {
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "EulerDiscreteScheduler": "euler",
    "EulerAncestralDiscreteScheduler": "euler-ancestral",
    "HeunDiscreteScheduler": "heun",
    "DPMSolverMultistepScheduler": "dpm++",
    "UniPCMultistepScheduler": "unipc",
    "PNDMScheduler": "pndm",
    "LCMScheduler": "lcm",
    "FlowMatchEulerDiscreteScheduler": "euler",
    "FlowMatchHeunDiscreteScheduler": "heun",
}
"""Our samplers by the class of diffusers' scheduler."""


def build(config: SchedulerConfig, eta: float | None) -> Sampler:
    """What the scheduler's class and options ask for; η is 0 unless given, as in diffusers.

    Raises:
        ConjureError: It is none of those that conjure runs.
    """
    from conjure.process.samplers import SAMPLERS

    kind = str(config.get("_class_name"))
    if kind not in NAMES:
        raise ConjureError(
            f"The pipeline's own sampler is diffusers' {kind}, which conjure does not run. Choose "
            f"another: {', '.join(name for name in SAMPLERS if name != 'own')}."
        )
    name = NAMES[kind]
    # diffusers' configurations keep the keys of other schedulers that they came from.
    algorithm = str(config.get("algorithm_type", "dpmsolver++"))
    if name == "pndm" and not config.get("skip_prk_steps"):
        raise ConjureError(
            "The pipeline's own sampler is PNDM with Runge–Kutta steps, which conjure does not "
            "run: choose pndm, which leaves them out, or another."
        )
    if name == "dpm++" and algorithm not in ("dpmsolver++", "sde-dpmsolver++"):
        raise ConjureError(
            f"The pipeline's own sampler is DPM-Solver by {algorithm!r}, of which conjure runs the "
            "++ forms: choose dpm++ or dpm++-sde."
        )
    if name == "dpm++" and algorithm.startswith("sde"):
        name = "dpm++-sde"
    if kind == "FlowMatchEulerDiscreteScheduler" and config.get("stochastic_sampling"):
        name = "flow-stochastic"
    if name == "ddim" and eta is None:
        eta = 0.0
    return SAMPLERS[name](config, eta)
