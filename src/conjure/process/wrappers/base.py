"""A process that is another one in all but what it says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conjure.process.base import Process

if TYPE_CHECKING:
    from typing import Any as _Forwards
else:

    class _Forwards:
        """Whatever a wrapper lacks is asked of what it wraps; type checkers see no lack."""

        def __getattr__(self, name: str) -> Any:
            if name == "process" or name.startswith("__"):  # not there yet, while it is copied
                raise AttributeError(name)
            return getattr(self.process, name)


@dataclass(frozen=True)
class Wrapper(_Forwards):
    """Answers as the process that it wraps; a subclass overrides what it changes.

    Args:
        process: Which.
    """

    process: Process
