"""What families of diffusers' pipelines have in common."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from conjure.errors import ConjureError, ConjureWarning, ModelError, UnsafeWeightsError
from conjure.io.files import known_path
from conjure.process.families.base import Source
from conjure.process.reading import Tokenized, reader

UNLIMITED = 10**9
"""From here on a tokenizer's length is the library's word for none."""


def load_pipeline(
    source: Source, kind: Any, *, spares: Sequence[str] = (), **components: Any
) -> Any:
    """A pipeline from a folder, the hub, a file or memory, with its adapters, ready to be asked.

    Args:
        source: Where it is.
        kind: Its class.
        spares: Parts that may be null, beside those that the class says.
        components: Parts to leave out, and settings of the class.

    Raises:
        ModelError: An adapter does not fit, or a part is null that it needs.
    """
    pipeline = source.pipeline
    if pipeline is None:
        pipeline = _read_pipeline(source, kind, components)
    optional = {*kind._optional_components, *spares, *components}
    for name, part in pipeline.components.items():
        if part is None and name not in optional:
            raise ModelError(
                f"{source.name!r} has no {name} (it is null), without which a {kind.__name__} "
                "cannot be run. Load or save the pipeline with it."
            )
    if any(p.is_meta for p in parameters_of(pipeline)):
        raise ModelError(
            f"{source.name!r} is offloaded layer by layer, so that its weights are not there to be "
            "read: hand it over before that, and say offload=True."
        )
    limit_tokenizers(pipeline)
    check_tokenizers(pipeline, source.name)
    for number, (name, scale) in enumerate(source.loras):
        add_lora(pipeline, name, scale, f"lora{number}", source)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
            if source.pipeline is None:  # one that is somebody's may be trained further
                part.requires_grad_(False)
    if is_offloaded(pipeline):  # as its owner said
        return pipeline
    if source.settings.offload:
        pipeline.enable_model_cpu_offload(device=source.device)
    else:
        for name, part in pipeline.components.items():
            if isinstance(part, torch.nn.Module) and name != "vae" and not is_placed(part):
                part.to(source.device)
    return pipeline


def _read_pipeline(source: Source, kind: Any, components: Mapping[str, Any]) -> Any:
    """From a folder, the hub or a file; parts that its index has as null are not waited for."""
    settings = source.settings
    options = {"dtype": source.dtype, "local_files_only": settings.offline, **components}
    if isinstance(source.location, Path) and source.location.is_file():
        return kind.from_single_file(str(source.location), config=source.config, **options)
    index = kind.load_config(
        source.location, revision=settings.revision, local_files_only=settings.offline
    )
    nulls = {name: None for name, value in index.items() if value == [None, None]}
    return kind.from_pretrained(
        source.location,
        revision=settings.revision,
        variant=settings.variant,
        use_safetensors=None if settings.allow_pickle else True,
        trust_remote_code=False,
        **{**nulls, **options},
    )


def limit_tokenizers(pipeline: Any) -> None:
    """Give tokenizers that name no length that of their encoder, where it has one."""
    for name, tokenizer in pipeline.components.items():
        longest = getattr(tokenizer, "model_max_length", None)
        if not name.startswith("tokenizer") or longest is None or longest < UNLIMITED:
            continue
        encoder = pipeline.components.get(name.replace("tokenizer", "text_encoder"))
        positions = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
        if positions is not None:
            tokenizer.model_max_length = positions


def check_tokenizers(pipeline: Any, name: str) -> None:
    """Refuse tokenizers that cannot be asked, or whose tokens the encoder does not know.

    Raises:
        ModelError: With what is missing.
    """
    for part, tokenizer in pipeline.components.items():
        if not part.startswith("tokenizer") or tokenizer is None:
            continue
        if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
            raise ModelError(
                f"The {part} of {name!r} knows no words: its files are not there, or empty. "
                "Download or save the model again."
            )
        if tokenizer.pad_token_id is None:
            raise ModelError(
                f"The {part} of {name!r} has no pad token, by which prompts become of one length. "
                "Name the one it was trained with as pad_token in its tokenizer_config.json."
            )
        encoder = pipeline.components.get(part.replace("tokenizer", "text_encoder"))
        if encoder is None:
            continue
        rows = encoder.get_input_embeddings().weight.shape[0]
        for kind in ("pad_token", "bos_token", "eos_token"):
            number = getattr(tokenizer, f"{kind}_id")
            if number is not None and number >= rows:
                raise ModelError(
                    f"The {part} of {name!r} has the {kind} {getattr(tokenizer, kind)!r}, which is "
                    f"none of the {rows:,} that its text encoder knows: restore its files."
                )


def parameters_of(pipeline: Any) -> Iterator[torch.nn.Parameter]:
    """Of all its networks."""
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            yield from part.parameters()


def is_offloaded(pipeline: Any) -> bool:
    """Whether its networks wait on the CPU until they are needed."""
    return bool(getattr(pipeline, "_all_hooks", None))


def is_placed(part: torch.nn.Module) -> bool:
    """Whether a device map says where its layers are."""
    return getattr(part, "hf_device_map", None) is not None


def add_lora(pipeline: Any, name: str, scale: float, adapter: str, source: Source) -> None:
    """Put a LoRA on a pipeline's weights for good.

    Raises:
        ModelError: It cannot be read, or has layers that are none of the pipeline's.
    """
    if not hasattr(pipeline, "load_lora_weights"):
        raise ModelError(f"{source.name!r} takes no LoRA.")
    path = known_path(name)
    where: dict[str, Any] = {}
    settings = source.settings
    if path.is_file():
        where, place = {"weight_name": path.name}, str(path.parent)
    elif name.endswith(".safetensors"):  # someone/repository/folder/file
        parts = name.split("/")
        where, place = {"weight_name": "/".join(parts[2:])}, "/".join(parts[:2])
    else:
        place = str(path) if path.exists() else name
    known = pipeline._lora_loadable_modules  # by default some pipelines fuse the first alone
    parts = [part for part in known if getattr(pipeline, part, None) is not None]
    try:
        with _layers_read(pipeline) as layers:
            pipeline.load_lora_weights(
                place, adapter_name=adapter, local_files_only=settings.offline,
                use_safetensors=None if settings.allow_pickle else True, **where,
            )  # fmt: skip
        fitted = sum(_layers_with(getattr(pipeline, part), adapter) for part in parts)
        if fitted < len(layers) or not layers:
            found = f"{fitted} of its {len(layers)} layers are the model's"
            if not (settings.partial_lora and fitted):
                way = " partial_lora=True (--partial-lora) puts on those that fit." * (fitted > 0)
                raise ValueError(
                    f"{found}. It was made for another model, or for parts that this one lacks."
                    f"{way}"
                )
            warnings.warn(f"The LoRA {name!r}: {found}.", ConjureWarning, stacklevel=2)
        pipeline.fuse_lora(components=parts, lora_scale=scale, adapter_names=[adapter])
        pipeline.unload_lora_weights()
    except UnsafeWeightsError:
        raise
    except (ValueError, KeyError, OSError, RuntimeError, ImportError) as error:
        raise ModelError(f"The LoRA {name!r} cannot be put on {source.name!r}: {error}") from error


DOWN = re.compile(r"lora.*(_A|down)(\.\w+)?\.weight$")
"""The first matrix of an adapted layer, under all names that the library gives it."""


@contextmanager
def _layers_read(pipeline: Any) -> Iterator[set[str]]:
    """The adapted layers that a pipeline reads from a file meanwhile, as it names them."""
    layers: set[str] = set()
    read = pipeline.lora_state_dict

    def note(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        weights = found[0] if isinstance(found, tuple) else found
        layers.update(key for key in weights if DOWN.search(key))
        return found

    with patch.object(pipeline, "lora_state_dict", note):
        yield layers


def _layers_with(part: torch.nn.Module, adapter: str) -> int:
    """How many layers of a network have an adapter."""
    held = (getattr(module, "lora_A", ()) for module in part.modules())
    return sum(adapter in layers for layers in held)


def read_scheduler(pipeline: Any) -> tuple[Mapping[str, Any], str]:
    """The scheduler's configuration, with its class, and what the network predicts.

    Raises:
        ModelError: The network is preconditioned as in EDM, which its scheduler would have to undo.
    """
    config = {**pipeline.scheduler.config, "_class_name": type(pipeline.scheduler).__name__}
    if config["_class_name"].startswith("EDM"):
        raise ModelError(
            f"This model's scheduler is diffusers' {config['_class_name']}: it has noise levels "
            "and a preconditioning of its own (EDM), which conjure does not run."
        )
    flow = config["_class_name"].startswith("FlowMatch") or config.get("use_flow_sigmas")
    return config, "flow_prediction" if flow else config.get("prediction_type", "epsilon")


def networks_of(pipeline: Any, *names: str) -> dict[str, torch.nn.Module]:
    """Those of a pipeline's networks that are there, by name."""
    found = {name: getattr(pipeline, name, None) for name in names}
    return {name: network for name, network in found.items() if network is not None}


