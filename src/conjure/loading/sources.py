"""Where models are found, and what is refused before any of their weights are read."""

from __future__ import annotations

import difflib
import math
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from conjure.errors import ConjureError, ModelError, UnsafeWeightsError
from conjure.io.files import known_path
from conjure.loading.files import PICKLES, check_safetensors, is_safetensors, read_config
from conjure.models import EMBEDDED
from conjure.process.families.base import Source
from conjure.process.settings import Settings


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
    folder = _expanded(name)
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


def _expanded(name: str) -> Path:
    """A path, with ``~`` as the home that it stands for.

    Raises:
        ModelError: No path can be called that.
    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # longer than a name may be; ~nosuchuser
        raise ModelError(f"{name[:80]!r} is no model's name: {error}") from error
    return path


def read_index(source: Source) -> dict[str, Any]:
    """A pipeline's ``model_index.json``.

    Raises:
        ModelError: There is none, or it cannot be had.
    """
    if isinstance(source.location, Path) and source.location.is_file():
        assert source.config is not None
        settings = replace(source.settings, revision=None)
        place, name = locate(source.config), source.config
        source = replace(source, name=name, location=place, settings=settings)
    if isinstance(source.location, Path):
        path = source.location / "model_index.json"
        with suppress(PermissionError):  # which is said when it is read
            if not path.is_file():
                raise ModelError(
                    f"The folder {source.name!r} is no text-to-image pipeline: it has no "
                    "model_index.json. Save one with diffusers' save_pretrained."
                )
    else:
        path = _download_index(source)
    return read_config(path, source.name)


def _download_index(source: Source) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, settings = source.name, source.settings
    try:
        return Path(
            hf_hub_download(
                str(source.location),
                "model_index.json",
                revision=settings.revision,
                local_files_only=settings.offline,
            )
        )
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name!r} is neither a folder here nor in the hub's cache, and the hub "
            f"{'may not be asked (offline)' if settings.offline else 'cannot be reached'}. Check "
            "the name and the network, or give a local folder."
        ) from error
    except GatedRepoError as error:
        raise ModelError(
            f"The hub's model {name!r} is gated: accept its terms on its page and log in with "
            "'hf auth login'."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(
            f"Unknown model {name!r}: no such folder, and no such model on the hub (or it is "
            "private: 'hf auth login')."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name!r} has no revision {settings.revision!r} on the hub.") from error
    except EntryNotFoundError as error:
        raise ModelError(
            f"The hub's model {name!r} is no text-to-image pipeline: it has no model_index.json."
        ) from error
    except Exception as error:  # what a connection may end with has no class in common
        raise ModelError(f"The hub could not be asked for {name!r}: {error}") from error


HTTP = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "http")
"""Libraries whose errors are of a connection."""


def hung_up(error: BaseException | None) -> bool:
    """Whether an error, or what it came of, is of a connection to the hub."""
    while error is not None:
        library = type(error).__module__.partition(".")[0]
        if isinstance(error, ConnectionError | TimeoutError) or library in HTTP:
            return True
        error = error.__cause__
    return False


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
    hub = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(/[\w./-]+\.safetensors)?", name)
    if not path.exists() and not hub:
        raise ConjureError(
            f"There is no LoRA {name!r} here, and it is no hub id. Name a file, a folder, or "
            "someone/repository, with /file.safetensors after it if it has several."
        )
    return name, scale


def find_config(source: Source) -> str:
    """The hub's id of the model that a single checkpoint is built like.

    Raises:
        ModelError: Not to be told, or the hub may not be asked.
    """
    from diffusers.loaders.single_file_utils import (
        fetch_diffusers_config,
        load_single_file_checkpoint,
    )

    if source.settings.offline:
        raise ModelError(
            f"What {source.name!r} is built like is on the hub, which may not be asked (offline): "
            "name a folder in diffusers' layout with config=... (--config)."
        )
    try:
        checkpoint = load_single_file_checkpoint(str(source.location))
        found = str(fetch_diffusers_config(checkpoint)["pretrained_model_name_or_path"])
    except Exception as error:
        raise ModelError(
            f"{source.name!r} cannot be read as a checkpoint: {error} What it is built like can be "
            "told with config=FOLDER (--config), a folder in diffusers' layout."
        ) from error
    # Networks of one layout predict one thing or another, and diffusers guesses the usual one.
    marked = next((key for key in ("v_pred", "ztsnr") if key in checkpoint), None)
    if marked is not None or found.endswith("stable-diffusion-2-1"):
        why = f"its key {marked!r} says that it predicts v" if marked else "it may predict ε or v"
        raise ModelError(
            f"{source.name!r} is built like {found}, and {why}, which no layout tells: name a "
            "folder with the right scheduler by config=FOLDER (--config)."
        )
    return found


CHANGING = ("lora", "dtype", "offload", "compiled")
"""Settings that change a model's weights, or the way that they are run."""


def check_given(given: Any, settings: Settings) -> None:
    """Refuse what would change a pipeline in memory, which may be in use by others."""
    changing = [name for name in CHANGING if getattr(settings, name)]
    if given is not None and changing:
        raise ConjureError(
            f"{changing[0]} would change the pipeline that was given, which others may use: put it "
            "on before, or load from where the pipeline was saved."
        )


def dtype_of(given: Any) -> torch.dtype:
    """Of the network that is asked along paths."""
    for name in ("unet", "transformer"):
        if getattr(given, name, None) is not None:
            return getattr(given, name).dtype
    return getattr(given, "dtype", torch.float32)


def device_of(given: Any) -> str | None:
    """Where a pipeline in memory runs: the device that its hooks name, if it has any."""
    place = getattr(given, "_execution_device", None)
    return None if place is None else str(place)


def check_source(source: Source) -> None:
    """Refuse what a source of this kind would ignore."""
    local = isinstance(source.location, Path) or source.pipeline is not None
    single = isinstance(source.location, Path) and source.location.is_file()
    for name, value, fits in (
        ("config", source.config, single),
        ("revision", source.settings.revision, not local),
        ("variant", source.settings.variant, not single and source.pipeline is None),
    ):
        if value is not None and not fits:
            raise ConjureError(
                f"{name} says nothing about {source.name!r}: it is for "
                f"{'single checkpoints' if name == 'config' else 'models in folders on the hub'}."
            )
