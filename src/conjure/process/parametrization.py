"""From what a network puts out to ε̂ and x̂₀: the one place where prediction types differ."""

from __future__ import annotations

from torch import Tensor

from conjure.errors import ModelError
from conjure.process.prediction import Prediction

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample", "flow_prediction")


def network_input(prediction_type: str, x: Tensor, alpha: float, sigma: float) -> Tensor:
    """A state in the units in which a network was trained: a flow's (1 − s)x₀ + sε, or our own."""
    return x / (alpha + sigma) if prediction_type == "flow_prediction" else x


def to_prediction(
    prediction_type: str, output: Tensor, x: Tensor, alpha: float, sigma: float
) -> Prediction:
    """Convert a network's output at the state ``x = αx₀ + σε``, α² + σ² = 1.

    Args:
        prediction_type: ``epsilon`` (ε), ``v_prediction`` (v = αε − σx₀), ``sample`` (x₀) or
            ``flow_prediction`` (u = ε − x₀), as in diffusers.
        output: The network's output, of the shape of ``x``.
        x: The state it was asked at, in variance-preserving units.
        alpha: Signal scale there.
        sigma: Noise scale there.

    Raises:
        ModelError: An unknown type, or an ε-model asked where there is no signal, where x̂₀ does
            not follow from ε̂.
    """
    if prediction_type == "epsilon":
        if alpha == 0:
            raise ModelError(
                "The schedule starts at zero signal-to-noise, where a model that predicts the "
                "noise says nothing about the picture. Use a schedule without "
                "rescale_betas_zero_snr, or a v-prediction model."
            )
        return Prediction(output, (x - sigma * output) / alpha)
    if prediction_type == "v_prediction":
        return Prediction(alpha * output + sigma * x, alpha * x - sigma * output)
    if prediction_type == "flow_prediction":
        size = alpha + sigma
        return Prediction((x + alpha * output) / size, (x - sigma * output) / size)
    if prediction_type == "sample":
        return Prediction((x - alpha * output) / sigma, output)
    raise ModelError(
        f"The model's prediction type is {prediction_type!r}; known are "
        f"{', '.join(PREDICTION_TYPES)}."
    )
