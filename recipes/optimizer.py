"""Muon and AdamW as one optimizer, for networks of matrices and convolutions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .common import halves_pay

RATE = 3e-3
SLOW = 0.1
"""Of that, where a network attends to words: there it learns them by heart if it learns fast."""


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024) as PyTorch has it, in float32 where halves are slow.

    PyTorch's own always iterates in bfloat16, which takes a processor without such instructions
    many times as long as the whole of the rest of a step.
    """

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        """Steps as large as AdamW's: scaled by 0.2 of the root of a matrix' longer side."""
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """With Nesterov's momentum."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                kept = self.state[matrix]
                if not kept:
                    kept["momentum_buffer"] = torch.zeros_like(matrix)
                mean = kept["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonal(matrix.grad.lerp(mean, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                scale = 0.2 * math.sqrt(max(matrix.shape))
                matrix.add_(update.to(matrix.dtype), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Roughly U·Vᵀ of a matrix U·Σ·Vᵀ, by Newton–Schulz iterations of the fifth order."""
    halves = matrix.device.type != "cpu" or halves_pay()
    found = matrix.bfloat16() if halves else matrix.float()
    if tall := len(matrix) > matrix.shape[1]:
        found = found.T
    found = found / found.norm().clamp(min=1e-7)
    for _ in range(steps):
        square = found @ found.T
        cubic = torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315)
        found = torch.addmm(found, cubic, found, beta=3.4445)
    return found.T if tall else found


class Optimizer:
    """Muon for matrices, a convolution's weight being one, and AdamW for the rest.

    Muon (Jordan et al., 2024) learns these drawings from fewer samples than AdamW alone.
    """

    def __init__(self, model: nn.Module, rate: float = RATE) -> None:
        """Sort the parameters of a network whose weights are in ``channels_last``."""
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in named]
        ends = ("conv_in", "conv_out", "time_embedding")
        slow = [p for name, p in named if ".attn2." in name]
        inner = [p for name, p in named if not name.startswith(ends) and ".attn2." not in name]
        self.wide = [p for p in inner if p.ndim > 1 and min(len(p), p[0].numel()) >= 16]
        self.matrices = [nn.Parameter(as_matrix(p.detach())) for p in self.wide]
        others = set(map(id, (*self.wide, *slow)))
        rest = [p for p in self.parameters if id(p) not in others]
        groups = [{"params": rest, "lr": rate / 2}, {"params": slow, "lr": rate * SLOW}]
        self.parts: list[torch.optim.Optimizer] = [
            Muon(self.matrices, rate, weight_decay=0.01),
            torch.optim.AdamW(
                [group for group in groups if group["params"]],
                betas=(0.9, 0.98),
                weight_decay=0.01,
                fused=True,
            ),
        ]
        for part in self.parts:
            for group in part.param_groups:
                group["peak"] = group["lr"]

    def step(self, loss: Tensor, share: float) -> None:
        """Down a loss, at this share of the highest rates, gradients clipped to norm 1."""
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for parameter, matrix in zip(self.wide, self.matrices, strict=True):
            matrix.grad = None if parameter.grad is None else as_matrix(parameter.grad)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = share * group["peak"]
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """Of both."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Of both."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def as_matrix(weight: Tensor) -> Tensor:
    """[O, I] as it is; [O, I, H, W] in ``channels_last`` as [O, H·W·I], a view of the same."""
    return weight if weight.ndim == 2 else weight.permute(0, 2, 3, 1).flatten(1)
