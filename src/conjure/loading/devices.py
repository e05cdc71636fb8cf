"""Where networks run, and in what precision."""

from __future__ import annotations

import torch

from conjure.errors import ConjureError
from conjure.process.settings import dtype_name


def torch_dtype(name: str) -> torch.dtype:
    """A precision by its name, as people write it.

    Raises:
        UnknownNameError: There is no such.

    >>> torch_dtype("bf16")
    torch.bfloat16
    """
    return getattr(torch, dtype_name(name))


def check_device(device: str | None) -> torch.device:
    """A device by its name; the fastest there is where none is given.

    Raises:
        ConjureError: It cannot be used here.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.zeros(1, device=place).item()  # which "meta" cannot say
    except Exception as error:  # each device's library fails in a way of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConjureError(
            f"The device {device!r} cannot be used here: {reason.rstrip('.')}. Try 'cpu'."
        ) from error
    return place
