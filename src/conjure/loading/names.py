"""What the names of models and adapters stand for. No torch: a wrong one is told at once."""

from __future__ import annotations

import difflib
import math
import re
from contextlib import suppress
from pathlib import Path

from conjure.errors import ConjureError, ModelError, UnsafeWeightsError
from conjure.io.files import known_path
from conjure.loading.files import PICKLES, check_safetensors, is_safetensors
from conjure.models import EMBEDDED
from conjure.process.settings import Settings


def check_names(settings: Settings) -> None:
    """Refuse a model, a configuration or an adapter that is not there, or has no such name.

    Raises:
        ConjureError: With what to do instead.
    """
    for name in (settings.model, settings.config):
        if isinstance(name, str | Path):
            locate(name)
    for one in settings.lora:
        parse_lora(one, allow_pickle=settings.allow_pickle)


def locate(model: str | Path) -> str | Path:
    """The folder or the hub id that a model's name stands for.

    Raises:
        ModelError: It is neither.
    """
    name = str(model)
    if not name.strip():
        raise ModelError(
            "The model's name is empty (an unset variable?): name "
            f"{' or '.join(map(repr, EMBEDDED))}, a folder or a hub id."
        )
    if name in EMBEDDED:
        return EMBEDDED[name]
    try:
        folder = known_path(name)
    except ConjureError as error:
        raise ModelError(f"{name[:80]!r} is no model's name: {error}") from error
    if folder.is_dir():
        return folder
    if folder.is_file():
        if is_safetensors(folder):
            check_safetensors(folder)
            return folder
        raise ModelError(
            f"{name!r} is a file that is no .safetensors checkpoint; a model is a folder in the "
            "layout of diffusers' save_pretrained, or such a file."
        )
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith("."):
        return name
    near = difflib.get_close_matches(name, EMBEDDED, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"Unknown model {name!r}. {hint}A model is {' or '.join(map(repr, EMBEDDED))}, a folder "
        "that exists, or a hub id such as 'stable-diffusion-v1-5/stable-diffusion-v1-5'."
    )


def parse_lora(given: str | tuple[str, float], *, allow_pickle: bool = False) -> tuple[str, float]:
    """A LoRA and its scale, given as text, or apart as a description has them.

    Raises:
        ConjureError: The scale is no finite number, or a local file that is named is not there.
        UnsafeWeightsError: It is a pickle.

    >>> parse_lora("someone/some-lora:0.8"), parse_lora("someone/some-lora")
    (('someone/some-lora', 0.8), ('someone/some-lora', 1.0))
    """
    if isinstance(given, str):
        name, scale, after = given, 1.0, ""
        before, colon, end = name.rpartition(":")
        if colon:
            with suppress(ValueError):  # else the colon is one of a path
                name, scale, after = before, float(end), end
    else:
        name, scale, after = str(given[0]), float(given[1]), str(given[1])
    if not math.isfinite(scale):
        raise ConjureError(f"The scale of a LoRA is a number, not {after!r}.")
    path = known_path(name)
    pickled = path.suffix.lower() in PICKLES or (path.is_file() and not is_safetensors(path))
    if pickled and not allow_pickle:
        raise UnsafeWeightsError(
            f"The LoRA {name!r} is no .safetensors file, and would be read as a pickle, which can "
            "run any code. Convert it to safetensors, or, if you trust its maker, load with "
            "allow_pickle=True (--allow-pickle)."
        )
    if path.is_file() and not pickled:
        check_safetensors(path)
    if (path / "adapter_config.json").is_file():
        raise ConjureError(
            f"The LoRA {name!r} is an adapter as PEFT saves it, which names no part of a pipeline. "
            "Put it on in diffusers, save it there with save_lora_weights, and name that folder."
        )
    hub = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(/[\w./-]+\.safetensors)?", name)
    # On the hub, a file stands in a repository, which stands in somebody's name.
    is_file = name.endswith(".safetensors") and (name.count("/") < 2 or path.parent.is_dir())
    if not path.exists() and (is_file or not hub):
        raise ConjureError(
            f"There is no LoRA {name!r} here, and it is no hub id. Name a file, a folder, or "
            "someone/repository, with /file.safetensors after it if it has several."
        )
    return name, scale
