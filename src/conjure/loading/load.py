"""From a model's name and a few settings to a process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from conjure.errors import ConjureError, ModelError, UnsafeWeightsError
from conjure.loading.checks import (
    TIMESTEP_SPACINGS,
    check_guidance,
    check_offload,
    check_settings,
    check_size,
    refuse_lcm_spacing,
)
from conjure.loading.devices import check_device, check_dtype
from conjure.loading.settings import load_arguments, without_old_eta
from conjure.loading.sources import (
    check_given,
    check_source,
    device_of,
    dtype_of,
    find_config,
    locate,
    parse_lora,
    read_index,
    refuse_incomplete,
    refuse_pickles,
)
from conjure.process.base import Process
from conjure.process.families import FAMILIES
from conjure.process.families.base import Family, Source
from conjure.process.pipeline import Negative, PipelineProcess
from conjure.process.samplers import SAMPLERS
from conjure.process.samplers.schedules import lay_out, spaced

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


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
            diffusers that is in memory, which is used as it is, moved to the device and put in
            evaluation mode. On CUDA, PyTorch is told to sum products of half precision in float32,
            for all that runs beside, too.
        sampler: One of ``conjure.SAMPLERS``, on the noise schedule and timestep spacing of the
            pipeline's own scheduler; ``own`` is the one that the pipeline comes with.
        eta: η of the ddim sampler, from 0 (deterministic) to 1; None for 1, or for 0 where the
            sampler is ``own``, as in diffusers.
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
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the fastest there is, and leaves
            a pipeline in memory where it is.
        dtype: Precision of the network; None for float32, or that of a pipeline in memory. Half
            precision biases close pairs upwards.
        long: What to do with prompts beyond the text encoder's length: ``refuse``, ``truncate``,
            or ``chunk``, which encodes them in windows (Stable Diffusion and SDXL).
        batch_size: Network rows a pass; None chooses by the size of a state, and in long runs by
            measuring. Results do not depend on it.
        offload: Keep each network on the CPU until it is needed, to save the device's memory.
        compiled: Compile the network with ``torch.compile``; passes are then of few sizes.
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
    given = None if isinstance(model, str | Path) else model
    check_given(given, lora=lora, dtype=dtype, offload=offload, compiled=compiled)
    if embedded_guidance is not None and not math.isfinite(embedded_guidance):
        raise ConjureError(f"embedded_guidance is a number, not {embedded_guidance!r}.")
    asked = {
        "sampler": sampler, "eta": eta, "spacing": spacing, "shift": shift, "steps": steps,
        "guidance": check_guidance(guidance), "negative": negative, "long": long,
        "batch_size": batch_size,
    }  # fmt: skip
    check_settings(asked)
    place = check_device(device or (None if given is None else device_of(given)))
    source = Source(
        str(model) if given is None else str(given.name_or_path or type(given).__name__),
        locate(model) if isinstance(model, str | Path) else "",
        place,
        check_dtype(dtype or ("float32" if given is None else dtype_of(given))),
        revision,
        variant,
        allow_pickle=allow_pickle,
        config=None if config is None else str(locate(config)),
        loras=tuple(
            parse_lora(one, allow_pickle=allow_pickle)
            for one in ([lora] if isinstance(lora, str) else lora)
        ),
        offload=check_offload(place, offload=offload),
        offline=offline,
        embedded_guidance=embedded_guidance,
        size=check_size(size),
        pipeline=given,
    )
    check_source(source)
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
        refuse_incomplete(source.location, index, source.name)
        if not allow_pickle:
            refuse_pickles(source.location, source.name)
    if place.type == "cuda":  # sums in float32 also inside products of half precision
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    family = _load_family(source, class_name)
    if embedded_guidance is not None and family.embedded_guidance is None:
        raise ConjureError(
            f"The network of {source.name!r} takes no guidance as an input: use guidance."
        )
    if compiled:
        next(iter(family.networks.values())).compile(dynamic=False)
    return _assemble(family, source, asked, compiled=compiled)


def vary(process: PipelineProcess, **changes: Any) -> PipelineProcess:
    """Another process on the same weights, which are not loaded again.

    Args:
        process: From ``load``.
        changes: Of ``sampler``, ``eta``, ``spacing``, ``shift``, ``steps``, ``guidance``,
            ``negative``, ``long`` and ``batch_size``. An η is not carried over to another sampler.

    Raises:
        ConjureError: Another argument, or one that is out of range.
    """
    unknown = [name for name in changes if name not in process.asked]
    if unknown:
        raise ConjureError(
            f"{unknown[0]!r} cannot be varied on loaded weights: {', '.join(process.asked)} can."
        )
    asked = {**process.asked, **without_old_eta(changes, process.asked["sampler"])}
    asked["guidance"] = check_guidance(asked["guidance"])
    check_settings(asked)
    assert process.source is not None  # of every process that load makes
    return _assemble(process.family, process.source, asked, compiled=process.padded)


def reload(said: Mapping[str, Any], **how: Any) -> PipelineProcess:
    """The process that a run, an evaluation or embeddings were made with.

    Args:
        said: Its ``model``, ``revision``, ``variant`` and ``process``, as their files say them.
        how: Arguments of ``load`` for what files do not say: ``device``, ``batch_size``,
            ``offload``, ``config``, ``offline``, ``allow_pickle``.

    Raises:
        ConjureError: As ``load``; whether its weights are still the same is not looked at.
    """
    return load(
        said["model"], revision=said["revision"], variant=said["variant"],
        **load_arguments(said["process"]), **how,
    )  # fmt: skip


def _assemble(
    family: Family, source: Source, asked: Mapping[str, Any], *, compiled: bool
) -> PipelineProcess:
    """A loaded model with a sampler, its steps and its guidance."""
    if asked["guidance"] > 1 and family.distilled:
        raise ConjureError(
            f"{source.name!r} is distilled: its guidance is an input of the network, which knows "
            "no unconditional branch. Use embedded_guidance, and leave guidance at 1."
        )
    if asked["long"] == "chunk" and family.encode_windows is None:
        raise ConjureError(
            f"The architecture of {source.name!r} does not read prompts in windows: use "
            "long='truncate'."
        )
    spacing, shift, steps = asked["spacing"], asked["shift"], asked["steps"]
    own = str(family.scheduler_config.get("_class_name"))
    if spacing in TIMESTEP_SPACINGS and asked["sampler"] == "own" and own == "LCMScheduler":
        refuse_lcm_spacing()
    schedule = spaced(family.scheduler_config, spacing, shift)
    made = SAMPLERS[asked["sampler"]](schedule, asked["eta"])
    negative, batch_size = asked["negative"], asked["batch_size"]
    process = PipelineProcess(
        model=source.name,
        family=family,
        sampler=made,
        grid=lay_out(made, schedule, steps, _timing(family, steps, shift)),
        guidance=asked["guidance"],
        negative=negative if family.encode_negative is None else Negative(negative),
        device=source.device,
        dtype=source.dtype,
        batch_size=batch_size or max(1, min(128, STATE_BUDGET // math.prod(family.shape))),
        tunable=batch_size is None and not compiled,
        revision=source.revision,
        variant=source.variant,
        long=asked["long"],
        padded=compiled,
        spacing=spacing,
        shift=shift,
        loras=source.loras,
        source=source,
        asked=asked,
    )
    process.check(negative)
    return process


def _load_family(source: Source, class_name: str) -> Any:
    from diffusers.loaders.single_file_utils import SingleFileComponentError
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
    except SingleFileComponentError as error:
        raise ModelError(
            f"{source.name!r} is not a whole model: {error} Take the folder in diffusers' layout, "
            "or put the parts together in diffusers and hand the pipeline over."
        ) from error
    except OSError as error:
        if "safetensors" in str(error) and not source.allow_pickle:
            raise UnsafeWeightsError(
                f"{source.name!r} has no safetensors weights where they are needed: {error} If "
                "there are those of a variant, name it: variant='fp16' (--variant). Pickles are "
                "read only with allow_pickle=True (--allow-pickle)."
            ) from error
        raise ModelError(f"{source.name!r} cannot be loaded: {error}") from error
    except ImportError as error:
        raise ModelError(
            f"{source.name!r} needs a library that is not there: {error} "
            "pip install 'conjure[models]' brings what models need."
        ) from error
    except (
        ValueError, KeyError, AttributeError, TypeError, RuntimeError, SafetensorError,
    ) as error:  # fmt: skip
        raise ModelError(f"{source.name!r} cannot be loaded as a {class_name}: {error}") from error
    finally:
        if bars:
            logging.enable_progress_bar()


def _timing(family: Family, steps: int, shift: float | None) -> Mapping[str, Any]:
    """What the pipeline tells its scheduler; with a shift of our own, not how much to shift."""
    told = dict(family.timing(steps))
    if shift is not None:
        told.pop("mu", None)
    return told


@cache
def default_process() -> Process:
    """The default process, loaded once."""
    from conjure.loading.load import load

    return load()
