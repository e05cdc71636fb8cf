"""Settings that vary from process to process: as people write them, and loaded one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from conjure.cli.process_options import LoadProcess, named
from conjure.cli.words import took
from conjure.errors import ConjureError
from conjure.loading.settings import other_weights, without_old_eta
from conjure.process.samplers import SAMPLERS
from conjure.process.settings import Settings, about, names_of

if TYPE_CHECKING:
    from conjure.operations.costs import Plan
    from conjure.process.base import Process

Kind = Callable[[str], Any]

KINDS: dict[str, Kind] = {
    one.name: read for one in fields(Settings) if (read := about(one).read) is not None
}
"""Settings that can be varied, with how one of their values is read from text."""

WEIGHTS = names_of(decides="weights")
"""Settings that decide which weights are loaded, and how."""

WHOLE = ("negative",)
"""Those whose values have commas of their own: one value a time, and as often as there are any."""


SAMPLES = {"samples": int}
"""What else an evaluation can vary."""


PROMPT = {"prompt": str}
"""What else a comparison of processes can vary: ``read`` or ``ignored``."""


def parse_vary(
    options: Sequence[str], also: Mapping[str, Kind] | None = None
) -> dict[str, list[Any]]:
    """``guidance=1,3`` and the like as names and values.

    Args:
        options: As they were written.
        also: What can be varied beside the settings of a process.

    Raises:
        ConjureError: It is not of that form, or names nothing that can be varied.

    >>> parse_vary(["guidance=1,3", "steps=5,10"])
    {'guidance': [1.0, 3.0], 'steps': [5, 10]}
    >>> parse_vary(["negative=", "negative=ugly, blurry"])
    {'negative': ['', 'ugly, blurry']}
    """
    kinds = {**KINDS, **(also or {})}
    found: dict[str, list[Any]] = {}
    for option in options:
        name, values = _split(option, kinds, "--vary is NAME=VALUES")
        if name in found and name not in WHOLE:
            raise ConjureError(f"{name} is varied twice: give all its values at once.")
        parts = [values] if name in WHOLE else values.split(",")
        found.setdefault(name, []).extend(
            _value(name, part.strip(), kinds[name], option) for part in parts
        )
        if not (values or name in WHOLE) or len(set(found[name])) < len(found[name]):
            raise ConjureError(f"{option!r} has no values, or one of them twice.")
    return found


def parse_changes(options: Sequence[str]) -> dict[str, Any]:
    """``guidance=3`` and the like as names and one value each.

    Raises:
        ConjureError: It is not of that form, or names no setting.

    >>> parse_changes(["dtype=bfloat16", "guidance=3"])
    {'dtype': 'bfloat16', 'guidance': 3.0}
    """
    found: dict[str, Any] = {}
    for option in options:
        name, value = _split(option, KINDS, "--change is NAME=VALUE")
        if name in found:
            raise ConjureError(f"{name} is changed twice.")
        found[name] = _value(name, value, KINDS[name], option)
    return found


def _split(option: str, known: Collection[str], form: str) -> tuple[str, str]:
    name, sign, rest = option.partition("=")
    name = name.strip().replace("-", "_")
    if not sign or name not in known:
        raise ConjureError(f"{form} with a NAME of {', '.join(known)}, unlike {option!r}.")
    return name, rest


def _value(name: str, text: str, kind: Kind, option: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise ConjureError(f"The values of {name} in {option!r} are no numbers.") from error


class Start:
    """Loads the process when a method first asks for it, and says what it will have to do."""

    def __init__(self, loader: Loader, changes: dict[str, Any]) -> None:
        self.loader, self.changes, self.process = loader, changes, None

    def __call__(self) -> Process:
        if self.process is None:
            self.process = self.loader(self.changes)
        return self.process

    def loaded(self) -> list[Process]:
        """The process, if any method asked for it."""
        return [] if self.process is None else [self.process]

    def announce(self, plan: Plan) -> None:
        """What an evaluation will take, said before it starts."""
        from conjure.cli.console import say

        if self.process is not None:
            calls = f"About {plan.calls:,} network calls{took(plan)}."
            say(calls if plan.calls else "Nothing to compute: every sample is there.")


def check_points(
    load: LoadProcess, points: Sequence[dict[str, Any]], estimand: str | None = None
) -> None:
    """Refuse the changes of settings that cannot be made, before the first of them is run.

    Args:
        load: Of the command.
        points: The changes.
        estimand: One that each must have a value for, as far as that shows without its model.

    Raises:
        ConjureError: With what to do instead. The last point may come after hours.
    """
    from conjure.loading.names import locate
    from conjure.operations.arguments import why_without

    for point in points:
        changes = {name: value for name, value in point.items() if name in load.settings}
        settings = Settings(**named(load.settings | other_weights(changes)))
        locate(settings.model)
        name = settings.sampler
        if estimand is None or name in ("own", "flow-stochastic"):  # what they are, a model says
            continue
        draws = SAMPLERS[name]({}, settings.eta).draws_noise
        reason = why_without(estimand, settings.steps, name, draws_noise=draws)
        if reason is not None:
            raise ConjureError(reason)


class Loader:
    """Loads processes one after another; weights that the last one has are not loaded again.

    Args:
        load: Of the command.
    """

    def __init__(self, load: LoadProcess) -> None:
        self._load = load
        self._weights: dict[str, Any] | None = None
        self._process: Any = None

    def __call__(self, changes: Mapping[str, Any]) -> Any:
        """The process with some settings of the command changed, always the same ones."""
        from conjure.loading.load import vary

        weights = {name: value for name, value in changes.items() if name in WEIGHTS}
        rest = {name: value for name, value in changes.items() if name not in WEIGHTS}
        if self._process is not None and self._weights == weights:
            return vary(self._process, **rest)
        self._process = None  # the last one's memory is free before the next one comes
        self._process = self._load(**other_weights(weights), **rest)
        self._weights = weights
        return self._process


def at_point(load: LoadProcess, point: Mapping[str, Any]) -> dict[str, Any]:
    """Some changed settings, and with them the η of the command where the sampler is its own."""
    changed = without_old_eta(point, load.settings["sampler"])
    if "sampler" in changed:  # said at each point, since the last may have had another
        changed.setdefault("eta", load.settings["eta"])
    return changed
