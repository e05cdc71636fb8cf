"""What users hand over: numbers of numpy's, and texts that are no prompts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.checks import MOST_CHARACTERS
from conjure.operations.sampling import Sampling
from conjure.process.settings import Settings

PROCESS = GaussianProcess.build({n: Gaussian(np.full(2, len(n)), np.eye(2)) for n in ("", "a")})


@pytest.mark.parametrize(
    "run",
    [
        lambda k, s: conjure.compare("", "a", process=PROCESS, samples=k, seed=s).to_dict(),
        lambda k, s: conjure.matrix(["", "a"], process=PROCESS, samples=k, seed=s).to_dict(),
        lambda k, s: next(
            conjure.compare_pairs([("", "a")], process=PROCESS, samples=k, seed=s)
        ).to_dict(),
        lambda k, s: conjure.embed(["a"], process=PROCESS, paths=k, seed=s).manifest,
    ],
    ids=["compare", "matrix", "pairs", "embed"],
)
def test_integers_of_numpy_are_whole_numbers(run):
    found, wanted = run(np.int64(2), np.uint8(3)), run(2, 3)
    found.pop("seconds", None)
    wanted.pop("seconds", None)
    assert json.dumps(found) == json.dumps(wanted)


def test_settings_of_numpy_are_settings():
    five: Any = np.int32(5)
    some: dict[str, Any] = {"guidance": np.float32(2.5), "eta": np.float32(0.5)}
    given = Settings(steps=five, size=np.int64(64), **some)  # pyright: ignore[reportArgumentType]
    assert given == Settings(steps=5, guidance=2.5, eta=0.5, size=64)
    assert json.dumps(vars(given)) == json.dumps(vars(Settings(**vars(given))))
    many: dict[str, Any] = {"samples": np.int16(64), "tolerance": np.float32(0.25)}
    sampling = Sampling(**many, max_calls=np.int64(9))  # pyright: ignore[reportArgumentType]
    assert json.dumps(vars(sampling))


@pytest.mark.parametrize("number", [True, 2.0, np.float64(2), "2", np.bool_(True), None])
def test_what_is_no_whole_number_is_refused(number):
    with pytest.raises(ConjureError, match="samples is a whole number"):
        conjure.compare("", "a", process=PROCESS, samples=number)


def test_a_document_is_no_prompt():
    text = "word " * (MOST_CHARACTERS // 5 + 1)
    with pytest.raises(ConjureError, match=r"has 100,005 characters, and a prompt at most"):
        conjure.compare("a", text, process=PROCESS)
    with pytest.raises(ConjureError, match=r"negative prompt.*100,005 characters"):
        Settings(negative=text)
