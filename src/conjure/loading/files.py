"""What is refused of a model's files before any of their weights are read."""

from __future__ import annotations

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
