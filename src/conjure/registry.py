"""Every choice that has a name, on one page. To add one: its file, and its line here.

Entries are imported only when one is used, so that listing the names (for ``--help``) is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from conjure.errors import ConjureError, UnknownNameError

if TYPE_CHECKING:
    from conjure.baselines.base import Asked, Method
    from conjure.divergence.base import Estimand
    from conjure.process.families.base import Family, Source
    from conjure.process.samplers.base import Sampler, SchedulerConfig

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names mapped to ``"module:attribute"`` strings; a lookup imports the module.

    Args:
        kind: What the names are, for error messages (``"sampler"``).
        places: One line an entry.

    >>> names = Registry("number", {"pi": "math:pi"})
    >>> names["pi"] > 3
    True
    >>> names["pie"]
    Traceback (most recent call last):
        ...
    conjure.errors.UnknownNameError: Unknown number 'pie'. Did you mean 'pi'? Known: pi.
    """

    def __init__(self, kind: str, places: Mapping[str, str]) -> None:
        self._kind = kind
        self._places = dict(places)

    def __getitem__(self, name: str) -> T:
        """Import and return the entry.

        Raises:
            UnknownNameError: No such name; the message has the nearest ones.
        """
        if name not in self._places:
            raise UnknownNameError(self._kind, str(name), self._places)
        module, attribute = self._places[name].split(":")
        return getattr(import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def register(self, name: str, place: str) -> None:
        """Add an entry of a package of yours, from then on known as any other.

        Args:
            name: How users ask for it.
            place: ``"module:attribute"``, imported when it is first used.

        Raises:
            ConjureError: The name is taken, or the place has another form.

        >>> names = Registry("number", {"pi": "math:pi"})
        >>> names.register("e", "math:e")
        >>> sorted(names)
        ['e', 'pi']
        """
        if name in self._places:
            raise ConjureError(f"There is a {self._kind} {name!r} already: take another name.")
        if place.count(":") != 1:
            raise ConjureError(f"A place is 'module:attribute', unlike {place!r}.")
        self._places[name] = place

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


ESTIMANDS: Registry[Estimand] = Registry(
    "estimand",
    {
        "girsanov": "conjure.divergence.girsanov:ESTIMAND",
        "ancestral": "conjure.divergence.ancestral:ESTIMAND",
        "score": "conjure.divergence.score:ESTIMAND",
        "epsilon": "conjure.divergence.epsilon:ESTIMAND",
        "picture": "conjure.divergence.picture:ESTIMAND",
        "as-printed": "conjure.divergence.as_printed:ESTIMAND",
    },
)
"""Ways to sum a run's squared differences into a distance."""

SAMPLERS: Registry[Callable[[SchedulerConfig, float | None], Sampler]] = Registry(
    "sampler",
    {
        "ddim": "conjure.process.samplers.ddim:build",
        "ddpm": "conjure.process.samplers.ddpm:build",
        "euler": "conjure.process.samplers.euler:build",
        "euler-ancestral": "conjure.process.samplers.euler:build_ancestral",
        "heun": "conjure.process.samplers.heun:build",
        "dpm++": "conjure.process.samplers.dpm:build",
        "dpm++-sde": "conjure.process.samplers.dpm:build_sde",
        "unipc": "conjure.process.samplers.unipc:build",
        "pndm": "conjure.process.samplers.pndm:build",
        "lcm": "conjure.process.samplers.lcm:build",
        "flow-stochastic": "conjure.process.samplers.flow_stochastic:build",
        "own": "conjure.process.samplers.own:build",
    },
)
"""Ways to advance a path: functions of a scheduler's configuration and η (None: not given)."""

FAMILIES: Registry[Callable[[Source], Family]] = Registry(
    "pipeline",
    {
        "StableDiffusionPipeline": "conjure.process.families.stable_diffusion:load",
        "LatentConsistencyModelPipeline": "conjure.process.families.stable_diffusion:load_lcm",
        "StableDiffusionXLPipeline": "conjure.process.families.sdxl:load",
        "StableDiffusion3Pipeline": "conjure.process.families.sd3:load",
        "FluxPipeline": "conjure.process.families.flux:load",
        "PixArtAlphaPipeline": "conjure.process.families.pixart:load_alpha",
        "PixArtSigmaPipeline": "conjure.process.families.pixart:load_sigma",
        "SanaPipeline": "conjure.process.families.sana:load",
        "HunyuanDiTPipeline": "conjure.process.families.hunyuan:load",
        "IFPipeline": "conjure.process.families.deepfloyd:load",
        "AuraFlowPipeline": "conjure.process.families.aura_flow:load",
    },
)
"""Loaders of models, by the ``_class_name`` in a pipeline's ``model_index.json``."""

METHODS: Registry[Callable[[Asked, str | None], Method]] = Registry(
    "method",
    {
        "conjuring": "conjure.baselines.conjuring:build",
        "relative": "conjure.baselines.relative:build",
        "landmarks": "conjure.baselines.landmarks:build",
        "initial-timestep": "conjure.baselines.initial_timestep:build",
        "direct-output": "conjure.baselines.direct_output:build",
        "text-encoder": "conjure.baselines.text_encoder:build",
        "sentence-transformers": "conjure.baselines.sentence_transformers:build",
        "trajectories": "conjure.baselines.trajectories:build",
        "trajectories+prompt": "conjure.baselines.trajectories:build_prompted",
    },
)
"""Rows of the evaluation's table: functions of what is asked and of what follows the colon."""

EMBEDDED = {"emoji": Path(__file__).parent / "models" / "emoji"}
"""Models that ship with the package."""
