"""From a model's name and a few settings to a process."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from conjure.errors import ConjureError, ModelError, UnknownNameError, UnsafeWeightsError
from conjure.process.families import Family, Source
from conjure.process.pipeline import Negative, PipelineProcess
from conjure.registry import EMBEDDED, FAMILIES, SAMPLERS

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

LONG = ("refuse", "truncate", "chunk")
"""What may become of prompts beyond the text encoder's length."""

TIMESTEP_SPACINGS = ("leading", "trailing", "linspace")

STATE_BUDGET = 2**20
"""Numbers a network pass takes in by default: 64 latents of Stable Diffusion 1.5."""


def load(
    model: str | Path | DiffusionPipeline = "emoji",
    *,
    sampler: str = "ddim",
    eta: float | None = None,
    spacing: str | None = None,
    shift: float | None = None,
    steps: int = 20,
    guidance: float | None = 1.0,
    negative: str = "",
    embedded_guidance: float | None = None,
    lora: str | Sequence[str] = (),
    size: int | tuple[int, int] | None = None,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    long: str = "refuse",
    batch_size: int | None = None,
    offload: bool = False,
    compiled: bool = False,
    config: str | Path | None = None,
    revision: str | None = None,
    variant: str | None = None,
    offline: bool = False,
    allow_pickle: bool = False,
) -> PipelineProcess:
    """Load a text-to-image pipeline as a process: the thing that gives prompts their meaning.

    Args:
        model: ``"emoji"`` (ships with the package), a folder in the layout of diffusers'
            ``save_pretrained``, a hub id, a single ``.safetensors`` checkpoint, or a pipeline of
            diffusers that is in memory, which is used as it is and put in evaluation mode.
        sampler: One of :data:`conjure.SAMPLERS`, on the noise schedule and timestep spacing of the
            pipeline's own scheduler; ``own`` is the one that the pipeline comes with.
        eta: η of the ddim sampler, from 0 (deterministic) to 1 (default).
        spacing: Of the timesteps (``leading``, ``trailing``, ``linspace``) or of the noise levels
            (``karras``, ``exponential``, ``beta``); None for that of the pipeline's own scheduler.
        shift: Of a flow's noise levels towards the noisy end, above 0; None for its own.
        steps: T, how many states of a path the network is asked at.
        guidance: Classifier-free guidance w ≥ 1; 1 or None is the plain conditional model.
        negative: Prompt of the unconditional branch.
        embedded_guidance: Guidance that is an input of the network, as in Flux and LCMs; None for
            the pipeline's own default.
        lora: LoRA weights to put on the model, a folder, file or hub id, each with its scale after
            a colon if that is not 1 (``"style.safetensors:0.8"``).
        size: Of the picture in pixels, one side or (height, width); None for the model's own.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the fastest there is.
        dtype: Precision of the network; None for float32, or that of a pipeline in memory. Half
            precision biases close pairs upwards.
        long: What to do with prompts beyond the text encoder's length: ``refuse``, ``truncate``,
            or ``chunk``, which encodes them in windows (Stable Diffusion and SDXL).
        batch_size: Network rows a pass; None chooses by the size of a state, and in long runs by
            measuring. Results do not depend on it.
        offload: Keep each network on the CPU until it is needed, to save the device's memory.
        compiled: Compile the network with ``torch.compile``; every pass is then of one size.
        config: Folder in diffusers' layout, or hub id, that says what a single checkpoint is; None
            to ask the hub.
        revision: Branch, tag or commit on the hub.
        variant: Weights variant on the hub or in the folder, such as ``fp16``.
        offline: Read only what is on this machine already.
        allow_pickle: Read weights that are not safetensors. Pickles can run any code: only from
            those you trust.

    Raises:
        UnknownNameError: No such sampler, dtype or choice.
        ModelError: The model cannot be found or run.
        UnsafeWeightsError: Its weights are pickles.
        ConjureError: Any other argument is out of range.
    """
    w = _check_guidance(guidance)
    given = None if isinstance(model, str | Path) else model
    kind = _check_dtype(dtype or ("float32" if given is None else given.dtype))
    place = _check_device(device)
    if long not in LONG:
        raise UnknownNameError("choice for long prompts", long, LONG)
    _check_whole("steps", steps)
    if embedded_guidance is not None and not math.isfinite(embedded_guidance):
        raise ConjureError(f"embedded_guidance is a number, not {embedded_guidance!r}.")
    if batch_size is not None:
        _check_whole("batch_size", batch_size)
    make_sampler = SAMPLERS[sampler]

    source = Source(
        str(model) if given is None else str(given.name_or_path or type(given).__name__),
        locate(model) if given is None else "",
        place,
        kind,
        revision,
        variant,
        allow_pickle=allow_pickle,
        config=None if config is None else str(locate(config)),
        loras=tuple(parse_lora(one) for one in ([lora] if isinstance(lora, str) else lora)),
        offload=_check_offload(place, offload=offload),
        offline=offline,
        embedded_guidance=embedded_guidance,
        size=(size, size) if isinstance(size, int) else size,
        pipeline=given,
    )
    if isinstance(source.location, Path) and source.location.is_file():
        source = replace(source, config=source.config or find_config(source))
    index = read_index(source) if given is None else {"_class_name": type(given).__name__}
    class_name = str(index.get("_class_name"))
    if class_name not in FAMILIES:
        raise ModelError(
            f"{source.name!r} is a {class_name}, which conjure cannot run. Supported: "
            f"{', '.join(FAMILIES)}."
        )
    if isinstance(source.location, Path) and source.location.is_dir():
        _refuse_incomplete(source.location, index, source.name)
        if not allow_pickle:
            _refuse_pickles(source.location, source.name)
    family = _load_family(source, class_name)
    _check_family(source, family, w, long)
    if compiled:
        family = _compiled(family)
    schedule = spaced(family.scheduler_config, spacing, shift)
    made = make_sampler(schedule, eta)
    process = PipelineProcess(
        model=source.name,
        family=family,
        sampler=made,
        grid=made.grid(schedule, steps, _timing(family, steps, shift)),
        guidance=w,
        negative=negative if family.encode_negative is None else Negative(negative),
        device=place,
        dtype=kind,
        batch_size=batch_size or max(1, min(128, STATE_BUDGET // math.prod(family.shape))),
        tunable=batch_size is None,
        revision=revision,
        variant=variant,
        long=long,
        padded=compiled,
        spacing=spacing,
        shift=shift,
        loras=source.loras,
    )
    process.check(negative)
    return process


def locate(model: str | Path) -> str | Path:
    """The folder or the hub id that a model's name stands for.

    Raises:
        ModelError: It is neither.
    """
    name = str(model)
    if name in EMBEDDED:
        return EMBEDDED[name]
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        if folder.suffix == ".safetensors":
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


def read_index(source: Source) -> dict[str, Any]:
    """A pipeline's ``model_index.json``.

    Raises:
        ModelError: There is none, or it cannot be had.
    """
    if isinstance(source.location, Path) and source.location.is_file():
        assert source.config is not None
        source = replace(source, location=locate(source.config), revision=None)
    if isinstance(source.location, Path):
        path = source.location / "model_index.json"
        if not path.is_file():
            raise ModelError(
                f"The folder {source.name!r} is no text-to-image pipeline: it has no "
                "model_index.json. Save one with diffusers' save_pretrained."
            )
    else:
        path = _download_index(source)
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"The model_index.json of {source.name!r} cannot be read: {error}.") from (
            error
        )
    if not isinstance(index, dict):
        raise ModelError(f"The model_index.json of {source.name!r} does not describe a pipeline.")
    return index


def _download_index(source: Source) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = source.name
    try:
        return Path(
            hf_hub_download(
                str(source.location),
                "model_index.json",
                revision=source.revision,
                local_files_only=source.offline,
            )
        )
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name!r} is neither a folder here nor in the hub's cache, and the hub "
            f"{'may not be asked (offline)' if source.offline else 'cannot be reached'}. Check the "
            "name and the network, or give a local folder."
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
        raise ModelError(f"{name!r} has no revision {source.revision!r} on the hub.") from error
    except EntryNotFoundError as error:
        raise ModelError(
            f"The hub's model {name!r} is no text-to-image pipeline: it has no model_index.json."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(f"The hub could not be asked for {name!r}: {error}") from error


UNREAD = ("safety_checker", "feature_extractor", "watermarker")
"""Components that are left out when a pipeline is loaded."""


def _refuse_incomplete(folder: Path, index: Mapping[str, Any], name: str) -> None:
    """Refuse a folder that lacks a component."""
    for component, said in index.items():
        wanted = isinstance(said, list) and len(said) == 2 and said[0] is not None
        if wanted and component not in UNREAD and not (folder / component).is_dir():
            raise ModelError(
                f"{name!r} lacks its component {component!r}, which its model_index.json names. "
                "Save or download the pipeline whole."
            )


def _refuse_pickles(folder: Path, name: str) -> None:
    """Refuse a folder in which some component's weights exist only as pickles."""
    pickles = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
    for component in sorted(p for p in folder.iterdir() if p.is_dir()):
        if component.name in UNREAD:
            continue
        endings = {p.suffix for p in component.iterdir()}
        if endings & pickles and ".safetensors" not in endings:
            raise UnsafeWeightsError(
                f"The weights in {component.name!r} of {name!r} are pickles, which can run any "
                "code when they are read. Convert them to safetensors, or, if you trust their "
                "maker, load with allow_pickle=True (--allow-pickle)."
            )


def _load_family(source: Source, class_name: str) -> Any:
    from diffusers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return FAMILIES[class_name](source)
    except ConjureError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(
            f"Memory ran out while {source.name!r} was loaded. Use half precision "
            "(dtype='bfloat16'), offload=True (--offload), or another device."
        ) from error
    except OSError as error:
        if "safetensors" in str(error) and not source.allow_pickle:
            raise UnsafeWeightsError(
                f"{source.name!r} has no safetensors weights where they are needed: {error} "
                "Pickles are read only with allow_pickle=True (--allow-pickle)."
            ) from error
        raise ModelError(f"{source.name!r} cannot be loaded: {error}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise ModelError(f"{source.name!r} cannot be loaded as a {class_name}: {error}") from error
    finally:
        if bars:
            logging.enable_progress_bar()


def parse_lora(text: str) -> tuple[str, float]:
    """A LoRA and its scale.

    >>> parse_lora("style.safetensors:0.8"), parse_lora("someone/some-lora")
    (('style.safetensors', 0.8), ('someone/some-lora', 1.0))
    """
    name, colon, scale = str(text).rpartition(":")
    if colon:
        try:
            return name, float(scale)
        except ValueError:
            pass
    return str(text), 1.0


def find_config(source: Source) -> str:
    """The hub's id of the model that a single checkpoint is built like.

    Raises:
        ModelError: Not to be told, or the hub may not be asked.
    """
    from diffusers.loaders.single_file_utils import (
        fetch_diffusers_config,
        load_single_file_checkpoint,
    )

    if source.offline:
        raise ModelError(
            f"What {source.name!r} is built like is on the hub, which may not be asked (offline): "
            "name a folder in diffusers' layout with config=... (--config)."
        )
    try:
        checkpoint = load_single_file_checkpoint(str(source.location))
        return str(fetch_diffusers_config(checkpoint)["pretrained_model_name_or_path"])
    except Exception as error:
        raise ModelError(f"{source.name!r} cannot be read as a checkpoint: {error}") from error


def spaced(
    config: Mapping[str, Any], spacing: str | None, shift: float | None
) -> Mapping[str, Any]:
    """A scheduler's configuration with another spacing of its steps.

    Raises:
        UnknownNameError: No such spacing.
        ConjureError: A flow has no timestep spacing, and only a flow has a shift.
    """
    from conjure.process.samplers.base import SPACINGS, is_flow

    changed = dict(config)
    if spacing is not None:
        known = (*TIMESTEP_SPACINGS, *SPACINGS)
        if spacing not in known:
            raise UnknownNameError("spacing", spacing, known)
        for switch in SPACINGS.values():
            changed[switch] = False
        if spacing in SPACINGS:
            changed[SPACINGS[spacing]] = True
        elif is_flow(config):
            raise ConjureError(
                f"This model is a flow, whose levels have no {spacing} spacing: use shift, or "
                "karras, exponential or beta."
            )
        else:
            changed["timestep_spacing"] = spacing
    if shift is not None:
        if not is_flow(config):
            raise ConjureError("shift moves the noise levels of a flow, and this model is none.")
        if not (math.isfinite(shift) and shift > 0):
            raise ConjureError(f"shift is a number above 0, not {shift!r}.")
        changed |= {"shift": shift, "flow_shift": shift, "use_dynamic_shifting": False}
    return changed


def _timing(family: Family, steps: int, shift: float | None) -> Mapping[str, Any]:
    """What the pipeline tells its scheduler; with a shift of our own, not how much to shift."""
    told = dict(family.timing(steps))
    if shift is not None:
        told.pop("mu", None)
    return told


def _compiled(family: Family) -> Family:
    """The same with its denoiser compiled, for passes of one size."""
    denoiser = next(iter(family.networks.values()))
    denoiser.compile(dynamic=False)
    return family


def _check_family(source: Source, family: Family, guidance: float, long: str) -> None:
    """Refuse what this model would ignore."""
    if source.embedded_guidance is not None and family.embedded_guidance is None:
        raise ConjureError(
            f"The network of {source.name!r} takes no guidance as an input: use guidance."
        )
    distilled = hasattr(family.pipeline, "unet") and family.embedded_guidance is not None
    if guidance > 1 and distilled:
        raise ConjureError(
            f"{source.name!r} is distilled: its guidance is an input of the network, which knows "
            "no unconditional branch. Use embedded_guidance, and leave guidance at 1."
        )
    if long == "chunk" and family.encode_windows is None:
        raise ConjureError(
            f"The architecture of {source.name!r} does not read prompts in windows: use "
            "long='truncate'."
        )


def _check_offload(place: torch.device, *, offload: bool) -> bool:
    if offload and place.type == "cpu":
        raise ConjureError("offload spares a device's memory; the model runs on the CPU anyway.")
    return offload


def _check_guidance(guidance: float | None) -> float:
    if guidance is None:
        return 1.0
    try:
        w = float(guidance)
    except (TypeError, ValueError):
        w = math.nan
    if not math.isfinite(w):
        raise ConjureError(f"guidance is a number, at least 1, not {guidance!r}.")
    if w < 1:
        raise ConjureError(
            f"guidance is at least 1, not {w:g}. At 1 there is none: the plain conditional model "
            "(diffusers also writes 0 for that). Below 1 the prompt would be weakened towards the "
            "negative prompt, which is another process than the one the prompts name."
        )
    return w


def _check_dtype(dtype: str | torch.dtype) -> torch.dtype:
    name = str(dtype).removeprefix("torch.")
    name = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16"}.get(
        name, name
    )
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


def _check_device(device: str | None) -> torch.device:
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConjureError(
            f"The device {device!r} cannot be used here: {reason} Try 'cpu'."
        ) from error
    return place


def _check_whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConjureError(f"{name} is a whole number, at least 1, not {value!r}.")
