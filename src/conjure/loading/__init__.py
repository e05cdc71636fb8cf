"""From a model's name and its settings to a process; whatever can be refused before is.

Imports nothing at start, so that ``--help`` need not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conjure.registry import imported_when_used

if TYPE_CHECKING:
    from conjure.loading.load import reload, vary

__all__ = ["reload", "vary"]

__getattr__ = imported_when_used(
    __name__, {"reload": "conjure.loading.load", "vary": "conjure.loading.load"}
)
