"""Landmarks: fixed noisy states at which all prompts are asked, drawn once for a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from conjure.divergence import ESTIMANDS
from conjure.divergence.base import FIELDS, Squares
from conjure.engine import noise
from conjure.engine.network import Network
from conjure.errors import DamagedError, EstimandUnavailableError
from conjure.io.files import written_whole
from conjure.levels import Floats, NoiseLevels
from conjure.process.base import Process
from conjure.process.prediction import Prediction, scored_visits


@dataclass(frozen=True)
class Landmarks:
    """The states of a few unconditional paths, and what the network says there with no prompt.

    Args:
        states: Shape ``(T, P, *state)``: scored state, path; float64.
        noise: ε̂ under the negative prompt there, same shape.
        picture: x̂₀ likewise.
        seed: Of the paths' noise.
        origin: A hash of the process that walked them, see
            ``conjure.store.manifest.process_digest``.
    """

    states: Tensor = field(repr=False)
    noise: Tensor = field(repr=False)
    picture: Tensor = field(repr=False)
    seed: int
    origin: str

    @property
    def count(self) -> int:
        """M, how many landmarks there are."""
        return self.states.shape[0] * self.states.shape[1]

    @property
    def paths(self) -> int:
        """P, the paths they lie on."""
        return self.states.shape[1]

    def tensors(self) -> dict[str, Tensor]:
        """Their numbers by name, on the CPU."""
        named = {"states": self.states, "noise": self.noise, "picture": self.picture}
        return {name: part.cpu().contiguous() for name, part in named.items()}

    def placed(self, process: Process) -> Landmarks:
        """These landmarks, where the process keeps its states."""
        parts = (process.place(part) for part in (self.states, self.noise, self.picture))
        return Landmarks(*parts, seed=self.seed, origin=self.origin)


def draw_landmarks(
    process: Process, network: Network, paths: int, seed: int, origin: str
) -> Landmarks:
    """Walk some unconditional paths and keep every scored state: M = P·T network calls.

    The negative prompt (by default the empty one) leads the way, without guidance. The noise is
    that of samples 0, 1, … of the seed.
    """

    def drawn(step: int) -> Tensor:
        return process.place(noise.batch(seed, range(paths), step, process.shape))

    x, memory = process.prior(drawn(0)), None
    states, predictions = [], []
    scored = scored_visits(process.visits)
    for i in range(len(process.visits)):
        prediction = network.predict(x, i, [process.negative] * paths)
        if i in scored:
            states.append(x)
            predictions.append(prediction)
        if i + 1 < len(process.visits):
            move = process.transition(x, i, prediction, memory)
            memory = move.memory
            x = move.draw(drawn(i + 1))
    noises, pictures = ([getattr(p, name) for p in predictions] for name in ("noise", "picture"))
    parts = (torch.stack(part) for part in (states, noises, pictures))
    return Landmarks(*parts, seed=seed, origin=origin)


def save_landmarks(landmarks: Landmarks, path: Path) -> None:
    """Write them as safetensors, whole or not at all."""
    about = {"seed": str(landmarks.seed), "origin": landmarks.origin}
    with written_whole(path) as draft:
        save_file(landmarks.tensors(), draft, metadata=about)


PARTS = ("states", "noise", "picture")
"""Names of their tensors."""


def check_parts(parts: Sequence[Tensor]) -> None:
    """Refuse tensors that are no landmarks: the states, ε̂ and x̂₀.

    Raises:
        ValueError: With what is wrong.
    """
    shape = parts[0].shape
    for name, part in zip(PARTS, parts, strict=True):
        if part.ndim < 3 or part.shape != shape or not part.numel():
            raise ValueError(f"{name} has the shape {tuple(part.shape)}")
        if part.dtype not in (torch.float32, torch.float64) or not part.isfinite().all():
            raise ValueError(f"{name} holds what is no number")


def load_landmarks(path: Path) -> Landmarks:
    """Read what ``save_landmarks`` wrote.

    Raises:
        DamagedError: It is not what was written.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            parts = [file.get_tensor(name) for name in PARTS]
        check_parts(parts)
        return Landmarks(*parts, seed=int(about["seed"]), origin=about["origin"])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DamagedError(
            f"The landmarks in {str(path)!r} are damaged ({error}). Embeddings of other landmarks "
            "cannot be compared with those that are there: take another folder."
        ) from error


def estimand_weights(name: str, levels: NoiseLevels) -> tuple[Floats, Floats]:
    """How an estimand weighs ‖Δε̂‖² and ‖Δx̂₀‖² at each state, each of shape ``(T,)``.

    Found by giving it one unit at a time: estimands are linear in the squares.

    Raises:
        EstimandUnavailableError: It needs more than two predictions at one state: the sampler's
            own step, or predictions at different states.
    """
    steps = len(levels)

    def weight(**ones: float) -> Floats:
        parts = {key: np.full((1, 2, steps), ones.get(key, 0.0)) for key in FIELDS}
        return ESTIMANDS[name].terms(Squares(**parts), levels)[0, 0]

    if np.any(weight(step=1.0)) or np.any(weight(printed=1.0)):
        raise EstimandUnavailableError(
            f"{name} is no weighted sum of differences at fixed states, so that no embedding can "
            "stand for it. Use girsanov, score, epsilon or picture."
        )
    return weight(noise=1.0), weight(picture=1.0)


def check_landmark_form(name: str) -> None:
    """Refuse an estimand that no embedding can stand for, before any work.

    Raises:
        EstimandUnavailableError: See ``estimand_weights``.
    """
    estimand_weights(name, NoiseLevels.from_log_snr(np.array([-1.0, 0.0, 1.0])))


def differences(
    landmarks: Landmarks, network: Network, step: int, visit: int, prompts: Sequence[str]
) -> Prediction:
    """ε̂(x|y) − ε̂(x|∅), and so for x̂₀, at the landmarks of one state, one prompt after another.

    Args:
        landmarks: Of the process.
        network: Its counted network.
        step: Which state.
        visit: At which visit it is scored.
        prompts: To ask under.

    Returns:
        Rows of all paths for each prompt, ``(N·P, *state)``. Guidance is left out: it scales them.
    """
    count, shape = landmarks.paths, landmarks.states.shape[2:]
    x = landmarks.states[step].repeat(len(prompts), *(1 for _ in shape))
    rows = [prompt for prompt in prompts for _ in range(count)]
    prediction = network.predict(x, visit, rows)
    repeats = (len(prompts), *(1 for _ in shape))
    return Prediction(
        prediction.noise - landmarks.noise[step].repeat(*repeats),
        prediction.picture - landmarks.picture[step].repeat(*repeats),
    )