def as_encoded(pipeline: Any, tokenizer: Any, prompt: str) -> str:
    """A prompt as the pipeline tokenizes it: a textual inversion may stand for several tokens."""
    convert = getattr(pipeline, "maybe_convert_prompt", None)
    prompt = prompt if convert is None else convert(prompt, tokenizer)
    prepare = getattr(pipeline, "_text_preprocessing", None)  # lowers and strips, in some
    return prompt if prepare is None else prepare(prompt, clean_caption=False)[0]


def prompt_reader(pipeline: Any, longest: Any) -> Callable[[Sequence[str]], list[Tokenized]]:
    """Reads prompts as all encoders of a pipeline do.

    Args:
        pipeline: Which.
        longest: That of its tokenizers whose tokens are counted.
    """
    parts = pipeline.components.items()
    tokenizers = [t for name, t in parts if name.startswith("tokenizer") and t is not None]
    return reader(tokenizers, longest, partial(as_encoded, pipeline))


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over a prompt's own tokens, ``(n, d)``."""
    weight = mask.to(states)[:, :, None]
    return (states * weight).sum(1) / weight.sum(1).clamp_min(1)


def times(timestep: float, x: Tensor) -> Tensor:
    """The timestep of each row, whole numbers as such."""
    kind = torch.int64 if float(timestep).is_integer() else torch.float32
    return torch.full((len(x),), timestep, dtype=kind, device=x.device)


