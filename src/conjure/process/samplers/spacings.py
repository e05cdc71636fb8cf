"""How a path's steps are spaced, by name."""

TIMESTEP_SPACINGS = ("leading", "trailing", "linspace")
"""Of the timesteps that a model was trained on."""

LEVEL_SPACINGS = {
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}
"""Of the noise levels, by the switch of diffusers' configurations that turns them on."""

SPACINGS = (*TIMESTEP_SPACINGS, *LEVEL_SPACINGS)

LCM_SPACING = "lcm has a spacing of its own, that of its distillation: leave it out."
"""Why a consistency model takes no other: its steps are those that it was distilled on."""
