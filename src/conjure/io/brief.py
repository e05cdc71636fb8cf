"""How objects show themselves in a line, and messages show what users wrote."""

from __future__ import annotations

from collections.abc import Sequence


def shortened(prompt: str, most: int = 60) -> str:
    """A prompt in quotes, not longer than so many characters.

    >>> shortened("cat"), shortened("a very long prompt", most=12)
    ("'cat'", "'a very lo...'")
    """
    return repr(str(prompt) if len(prompt) <= most else prompt[: most - 3] + "...")


def listed(prompts: Sequence[str], most: int = 3) -> str:
    """The first of some prompts, and how many there are.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"])
    ("'a', 'b'", "'a', 'b', 'c' … (4)")
    """
    some = ", ".join(shortened(prompt, 30) for prompt in prompts[:most])
    return some if len(prompts) <= most else f"{some} … ({len(prompts):,})"


def measured(value: float, error: float | None, unit: str = "") -> str:
    """A number with its standard error, if there is one.

    >>> measured(12.345, 0.678, " nats"), measured(12.345, None)
    ('12.35 ± 0.68 nats', '12.35')
    """
    return f"{value:.4g}" + ("" if error is None else f" ± {error:.2g}") + unit
