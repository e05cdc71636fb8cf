"""Results are data: they are pickled, copied and sent about, without the model."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import joblib
import numpy as np
import pytest

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess


@pytest.fixture(scope="module")
def process(pipeline_folder):
    return conjure.load(pipeline_folder, steps=2)


def results(process):
    some = {"process": process, "samples": 2}
    return {
        "comparison": conjure.compare("cat", "dog", **some),
        "pair": next(conjure.compare_pairs([("cat", "dog")], **some)),
        "relative": next(conjure.relative_pairs([("cat", "dog")], **some)),
        "matrix": conjure.matrix(["cat", "dog", "car"], **some),
        "embeddings": conjure.embed(["cat", "dog"], process=process),
        "processes": conjure.compare_processes(
            ["cat", "dog", "car"], {"one": process, "two": conjure.vary(process, steps=3)},
            samples=2,
        ),
        "drift": conjure.drift(
            ["cat", "dog"], process, conjure.vary(process, guidance=2), samples=2
        ),
    }  # fmt: skip


def same(one, other) -> bool:
    if hasattr(one, "to_dict"):
        return one.to_dict() == other.to_dict()
    if hasattr(one, "vectors"):
        return bool(np.array_equal(one.vectors, other.vectors)) and one.prompts == other.prompts
    return one.distance == other.distance and one.prompts == other.prompts


def test_all_results_are_data(process, tmp_path):
    for name, result in results(process).items():
        packed = pickle.dumps(result)
        assert len(packed) < 2**18, name
        assert same(pickle.loads(packed), result), name
        assert same(copy.copy(result), result), name
        assert same(copy.deepcopy(result), result), name
        joblib.dump(result, tmp_path / name)
        assert same(joblib.load(tmp_path / name), result), name


def test_a_copy_still_has_its_model_and_what_was_pickled_is_given_one(process, tmp_path):
    result = conjure.compare("cat", "dog", process=process, samples=2)
    assert copy.deepcopy(result).process is process
    copy.deepcopy(result).figure(tmp_path / "copied.png")
    sent = pickle.loads(pickle.dumps(result))
    assert sent.process.describe() == process.describe()
    with pytest.raises(ConjureError, match=r"was pickled, without its model: .* figure\(process="):
        sent.figure()
    sent.figure(tmp_path / "sent.png", process=process)
    assert (tmp_path / "sent.png").read_bytes() == (tmp_path / "copied.png").read_bytes()
    with pytest.raises(ConjureError, match="states of shape"):
        sent.figure(process=conjure.load(process.source.location, steps=2, size=32))


def test_a_pickled_process_says_what_it_is(process):
    kept = pickle.loads(pickle.dumps(process))
    assert (kept.model, kept.guidance) == (process.model, process.guidance)
    with pytest.raises(AttributeError, match=r"has no 'predict': .* conjure\.load"):
        _ = kept.predict


def distance(seed: int):
    meanings = {"a": Gaussian(np.zeros(2), np.eye(2)), "b": Gaussian(np.ones(2), np.eye(2))}
    return conjure.compare("a", "b", process=GaussianProcess.build(meanings), seed=seed)


def test_results_come_back_from_other_processes():
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        found = list(pool.map(distance, [0, 1]))
    assert [r.distance for r in found] == [distance(0).distance, distance(1).distance]
    assert found[0].process.describe() == distance(0).process.describe()
