"""The settings of a process: each written once, with its check, its option and what it decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from conjure.checks import plain_number, whole, why_no_text
from conjure.errors import ConjureError, UnknownNameError
from conjure.models import EMBEDDED
from conjure.process.samplers import SAMPLERS
from conjure.process.samplers.spacings import LCM_SPACING, SPACINGS, TIMESTEP_SPACINGS

LONG = ("refuse", "truncate", "chunk")
"""What may become of prompts beyond the text encoder's length."""

UNREAD = ("refuse", "warn")
"""What may become of prompts in characters that the text encoder does not know."""

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""Precisions of a network."""

DEVICES = (
    "cpu", "cuda", "mps", "xpu", "hpu", "hip", "ipu", "xla", "mtia", "maia", "vulkan", "npu", "mlu",
    "musa", "gcu", "sdaa", "privateuseone", "meta",
)  # fmt: skip
"""Kinds of devices that PyTorch and its extensions know, whether or not there is one here."""

SHORT_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16"}
"""And what people call them."""

Panel = Literal["model", "process"]
Decides = Literal["weights", "path"]
USUAL: Any = object()


@dataclass(frozen=True)
class About:
    """What is known of one setting beside its value.

    Args:
        help: Of its option on the command line; markup is Rich's.
        flags: Of its option, where they are not made from its name.
        panel: Of the help that its option stands in.
        decides: Which weights are loaded and how, or a path on loaded weights, which
            ``conjure.vary`` can change.
        read: How one of its values is read from text, where it can be varied on the command line.
        described_as: Its name in ``Process.describe``, from which the process can be loaded again;
            True for its own name, False where it changes no number.
        type: Of its option, where that is another than the setting's.
        default: Likewise.
    """

    help: str
    flags: tuple[str, ...]
    panel: Panel
    decides: Decides
    read: Callable[[str], Any] | None
    described_as: bool | str
    type: Any
    default: Any


def setting(
    default: Any,
    help: str,
    *flags: str,
    panel: Panel = "process",
    decides: Decides = "path",
    read: Callable[[str], Any] | None = None,
    described_as: bool | str = False,
    type: Any = None,
    option_default: Any = USUAL,
) -> Any:
    """A field of ``Settings``; see ``About``."""
    usual = default if option_default is USUAL else option_default
    about = About(help, flags, panel, decides, read, described_as, type, usual)
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Settings:
    """All that a process is loaded with. ``conjure.load`` takes these as its arguments.

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
        long: What to do with prompts beyond the text encoder's length: ``refuse``, ``truncate``,
            or ``chunk``, which encodes them in windows (Stable Diffusion and SDXL).
        unread: What to do with prompts in characters that the text encoder does not know, where
            nothing else is in them, or two differ in nothing else: ``refuse``, or ``warn``.
        lora: LoRA weights to put on the model, a folder, file or hub id, each with its scale after
            a colon if that is not 1 (``"style.safetensors:0.8"``).
        size: Of the picture in pixels, one side or (height, width); None for the model's own.
        config: Folder in diffusers' layout, or hub id, that says what a single checkpoint is; None
            to ask the hub.
        revision: Branch, tag or commit on the hub.
        variant: Weights variant on the hub or in the folder, such as ``fp16``.
        offline: Read only what is on this machine already.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the fastest there is, and leaves
            a pipeline in memory where it is.
        dtype: Precision of the network; None for float32, or that of a pipeline in memory. Half
            precision biases close pairs upwards.
        batch_size: Network rows a pass; None chooses by the size of a state, and in long runs by
            measuring. Results do not depend on it.
        offload: Keep each network on the CPU until it is needed, to save the device's memory.
        compiled: Compile the network with ``torch.compile``; passes are then of few sizes.
        partial_lora: Put a LoRA on though some of its layers are none of the model's.
        allow_pickle: Read weights that are not safetensors. Pickles can run any code: only from
            those you trust.

    Raises:
        UnknownNameError: No such sampler, dtype or choice.
        ConjureError: A value that no process can have.
    """

    model: str | Path | Any = setting(
        "emoji",
        f"{', '.join(EMBEDDED)} (ships with conjure), a folder in diffusers' layout, a hub "
        "id, or a .safetensors checkpoint.  [dim]\\[default: emoji][/dim]",
        "--model", "-m",
        panel="model", decides="weights", read=str, type=str | None, option_default=None,
    )  # fmt: skip
    _: KW_ONLY
    sampler: str = setting("ddim", f"One of {', '.join(SAMPLERS)}.", read=str, described_as=True)
    eta: float | None = setting(
        None,
        "η of ddim: 0 deterministic, 1 ancestral.  [dim]\\[default: 1, of own 0][/dim]",
        read=float, described_as=True,
    )  # fmt: skip
    spacing: str | None = setting(
        None,
        "Spacing of the steps: leading, trailing, linspace, karras, exponential, beta.  "
        "[dim]\\[default: the pipeline's own][/dim]",
        read=str, described_as=True,
    )  # fmt: skip
    shift: float | None = setting(
        None,
        "Timestep shift of a flow's noise levels.  [dim]\\[default: the pipeline's own][/dim]",
        read=float, described_as=True,
    )  # fmt: skip
    steps: int = setting(
        20, "States of a path that are scored.", "--steps", "-T", read=int, described_as=True
    )
    guidance: float | None = setting(
        1.0, "Classifier-free guidance, at least 1 (none).", "--guidance", "-w",
        read=float, described_as=True, type=float,
    )  # fmt: skip
    negative: str = setting("", "Prompt of the unconditional branch.", read=str, described_as=True)
    embedded_guidance: float | None = setting(
        None,
        "Guidance that is an input of the network, as in Flux and LCMs.  "
        "[dim]\\[default: the pipeline's own][/dim]",
        decides="weights", read=float, described_as=True,
    )  # fmt: skip
    long: str = setting(
        "refuse",
        "Prompts beyond the text encoder's length: refuse, truncate, or chunk (read in windows).",
        described_as=True,
    )
    unread: str = setting(
        "refuse",
        "Prompts that differ in nothing but characters which the text encoder does not know: "
        "refuse or warn.",
    )
    lora: str | Sequence[str | tuple[str, float]] = setting(
        (),
        "LoRA weights to put on the model: file, folder or hub id, with its scale after a "
        "colon if that is not 1. May be repeated.",
        panel="model", decides="weights", read=str, described_as="loras", type=list[str],
        option_default=[],
    )  # fmt: skip
    size: int | tuple[int, int] | None = setting(
        None, "Side of the picture in pixels.  [dim]\\[default: the model's own][/dim]",
        panel="model", decides="weights", described_as=True, type=int | None,
    )  # fmt: skip
    config: str | Path | None = setting(
        None,
        "Folder in diffusers' layout, or hub id, that says what a single checkpoint is.  "
        "[dim]\\[default: the hub knows][/dim]",
        panel="model", decides="weights", read=str, type=str | None,
    )  # fmt: skip
    revision: str | None = setting(
        None, "Branch, tag or commit on the hub.", panel="model", decides="weights", read=str
    )
    variant: str | None = setting(
        None, "Weights variant, such as fp16.", panel="model", decides="weights", read=str
    )
    offline: bool = setting(
        False, "Read only what is on this machine already.", "--offline",
        panel="model", decides="weights",
    )  # fmt: skip
    device: str | None = setting(
        None, "cpu, cuda, cuda:1, mps.  [dim]\\[default: the fastest][/dim]",
        panel="model", decides="weights",
    )  # fmt: skip
    dtype: str | Any | None = setting(
        None, "Network precision: float32, bfloat16, float16, float64.",
        panel="model", decides="weights", read=str, described_as=True, type=str,
        option_default="float32",
    )  # fmt: skip
    batch_size: int | None = setting(
        None,
        "Network rows a pass; results do not depend on it.  [dim]\\[default: by the size of a "
        "state, and in long runs by measuring][/dim]",
        panel="model",
    )  # fmt: skip
    offload: bool = setting(
        False, "Keep each network on the CPU until it is needed, to spare the device's memory.",
        "--offload", panel="model", decides="weights",
    )  # fmt: skip
    compiled: bool = setting(
        False, "Compile the network; worth it in long runs.", "--compile",
        panel="model", decides="weights",
    )  # fmt: skip
    partial_lora: bool = setting(
        False, "Put a LoRA on though some of its layers are none of the model's.",
        "--partial-lora", panel="model", decides="weights", described_as=True,
    )  # fmt: skip
    allow_pickle: bool = setting(
        False, "Read weights that are not safetensors. They can run any code.", "--allow-pickle",
        panel="model", decides="weights",
    )  # fmt: skip

    def __post_init__(self) -> None:
        for one in fields(self):
            self._set(one.name, plain_number(getattr(self, one.name)))
        guided = self.embedded_guidance
        if guided is not None and not math.isfinite(guided):
            raise ConjureError(f"embedded_guidance is a number, not {guided!r}.")
        self._set("guidance", _guidance(self.guidance))
        reason = why_no_text(self.negative)
        if reason is not None:
            raise ConjureError(f"The negative prompt: {reason}")
        if self.long not in LONG:
            raise UnknownNameError("choice for long prompts", self.long, LONG)
        if self.unread not in UNREAD:
            raise UnknownNameError("choice for unread prompts", self.unread, UNREAD)
        self._set("steps", whole("steps", self.steps))
        if self.batch_size is not None:
            self._set("batch_size", whole("batch_size", self.batch_size))
        if self.device is not None and str(self.device).partition(":")[0] not in DEVICES:
            raise UnknownNameError("device", str(self.device), DEVICES)
        SAMPLERS.check(self.sampler)
        if self.eta is not None and not getattr(SAMPLERS[self.sampler], "takes_eta", True):
            SAMPLERS[self.sampler]({}, self.eta)  # which says why not
        if self.spacing is not None and self.spacing not in SPACINGS:
            raise UnknownNameError("spacing", self.spacing, SPACINGS)
        if self.spacing in TIMESTEP_SPACINGS and self.sampler == "lcm":
            raise ConjureError(LCM_SPACING)
        self._set("dtype", None if self.dtype is None else dtype_name(self.dtype))
        self._set("lora", (self.lora,) if isinstance(self.lora, str) else tuple(self.lora))
        self._set("size", _size(self.size))

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width of the picture; None for the model's own."""
        return _size(self.size)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def about(one: Field[Any]) -> About:
    """What is known of a setting, given its field."""
    return one.metadata["about"]


