"""What is refused of a model's files before any of their weights are read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conjure.errors import ModelError, UnsafeWeightsError

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})

WEIGHTS = re.compile(r"(diffusion_)?(pytorch_)?model\b")
"""How the names of the files begin in which the libraries look for weights."""

UNREAD = ("safety_checker", "feature_extractor", "watermarker")
"""Components that are left out when a pipeline is loaded."""

RANGES: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("sample_size", "patch_size"), (1, 2**14)),
    **dict.fromkeys(("num_layers", "num_hidden_layers"), (1, 2**10)),
    **dict.fromkeys(("layers_per_block", "norm_num_groups"), (1, 2**10)),
    **dict.fromkeys(("num_attention_heads", "num_heads", "attention_head_dim"), (1, 2**17)),
    **dict.fromkeys(("in_channels", "out_channels", "latent_channels"), (1, 2**17)),
    **dict.fromkeys(("block_out_channels", "hidden_size", "d_model"), (1, 2**17)),
    **dict.fromkeys(("cross_attention_dim", "joint_attention_dim"), (1, 2**17)),
    **dict.fromkeys(("vocab_size", "max_position_embeddings"), (1, 2**22)),
    "num_single_layers": (0, 2**10),
    "num_train_timesteps": (1, 10**5),
    **dict.fromkeys(("beta_start", "beta_end"), (0, 1)),
}
"""What numbers in a configuration may be: beyond these is damage."""

BEGINNINGS = {
    b"version https://git-lfs": (
        "is a pointer of Git LFS, which stands for weights that were not downloaded: 'git lfs "
        "pull' fetches them"
    ),
    b"<": "is a web page, not weights: download the file itself",
    b"PK": "is a pickle or an archive in spite of its ending: convert it to safetensors",
    b"\x80": "is a pickle in spite of its ending: convert it to safetensors",
}
"""What else may be called ``.safetensors``, by its first bytes."""


def components_of(folder: Path, index: Mapping[str, Any]) -> Iterator[Path]:
    """The folders of the components that a ``model_index.json`` names and that will be read."""
    for component, value in index.items():
        named = isinstance(value, list) and len(value) == 2 and value[0] is not None
        if named and component not in UNREAD:
            yield folder / component


def refuse_incomplete(folder: Path, index: Mapping[str, Any], name: str) -> None:
    """Refuse a folder that lacks a component."""
    for component in components_of(folder, index):
        if not component.is_dir():
            raise ModelError(
                f"{name!r} lacks its component {component.name!r}, which its model_index.json "
                "names. Save or download the pipeline whole."
            )


def refuse_impossible(folder: Path, index: Mapping[str, Any], name: str) -> None:
    """Refuse a folder in which some component's configuration has sizes that no model has.

    The libraries would fail in the middle, or build until memory runs out.

    Raises:
        ModelError: With the file, the size, and what it can be.
    """
    for component in components_of(folder, index):
        for file in (component / "config.json", component / "scheduler_config.json"):
            if not file.is_file():
                continue
            for key, value in read_config(file, name).items():
                parts = value if isinstance(value, list) else [value]
                numbers = [part for part in parts if isinstance(part, int | float)]
                least, most = RANGES.get(key, (-math.inf, math.inf))
                if key in RANGES and not all(least <= number <= most for number in numbers):
                    raise ModelError(
                        f"{component.name}/{file.name} of {name!r} says {key} = {value!r}, which "
                        f"no model has: it is from {least} to {most:,}. Download or save it again."
                    )


def read_config(file: Path, name: str) -> dict[str, Any]:
    """A configuration of a model's.

    Args:
        file: Of JSON.
        name: Of the model, for messages.

    Raises:
        ModelError: It cannot be read, or holds no JSON object.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ill encoded, broken, nested too deep
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"The {file.name} of {name!r} cannot be read: {reason}. Download or save the model "
            "again."
        ) from error
    if not isinstance(found, dict):
        raise ModelError(f"The {file.name} of {name!r} does not describe a pipeline.")
    return found


def refuse_pickles(folder: Path, index: Mapping[str, Any], name: str) -> None:
    """Refuse a folder in which some component's weights exist only as pickles."""
    for component in components_of(folder, index):
        files = list(component.iterdir())
        pickled = any(p.suffix in PICKLES and WEIGHTS.match(p.name) for p in files)
        if pickled and not any(map(is_safetensors, files)):
            raise UnsafeWeightsError(
                f"The weights in {component.name!r} of {name!r} are pickles, which can run any "
                "code when they are read. Convert them to safetensors, or, if you trust their "
                "maker, load with allow_pickle=True (--allow-pickle)."
            )


def refuse_damaged(folder: Path, index: Mapping[str, Any], variant: str | None) -> None:
    """Refuse a folder in which weights that will be read are damaged.

    Raises:
        ModelError: With the file, and what it is.
    """
    for component in components_of(folder, index):
        files = [file for file in component.iterdir() if is_safetensors(file)]
        varied = [file for file in files if variant and f".{variant}" in file.stem]
        for file in varied or (file for file in files if "." not in file.stem):
            check_safetensors(file)


def is_safetensors(path: Path) -> bool:
    """Whether a file's ending says that it is safe to read, in whatever case of letters."""
    return path.suffix.lower() == ".safetensors"


def check_safetensors(file: Path) -> None:
    """Look at a file's head and length, not at its weights.

    Raises:
        ModelError: With the file, and what it is.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with file.open("rb") as stream:
            start = stream.read(64)
        size = file.stat().st_size
        if size == 0:
            raise ModelError(f"{str(file)!r} is empty. Download or save it again.")
    except OSError as error:
        raise ModelError(f"{str(file)!r} cannot be read: {error.strerror or error}.") from error
    try:
        with safe_open(file, "pt"):
            return
    except (OSError, SafetensorError) as error:
        told = next((said for first, said in BEGINNINGS.items() if start.startswith(first)), None)
        if told is None:
            cut = int.from_bytes(start[:8], "little") > size or "incomplete" in str(error)
            told = f"is {'cut short' if cut else 'no safetensors file'} ({error})"
        raise ModelError(f"{str(file)!r} {told}. It has {size:,} bytes.") from error