def state_size(
    source: Source, own: int | Sequence[int], scale: int, step: int = 1
) -> tuple[int, int]:
    """Height and width of a state.

    Args:
        source: Which may ask for another size than the model's own.
        own: That, of a state.
        scale: Pixels of the picture by one of the state.
        step: What both must be a multiple of.

    Raises:
        ConjureError: It asks for a size that the network cannot draw.
    """
    if source.settings.sides is None:
        height, width = (own, own) if isinstance(own, int) else own
        return int(height) // step * step, int(width) // step * step
    if any(side < 1 or side % (scale * step) for side in source.settings.sides):
        size = "×".join(map(str, source.settings.sides))
        raise ConjureError(
            f"{source.name!r} draws sizes that are multiples of {scale * step}, not {size}."
        )
    height, width = (side // scale for side in source.settings.sides)
    return height, width


def clip_windows(pipeline: Any, tokenizer: Any, prompt: str) -> tuple[Tensor, Tensor]:
    """A prompt's tokens in windows of an encoder's length, each with start, end and padding.

    Returns:
        The tokens and which of them are no padding, ``(windows, length)`` each.
    """
    text = as_encoded(pipeline, tokenizer, prompt)
    tokens = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    start, *_, end = tokenizer("a").input_ids
    room = tokenizer.model_max_length - 2
    parts = [tokens[at : at + room] for at in range(0, max(1, len(tokens)), room)]
    pad = tokenizer.pad_token_id
    rows = [[start, *part, end, *[pad] * (room - len(part))] for part in parts]
    own = torch.tensor([len(part) + 2 for part in parts])[:, None]
    return torch.tensor(rows), (torch.arange(room + 2) < own).long()


def dynamic_shift(config: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """``mu`` of a flow scheduler that shifts its levels by the number of picture tokens."""
    if not config.get("use_dynamic_shifting"):
        return {}
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    defaults = {"base_image_seq_len": 256, "max_image_seq_len": 4096}
    defaults |= {"base_shift": 0.5, "max_shift": 1.15}
    return {"mu": calculate_shift(tokens, *(config.get(k, v) for k, v in defaults.items()))}


def concatenated(parts: Iterable[Tensor]) -> Tensor:
    """Windows of one prompt as one row: ``(windows, length, d)`` → ``(1, windows·length, d)``."""
    return torch.cat([part.reshape(1, -1, part.shape[-1]) for part in parts], dim=-1)


def embedded_guidance(source: Source, usual: float, *, taken: bool) -> float | None:
    """The guidance that a network takes as an input; None for one that takes none.

    Args:
        source: Whose settings may name one.
        usual: The pipeline's own.
        taken: Whether the network takes any.
    """
    if not taken:
        return None
    given = source.settings.embedded_guidance
    return usual if given is None else given
