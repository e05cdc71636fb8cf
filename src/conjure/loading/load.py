"""From a model's name and a few settings to a process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from pydantic import TypeAdapter, create_model

from conjure.errors import ConjureError, ModelError, UnsafeWeightsError, is_out_of_memory
from conjure.io.ours import Schema, parse_ours
from conjure.loading.devices import check_device, torch_dtype
from conjure.loading.files import (
    refuse_damaged,
    refuse_impossible,
    refuse_incomplete,
    refuse_pickles,
)
from conjure.loading.names import locate, parse_lora
from conjure.loading.settings import without_old_eta
from conjure.loading.sources import (
    check_given,
    check_source,
    device_of,
    dtype_of,
    find_config,
    hung_up,
    read_index,
)
from conjure.loading.weights import safe_and_whole
from conjure.models import EMBEDDED
from conjure.process.base import Process
from conjure.process.families import FAMILIES
from conjure.process.families.base import Family, Source
from conjure.process.pipeline import PipelineProcess
from conjure.process.quiet import quiet
from conjure.process.samplers import SAMPLERS
from conjure.process.samplers.schedules import lay_out, spaced
from conjure.process.samplers.spacings import LCM_SPACING, TIMESTEP_SPACINGS
from conjure.process.settings import Settings, arguments_from, names_of, types_described
from conjure.signatures import shows

P = ParamSpec("P")
R = TypeVar("R")

STATE_BUDGET = 2**20
"""Numbers a network pass takes in by default: 64 latents of Stable Diffusion 1.5."""


MOST_NUMBERS = 2**28
"""In a state: more are no picture's, but of a mistyped size or a damaged configuration."""


