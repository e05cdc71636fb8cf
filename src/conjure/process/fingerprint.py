"""A hash of a model's own numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def hash_weights(networks: Mapping[str, torch.nn.Module]) -> str:
    """Of all weights, as they are in memory: fine-tunes, adapters and precision count."""
    digest = hashlib.blake2b(digest_size=16)
    for name, network in sorted(networks.items()):
        for key, value in sorted(network.state_dict().items()):
            digest.update(f"{name}.{key} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        for key, layer in network.named_modules():  # adapters that are not fused
            scales, active = (getattr(layer, a, None) for a in ("scaling", "active_adapters"))
            if isinstance(scales, dict):
                digest.update(f"{name}.{key} {sorted(scales.items())} {active}".encode())
    return digest.hexdigest()
