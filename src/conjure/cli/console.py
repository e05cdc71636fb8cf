"""What the commands share: the screen, the spinner, the quiet."""

from __future__ import annotations

import json
import warnings
from contextlib import AbstractContextManager
from typing import Any

from conjure.io.screen import Screen, Text
from conjure.io.visible import visible

_OUT = Screen()
_ERR = Screen(stderr=True)


def show(renderable: Any) -> None:
    """Print a result on standard output."""
    _OUT.print(renderable)


def show_json(record: Any) -> None:
    """Print a result on standard output as one line of JSON."""
    print(visible(json.dumps(record, ensure_ascii=False, allow_nan=False)))


def say(message: Any, style: str = "dim") -> None:
    """A remark on standard error, where it does not mix with results.

    Args:
        message: A string, or a text with styles of its own.
        style: Of all of it.
    """
    _ERR.print(message, style=style)


def status(message: str) -> AbstractContextManager[Any]:
    """A spinner on standard error while something without steps goes on."""
    return _ERR.status(Text(message))


def quiet_libraries() -> None:
    """Keep the libraries' notes to developers off a user's screen. Errors still come through."""
    import logging

    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from conjure.errors import ConjureWarning

    warnings.filterwarnings("ignore")
    warnings.filterwarnings("once", category=ConjureWarning)
    warnings.showwarning = lambda message, *_, **__: say(str(message))
    logging.getLogger("torch").setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
