"""The options of ``conjure.load``, made from its settings, and the process that they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, get_type_hints

import typer

from conjure.cli.options import MODEL, PROCESS, Command, option, packed, with_parameters
from conjure.divergence import ESTIMANDS
from conjure.loading.names import check_names
from conjure.process.settings import Settings, about

if TYPE_CHECKING:
    from conjure.operations.sampling import Sampling

PANELS = {"process": PROCESS, "model": MODEL}
"""In the order in which ``--help`` shows them."""


class LoadProcess(Protocol):
    """Loads the process that the options name; arguments replace some of them.

    Attributes:
        settings: The options by name; ``model`` is None where none was named.
    """

    settings: dict[str, Any]

    def __call__(self, **changes: Any) -> Any: ...


def takes_process(command: Command) -> Command:
    """Give a command the options of ``conjure.load``, and the process that they name.

    The command's first parameter receives a function that loads the process, to be called once
    everything else has been checked.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [_option(one) for panel in PANELS for one in fields(Settings) if _in(panel, one)]

    @wraps(command)
    def run(**options: Any) -> None:
        settings = {parameter.name: options.pop(parameter.name) for parameter in shared}
        check_names(Settings(**named(settings)))

        def load(**changes: Any) -> Any:
            from conjure.cli.console import quiet_libraries, status

            quiet_libraries()
            with status("Loading the model"):
                from conjure.loading.load import load as load_process

                return load_process(**named(settings | changes))

        load.settings = settings  # type: ignore[attr-defined]
        command(load, **options)

    return with_parameters(run, [*own, *shared])


ELSEWHERE = {
    "model": "Where the model is now, if it is not where it was.",
    "lora": "Where the LoRA is now, if it is not where it was, with its scale after a colon.",
}


def takes_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command that opens what was made before the options of some settings.

    They come in place of its parameter ``settings``.
    """
    chosen = {one.name: _option(one, ELSEWHERE.get(one.name)) for one in fields(Settings)}
    return lambda command: packed(command, "settings", [chosen[name] for name in names])


def named(options: dict[str, Any]) -> dict[str, Any]:
    """Options as settings: where no model is named, the usual one is meant."""
    model = options["model"]
    return {**options, "model": "emoji" if model is None else model}


def check_sampling(options: Mapping[str, Any], out: Path | None) -> Sampling:
    """Refuse a way of sampling, and a place for a run, before any model is loaded.

    Returns:
        The way of sampling.

    Raises:
        ConjureError: With what to do instead.
    """
    from conjure.io.files import check_folder
    from conjure.operations.sampling import Sampling

    chosen = Sampling(**options)
    if out is not None:
        check_folder(out)
    return chosen


def check_request(
    estimand: str, seed: int, *, samples: int = 1, antithetic: bool = False, out: Path | None = None
) -> None:
    """Refuse what needs no model to be refused, before it is loaded.

    Raises:
        ConjureError: With what to do instead.
    """
    from conjure.io.files import check_folder
    from conjure.operations import sampling

    ESTIMANDS[estimand]
    sampling.check_sampling(samples, seed)
    sampling.check_antithetic(samples, antithetic=antithetic)
    if out is not None:
        check_folder(out)


def _in(panel: str, one: Field[Any]) -> bool:
    return about(one).panel == panel


def _option(one: Field[Any], told: str | None = None) -> inspect.Parameter:
    """A setting as a parameter that typer reads, told of in other words where it means another."""
    known = about(one)
    kind = get_type_hints(Settings)[one.name] if known.type is None else known.type
    made = typer.Option(*known.flags, help=told or known.help, rich_help_panel=PANELS[known.panel])
    return option(one.name, Annotated[kind, made], known.default)