def names_of(**wanted: Any) -> tuple[str, ...]:
    """The settings that are alike in some respects, in their order.

    >>> names_of(decides="path", panel="model")
    ('batch_size',)
    """
    return tuple(
        one.name
        for one in fields(Settings)
        if all(getattr(about(one), key) == value for key, value in wanted.items())
    )


def types_described() -> dict[str, Any]:
    """The types of what a description may say of settings, by the names that it has for them.

    >>> types_described()["steps"]
    <class 'int'>
    """
    hints = get_type_hints(Settings)
    return {_key(one): hints[one.name] for one in fields(Settings) if about(one).described_as}


def arguments_from(description: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the process that described itself so.

    >>> arguments_from({"sampler": "ddim", "steps": 5, "shift": None, "loras": [["a/b", 0.5]]})
    {'sampler': 'ddim', 'steps': 5, 'lora': [['a/b', 0.5]]}
    """
    found = {}
    for one in fields(Settings):
        value = description.get(_key(one))
        if about(one).described_as and value not in (None, []):
            found[one.name] = value
    return found


def described(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a description says of some settings' values; of those that have none, nothing.

    >>> described({"steps": 5, "lora": [["a/b", 0.5]], "shift": None, "device": "cpu"})
    {'steps': 5, 'loras': [['a/b', 0.5]]}
    """
    return {
        _key(one): values[one.name]
        for one in fields(Settings)
        if about(one).described_as and values.get(one.name) not in (None, [])
    }


def _key(one: Field[Any]) -> str:
    name = about(one).described_as
    return name if isinstance(name, str) else one.name


def dtype_name(dtype: Any) -> str:
    """A precision's full name.

    Raises:
        UnknownNameError: There is no such.

    >>> dtype_name("bf16")
    'bfloat16'
    """
    name = str(dtype).removeprefix("torch.")
    name = SHORT_DTYPES.get(name, name)
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return name


def _guidance(guidance: Any) -> float:
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


def _size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = size if isinstance(size, tuple | list) else (size, size)
    try:
        height, width = (whole("size", side) for side in sides)
    except ValueError as error:
        raise ConjureError(
            f"size is one whole number of pixels, or (height, width), not {size!r}."
        ) from error
    return height, width
