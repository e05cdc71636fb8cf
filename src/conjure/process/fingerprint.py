"""A hash of a model's own numbers, and of what its files say beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch

IRRELEVANT = frozenset({"transformers_version", "torch_dtype", "dtype"})
"""Of a configuration: what does not change a network, or is seen in its weights."""


def hash_model(
    networks: Mapping[str, torch.nn.Module], components: Mapping[str, Any], rules: str
) -> str:
    """Of all that a prompt's meaning depends on in a model.

    Args:
        networks: The denoiser and the encoders.
        components: Of the pipeline, among which are its tokenizers.
        rules: What else an encoded prompt depends on.
    """
    parts = [hash_weights(networks)]
    parts += [
        f"{name} {hash_tokenizer(part)}"
        for name, part in sorted(components.items())
        if name.startswith("tokenizer") and part is not None
    ]
    parts.append(rules)
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def hash_weights(networks: Mapping[str, torch.nn.Module]) -> str:
    """Of all weights, as they are in memory: fine-tunes, adapters and precision count."""
    digest = hashlib.blake2b(digest_size=16)
    for name, network in sorted(networks.items()):
        for key, value in sorted(network.state_dict().items()):
            digest.update(f"{name}.{key} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        for line in adapters({name: network}):
            digest.update(line.encode())
        digest.update(hash_config(getattr(network, "config", None)).encode())
    return digest.hexdigest()


def adapters(networks: Mapping[str, torch.nn.Module]) -> Iterable[str]:
    """A line for each layer with adapters that are not fused: their scales, and which are on."""
    for name, network in networks.items():
        for key, layer in network.named_modules():
            scales, active, off = (
                getattr(layer, a, None) for a in ("scaling", "active_adapters", "disable_adapters")
            )
            if isinstance(scales, dict):
                yield f"{name}.{key} {sorted(scales.items())} {active} {off}"


def hash_config(config: Any) -> str:
    """Of a configuration, whatever kind of object it is."""
    plain = config.to_dict() if hasattr(config, "to_dict") else dict(config or {})
    kept = {k: v for k, v in plain.items() if k[:1] != "_" and k not in IRRELEVANT}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def hash_tokenizer(tokenizer: Any) -> str:
    """Of everything by which a tokenizer may cut a text otherwise."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = {} if backend is None else json.loads(backend.to_str())
    for call in ("truncation", "padding"):  # of the last call
        rules.pop(call, None)
    special = getattr(tokenizer, "special_tokens_map", None)
    described = {
        "class": type(tokenizer).__name__,
        "special": special,
        "longest": getattr(tokenizer, "model_max_length", None),
        "backend": rules,
    }
    return hash_config(described)