def _takes(settings: Callable[P, Settings]) -> Callable[[Callable[[Settings], R]], Callable[P, R]]:
    """Let a function of settings be called with each of them as an argument of its own."""

    def decorate(function: Callable[[Settings], R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(settings(*args, **kwargs))

        return shows(Settings, of=function)(call)

    return decorate


@_takes(Settings)
def load(settings: Settings) -> PipelineProcess:
    """Load a text-to-image pipeline as a process: the thing that gives prompts their meaning.

    Each of ``conjure.process.settings.Settings`` is an argument, the model by its place.

    Raises:
        UnknownNameError: No such sampler, dtype or choice.
        ModelError: The model cannot be found or run.
        UnsafeWeightsError: Its weights are pickles.
        ConjureError: Any other argument is out of range.
    """
    source = _find(settings)
    index = _read_index(source)
    class_name = str(index.get("_class_name"))
    if class_name not in FAMILIES:
        raise ModelError(
            f"{source.name!r} is a {class_name}, which conjure cannot run. Supported: "
            f"{', '.join(FAMILIES)}."
        )
    if isinstance(source.location, Path) and source.location.is_dir():
        _look_at(source.location, index, source)
    if source.device.type == "cuda":  # sums in float32 also inside products of half precision
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    family = _load_family(source, class_name)
    if not 0 < math.prod(family.shape) <= MOST_NUMBERS:
        raise ModelError(
            f"The states of {source.name!r} would have the shape {family.shape}, which cannot be "
            "computed with: take a size (--size) that it was made for, or a whole copy of it."
        )
    if settings.embedded_guidance is not None and family.embedded_guidance is None:
        raise ConjureError(
            f"The network of {source.name!r} takes no guidance as an input: use guidance."
        )
    if settings.compiled:
        next(iter(family.networks.values())).compile(dynamic=False)
    return _assemble(family, source, settings)


def _look_at(folder: Path, index: Mapping[str, Any], source: Source) -> None:
    """Refuse a folder for what its files are, before they are read."""
    try:
        refuse_incomplete(folder, index, source.name)
        refuse_impossible(folder, index, source.name)
        if not source.settings.allow_pickle:
            refuse_pickles(folder, index, source.name)
        refuse_damaged(folder, index, source.settings.variant)
    except OSError as error:
        raise ModelError(f"{source.name!r} cannot be read: {error}.") from error


def vary(process: PipelineProcess, **changes: Any) -> PipelineProcess:
    """Another process on the same weights, which are not loaded again.

    Args:
        process: From ``load``.
        changes: Of ``sampler``, ``eta``, ``spacing``, ``shift``, ``steps``, ``guidance``,
            ``negative``, ``long`` and ``batch_size``. An η is not carried over to another sampler.

    Raises:
        ConjureError: Another argument, or one that is out of range.
    """
    free = names_of(decides="path")
    unknown = [name for name in changes if name not in free]
    if unknown:
        raise ConjureError(
            f"{unknown[0]!r} cannot be varied on loaded weights: {', '.join(free)} can."
        )
    changed = without_old_eta(changes, process.settings.sampler)
    return _assemble(process.family, process.source, replace(process.settings, **changed))


def reload(described: Mapping[str, Any], **how: Any) -> PipelineProcess:
    """The process that a run, an evaluation or embeddings were made with.

    Args:
        described: Its ``model``, ``revision``, ``variant`` and ``process``, as their files have
            them.
        how: Arguments of ``load`` for what files do not say: ``device``, ``batch_size``,
            ``offload``, ``config``, ``offline``, ``allow_pickle``; and ``model`` and ``lora``,
            where those are elsewhere now.

    Raises:
        DamagedError: A setting has a value that none can have.
        ConjureError: As ``load``; whether its weights are still the same is not looked at.
    """
    told = json.dumps(described["process"]).encode()
    fields: dict[str, Any] = {name: (kind | None, None) for name, kind in types_described().items()}
    schema = TypeAdapter(create_model("Described", __base__=Schema, **fields))
    process = parse_ours(
        told, schema, "What was kept of the process", "Restore the file, or make it again."
    )
    known = {key: described[key] for key in ("model", "revision", "variant")}
    elsewhere = {key: value for key in ("model", "lora") if (value := how.pop(key, None))}
    if "model" in elsewhere:
        known = {}
    try:
        return load(**{**known, **arguments_from(process.raw), **elsewhere}, **how)
    except ModelError as error:
        if elsewhere:
            raise
        raise ModelError(
            f"{error} That is what it was called when this was made: if it is elsewhere now, say "
            "where with model=... (--model), and likewise lora=... (--lora)."
        ) from error


@cache
def default_process() -> Process:
    """The embedded model with its default settings, loaded once."""
    return load()


def _find(settings: Settings) -> Source:
    """Where the model is; what can be refused without reading it is."""
    model, name = settings.model, str(settings.model)
    given = None if isinstance(model, str | Path) else model
    check_given(given, settings)
    own = None if given is None else device_of(given)
    device = check_device(settings.device or own)
    if settings.dtype is not None:
        dtype = torch_dtype(settings.dtype)
    else:
        dtype = torch.float32 if given is None else dtype_of(given)
    if given is not None:
        name = str(given.name_or_path or type(given).__name__)
    source = Source(
        name,
        locate(model) if given is None else "",
        device,
        dtype,
        settings,
        config=None if settings.config is None else str(locate(settings.config)),
        loras=tuple(parse_lora(one, allow_pickle=settings.allow_pickle) for one in settings.lora),
        pipeline=given,
    )
    if settings.offload and device.type == "cpu":
        raise ConjureError("offload spares a device's memory; the model runs on the CPU anyway.")
    check_source(source)
    if isinstance(source.location, Path) and source.location.is_file():
        source = replace(source, config=source.config or find_config(source))
    return source


def _read_index(source: Source) -> dict[str, Any]:
    """What says which pipeline it is."""
    if source.pipeline is not None:
        return {"_class_name": type(source.pipeline).__name__}
    return read_index(source)


def _assemble(family: Family, source: Source, settings: Settings) -> PipelineProcess:
    """A loaded model with a sampler, its steps and its guidance."""
    assert settings.guidance is not None  # None has become 1
    if settings.guidance > 1 and family.distilled:
        raise ConjureError(
            f"{source.name!r} is distilled: its guidance is an input of the network, which knows "
            "no unconditional branch. Use embedded_guidance, and leave guidance at 1."
        )
    if settings.long == "chunk" and family.encode_windows is None:
        raise ConjureError(
            f"The architecture of {source.name!r} does not read prompts in windows: use "
            "long='truncate'."
        )
    own = str(family.scheduler_config.get("_class_name"))
    takes_lcm = settings.sampler == "own" and own == "LCMScheduler"
    if settings.spacing in TIMESTEP_SPACINGS and takes_lcm:
        raise ConjureError(LCM_SPACING)
    schedule = spaced(family.scheduler_config, settings.spacing, settings.shift)
    sampler = SAMPLERS[settings.sampler](schedule, settings.eta)
    timing = _timing(family, settings.steps, settings.shift)
    usual = max(1, min(128, STATE_BUDGET // math.prod(family.shape)))
    process = PipelineProcess(
        family,
        sampler,
        lay_out(sampler, schedule, settings.steps, timing),
        source,
        settings,
        settings.batch_size or usual,
    )
    process.check(settings.negative)
    return process


def _timing(family: Family, steps: int, shift: float | None) -> Mapping[str, Any]:
    """What the pipeline tells its scheduler; with a shift of our own, not how much to shift."""
    timing = dict(family.timing(steps))
    if shift is not None:
        timing.pop("mu", None)
    return timing


def _load_family(source: Source, class_name: str) -> Any:
    try:
        # The parts of ours are of other classes than the pipeline expects, as is well.
        with (
            quiet(remarks=source.name in EMBEDDED),
            safe_and_whole(source.name, allow_pickle=source.settings.allow_pickle),
        ):
            return FAMILIES[class_name](source)
    except ConjureError:
        raise
    except Exception as error:  # the libraries check little of what they read
        raise _in_words(error, source, class_name) from error


def _in_words(error: Exception, source: Source, class_name: str) -> ModelError:
    """What went wrong in the libraries, and what to do."""
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    name = source.name
    if isinstance(error, MemoryError) or is_out_of_memory(error):
        return ModelError(
            f"Memory ran out while {name!r} was loaded. Use half precision (dtype='bfloat16'), "
            "offload=True (--offload), or another device."
        )
    if hung_up(error):
        return ModelError(
            f"The hub broke off while {name!r} was downloaded: {error} Try again: what came whole "
            "is kept."
        )
    if isinstance(error, SingleFileComponentError):
        return ModelError(
            f"{name!r} is not a whole model: {error} Take the folder in diffusers' layout, or put "
            "the parts together in diffusers and hand the pipeline over."
        )
    if isinstance(error, OSError):
        if "safetensors" in str(error) and not source.settings.allow_pickle:
            return UnsafeWeightsError(
                f"{name!r} has no safetensors weights where they are needed: {error} If there are "
                "those of a variant, name it: variant='fp16' (--variant). Pickles are read only "
                "with allow_pickle=True (--allow-pickle)."
            )
        return ModelError(f"{name!r} cannot be loaded: {error}")
    if isinstance(error, ImportError):
        return ModelError(
            f"{name!r} needs a library that is not there: {error} "
            "pip install 'conjure[models]' brings what models need."
        )
    return ModelError(f"{name!r} cannot be loaded as a {class_name}: {error}")
