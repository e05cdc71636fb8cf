"""One pair of prompts: both paths from shared noise, both predictions at every state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from conjure.divergence import Squares
from conjure.engine import noise
from conjure.engine.network import Network
from conjure.levels import Floats
from conjure.process.base import Memory, Prediction, Process, Transition, guide


@dataclass(frozen=True)
class Trace:
    """The paths of one sample, for looking at.

    Args:
        sample: Which.
        states: Shape ``(2, T, *state)``: path, scored state; float32.
        pictures: x̂₀ of that state under either prompt, shape ``(2, T, 2, *state)``: path, state,
            prompt; float32.
    """

    sample: int
    states: np.ndarray
    pictures: np.ndarray


def count_calls(steps: int, samples: int, guided: bool) -> int:
    """Network calls of one pair: 4Tk − 2k, or 6Tk − 3k with guidance.

    Each state of each path is scored under both prompts, and under the negative one where a path
    is guided; the first state is shared by both paths.

    >>> count_calls(20, 16, guided=False)
    1248
    """
    return (6 * steps - 3 if guided else 4 * steps - 2) * samples


def run_pair(
    process: Process,
    network: Network,
    prompts: tuple[str, str],
    samples: Sequence[int],
    seed: int,
    trace: int | None = None,
) -> tuple[Squares, Trace | None]:
    """Score both prompts along both paths, for as many samples as are asked for.

    Samples go together as far as a network pass holds them, so that memory does not grow with
    their number. Neither the batch size nor the order of the samples changes a result, up to the
    rounding of the network's own arithmetic.

    Args:
        process: The process.
        network: Its counted network.
        prompts: y₁ and y₂.
        samples: Which samples, by index: sample j of a seed is the same whoever asks.
        seed: Of the noise.
        trace: A sample whose paths are to be kept.

    Returns:
        The squared differences, a row for each of ``samples``; and the trace, if one was asked for.
    """
    rows = 6 if process.guidance > 1 else 4
    parts: list[Squares] = []
    kept: Trace | None = None
    done = 0
    while done < len(samples):
        # The batch size may have been halved meanwhile.
        chunk = samples[done : done + max(1, network.batch_size // rows)]
        squares, found = _run_chunk(process, network, prompts, chunk, seed, trace)
        parts.append(squares)
        kept = found or kept
        done += len(chunk)
    return Squares.concatenate(parts), kept


def _run_chunk(
    process: Process,
    network: Network,
    prompts: tuple[str, str],
    samples: Sequence[int],
    seed: int,
    trace: int | None,
) -> tuple[Squares, Trace | None]:
    steps, count, shape = len(process.levels), len(samples), process.shape
    squares = Squares(*(np.full((count, 2, steps), np.nan) for _ in range(4)))
    traced = samples.index(trace) if trace in samples else None
    states, pictures = [], []

    start = process.prior(process.place(noise.batch(seed, samples, 0, shape)))
    x = (start,)  # the distinct states: one while both paths share it, then one a path
    # A sampler's memory depends on the prompt whose predictions it has seen: [path][prompt].
    memory: list[list[Memory]] = [[None, None], [None, None]]
    for i in range(steps):
        guided = _predict_all(process, network, x, i, prompts)
        paths = (guided[0], guided[-1])
        _score(squares, paths, i, float(process.levels.sigma[i]))
        if traced is not None:
            states.append([_keep(x[0], traced), _keep(x[-1], traced)])
            pictures.append([[_keep(p.picture, traced) for p in path] for path in paths])
        if i + 1 == steps:
            break
        step_noise = process.place(noise.batch(seed, samples, i + 1, shape))
        following = []
        for path, at in enumerate((x[0], x[-1])):
            moves = [process.transition(at, i, paths[path][p], memory[path][p]) for p in (0, 1)]
            memory[path] = [move.memory for move in moves]
            squares.step[:, path, i] = twice_step_kl(moves[path], moves[1 - path])
            following.append(moves[path].draw(step_noise))
        x = tuple(following)

    if traced is None:
        return squares, None
    found = Trace(
        samples[traced],
        np.array(states).swapaxes(0, 1),
        np.array(pictures).swapaxes(0, 1),
    )
    return squares, found


def _predict_all(
    process: Process,
    network: Network,
    x: tuple[Tensor, ...],
    step: int,
    prompts: tuple[str, str],
) -> list[tuple[Prediction, Prediction]]:
    """Guided predictions under both prompts at each distinct state, in one batched pass."""
    count = len(x[0])
    guided = process.guidance > 1
    asked = [*prompts, process.negative] if guided else list(prompts)
    rows = torch.cat([at for at in x for _ in asked])
    row_prompts = [prompt for _ in x for prompt in asked for _ in range(count)]
    prediction = network.predict(rows, step, row_prompts)
    blocks = [prediction[k * count : (k + 1) * count] for k in range(len(x) * len(asked))]
    result = []
    for k in range(0, len(blocks), len(asked)):
        first, second = blocks[k], blocks[k + 1]
        if guided:
            unconditional = blocks[k + 2]
            first = guide(first, unconditional, process.guidance)
            second = guide(second, unconditional, process.guidance)
        result.append((first, second))
    return result


def _score(
    squares: Squares,
    paths: tuple[tuple[Prediction, Prediction], tuple[Prediction, Prediction]],
    step: int,
    sigma: float,
) -> None:
    for path, (first, second) in enumerate(paths):
        squares.noise[:, path, step] = squared_norm(first.noise - second.noise)
        squares.picture[:, path, step] = squared_norm(first.picture - second.picture)
        own, other = paths[path][0], paths[1 - path][1]
        squares.printed[:, path, step] = squared_norm(own.noise - other.noise) / sigma**2


def squared_norm(x: Tensor) -> Floats:
    """‖x‖² of each row, summed in float64 where the device has it; shape ``(n,)``."""
    wide = x if x.device.type == "mps" else x.double()
    return wide.flatten(1).square().sum(1).cpu().double().numpy()


def twice_step_kl(own: Transition, other: Transition) -> Floats:
    """2 KL(own‖other) of one Gaussian step, shape ``(n,)``; NaN where it adds no noise.

    ‖Δμ‖²/σ̃² with one variance for both; Σ[ln(v₂/v₁) + (v₁ + Δμ²)/v₂ − 1] otherwise.
    """
    difference = own.mean - other.mean
    if isinstance(own.std, Tensor) or isinstance(other.std, Tensor):
        v1 = torch.as_tensor(own.std).to(difference) ** 2
        v2 = torch.as_tensor(other.std).to(difference) ** 2
        terms = torch.log(v2 / v1) + (v1 + difference**2) / v2 - 1
        return (terms + torch.zeros_like(difference)).flatten(1).sum(1).cpu().double().numpy()
    if own.std == 0:
        return np.full(len(difference), np.nan)
    return squared_norm(difference) / own.std**2


def _keep(x: Tensor, row: int) -> np.ndarray:
    return x[row].detach().float().cpu().numpy()
