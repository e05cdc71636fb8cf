"""Where networks run, and in what precision."""

from __future__ import annotations

import torch

from conjure.errors import ConjureError, UnknownNameError

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def check_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A precision by its name, as people write it.

    Raises:
        UnknownNameError: There is no such.

    >>> check_dtype("bf16")
    torch.bfloat16
    """
    name = str(dtype).removeprefix("torch.")
    name = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16"}.get(
        name, name
    )
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


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
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConjureError(
            f"The device {device!r} cannot be used here: {reason} Try 'cpu'."
        ) from error
    return place
