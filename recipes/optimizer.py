"""Muon and AdamW as one optimizer, for networks of matrices and convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

RATE = 3e-3
SLOW = 0.1
"""Of that, where a network attends to words: there it learns them by heart if it learns fast."""


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
            torch.optim.Muon(
                self.matrices, rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
            ),
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
