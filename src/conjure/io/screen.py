"""The terminal, by way of rich: what is shown there is text, and neither markup nor commands."""

from __future__ import annotations

from typing import Any

import rich.console
import rich.text

from conjure.io.visible import visible


class Text(rich.text.Text):  # noqa: TID251
    """Rich's, with control characters made visible before it takes up room."""

    def __init__(self, text: str = "", *args: Any, **options: Any) -> None:
        super().__init__(visible(text), *args, **options)

    def append(self, text: Any, style: Any = None) -> Text:
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self


class Screen(rich.console.Console):  # noqa: TID251
    """Rich's, to which a string is text, wherever it stands: no markup, no emoji by name."""

    def render_str(
        self, text: str, *, style: Any = "", justify: Any = None, overflow: Any = None, **_: Any
    ) -> Text:
        return Text(text, style=style, justify=justify, overflow=overflow)
