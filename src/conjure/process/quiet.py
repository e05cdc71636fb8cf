"""The libraries' remarks, which are to those who write pipelines, kept off those who use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*, remarks: bool = True) -> Iterator[None]:
    """Neither bars of diffusers and transformers meanwhile, nor their remarks; errors come through.

    Args:
        remarks: Whether these are kept off, too, and not the bars alone.
    """
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(x, x.is_progress_bar_enabled(), x.get_verbosity()) for x in libraries]
    try:
        for library in libraries:
            library.disable_progress_bar()
            if remarks:
                library.set_verbosity_error()
        yield
    finally:
        for library, bars, verbosity in before:
            library.set_verbosity(verbosity)
            if bars:
                library.enable_progress_bar()
