"""The two ends of paths: what the network says of the noise, and the finished pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from conjure.engine import noise
from conjure.engine.jobs import PathKey
from conjure.engine.network import Network
from conjure.process.base import Process
from conjure.process.prediction import Memory, Prediction, predict_guided


def first_predictions(
    process: Process, network: Network, keys: Sequence[PathKey], seed: int
) -> Prediction:
    """What the network says at each path's first state, the noise, before any guidance: n calls.

    Args:
        process: The process.
        network: Its counted network.
        keys: Prompt and sample of each path.
        seed: Of the noise.
    """
    process.prepare(dict.fromkeys(prompt for prompt, _ in keys))
    return network.predict(_starts(process, keys, seed), 0, [prompt for prompt, _ in keys])


def finished_pictures(
    process: Process, network: Network, keys: Sequence[PathKey], seed: int
) -> Tensor:
    """The picture at the end of each path, after T calls (2T if guided).

    Args:
        process: The process.
        network: Its counted network.
        keys: Prompt and sample of each path.
        seed: Of the noise.

    Returns:
        Shape ``(n, *state)``.
    """
    prompts = [prompt for prompt, _ in keys]
    guided = process.guidance > 1
    process.prepare(dict.fromkeys([*prompts, process.negative] if guided else prompts))
    x = _starts(process, keys, seed)
    memory: Memory = None
    for step in range(len(process.visits)):
        prediction = predict_guided(process, network.predict, x, step, prompts)
        move = process.transition(x, step, prediction, memory)
        memory = move.memory
        x = move.draw(_noise(process, keys, seed, step + 1))
    return x


def _starts(process: Process, keys: Sequence[PathKey], seed: int) -> Tensor:
    return process.prior(_noise(process, keys, seed, 0))


def _noise(process: Process, keys: Sequence[PathKey], seed: int, step: int) -> Tensor:
    """That of each path's sample, drawn once for all who share it."""
    numbers = {sample: n for n, sample in enumerate(dict.fromkeys(s for _, s in keys))}
    drawn = noise.batch(seed, list(numbers), step, process.shape)
    return process.place(drawn)[torch.tensor([numbers[sample] for _, sample in keys])]


def path_calls(process: Process, count: int) -> int:
    """Network calls of so many paths, walked to their ends."""
    return count * len(process.visits) * (2 if process.guidance > 1 else 1)
