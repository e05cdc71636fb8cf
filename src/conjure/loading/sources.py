"""What a model says of itself, and what is refused before any of its weights are read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from conjure.errors import ConjureError, ModelError
from conjure.loading.files import read_config
from conjure.loading.names import locate
from conjure.process.families.base import Source
from conjure.process.settings import Settings


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
