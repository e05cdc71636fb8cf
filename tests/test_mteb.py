"""A process under mteb's own evaluation, on a task made here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.statistics import spearman

mteb = pytest.importorskip("mteb")
from conjure.evaluate.mteb import Encoder, PairScorer, fourier_features  # noqa: E402

NAMES = [f"w{n}" for n in range(16)]
PAIRS = [(NAMES[i], NAMES[j]) for i in range(16) for j in range(i)][:60]


@pytest.fixture(scope="module")
def process():
    rng = np.random.default_rng(0)
    meanings = {
        name: Gaussian(rng.normal(size=2), np.diag(rng.uniform(0.4, 1.2, size=2)))
        for name in [*NAMES, ""]
    }
    return GaussianProcess.build(meanings, steps=5)


@pytest.fixture(scope="module")
def task():
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    scores = [float((3 * i + j) % 11) / 2 for i, j in ((int(a[1:]), int(b[1:])) for a, b in PAIRS)]

    class Local(AbsTaskSTS):
        metadata = TaskMetadata(
            name="LocalSTS", description="Made here.", reference=None, type="STS", category="t2t",
            modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"],
            main_score="cosine_spearman", dataset={"path": "local/none", "revision": "1"},
            date=None, domains=None, task_subtypes=None, license=None, annotations_creators=None,
            dialect=None, sample_creation=None, bibtex_citation=None,
        )  # fmt: skip
        min_score, max_score = 0, 5

        def load_data(self, **_) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            rows = {
                "sentence1": [a for a, _ in PAIRS],
                "sentence2": [b for _, b in PAIRS],
                "score": scores,
            }
            self.dataset: Any = DatasetDict({"test": Dataset.from_dict(rows)})
            self.data_loaded = True

    return Local(), np.array(scores)


def evaluated(model, task):
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


def test_another_schedule_is_another_model_to_mteb(process):
    config = {"timestep_spacing": "trailing", "beta_end": 0.01}
    other = GaussianProcess.build(process.meanings, steps=5, config=config)
    known = [Encoder(p).mteb_model_meta.experiment_kwargs for p in (process, other)]
    assert known[0] is not None
    assert known[1] is not None
    assert known[0]["levels"] != known[1]["levels"]


def test_cosine_means_our_distance(process, task):
    local, human = task
    encoder = Encoder(process, features=8192)
    scores = evaluated(encoder, local)
    found = conjure.embed(NAMES, process=process, seed=0)
    rows = {name: n for n, name in enumerate(NAMES)}
    squares = found.distances()
    ours = -np.array([squares[rows[a], rows[b]] for a, b in PAIRS])
    assert scores["main_score"] == scores["cosine_spearman"]
    assert scores["cosine_spearman"] == pytest.approx(float(spearman(ours, human)), abs=0.03)
    one, other = ([{"text": [pair[end] for pair in PAIRS]}] for end in (0, 1))
    cosines = encoder.similarity_pairwise(encoder.encode(one), encoder.encode(other))
    assert spearman(cosines.numpy(), ours) > 0.99
    every = encoder.similarity(encoder.encode(one), encoder.encode(other))
    assert torch.allclose(every.diagonal(), cosines, atol=1e-5)


def test_features_are_the_kernel_up_to_their_noise():
    rng = np.random.default_rng(1)
    vectors = torch.from_numpy(rng.normal(size=(40, 32)).astype(np.float32))
    features = fourier_features(vectors, 6.0, 16384, seed=0)
    assert np.linalg.norm(features, axis=1) == pytest.approx(1, abs=1e-4)
    gaps = torch.cdist(vectors.double(), vectors.double()).numpy()
    kernel = np.exp(-(gaps**2) / (2 * 36))
    assert np.abs(features @ features.T - kernel).max() < 5 / 16384**0.5


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_the_exact_scores_are_read_from_spearman(process, task):
    local, human = task
    scores = evaluated(PairScorer(process, samples=3), local)
    run = conjure.compare_pairs(PAIRS, process=process, samples=3)
    ours = np.array([-result.distance for result in run])
    assert scores["spearman"] == pytest.approx(float(spearman(ours, human)))
    assert np.isnan(scores["cosine_spearman"])


def test_numbers_of_another_scorer_are_refused(process):
    """As a cache of embeddings would hand them to it, or in another order of texts."""
    one, other = PairScorer(process, samples=1), PairScorer(process, samples=1)
    numbers = one.encode([{"text": ["w1", "w2"]}])
    again = other.encode([{"text": ["w2", "w1"]}])
    assert np.array_equal(numbers, again[::-1])
    assert one.similarity_pairwise(numbers[:1], again[:1]) < 0
    with pytest.raises(ConjureError, match="another scorer has seen"):
        PairScorer(process).similarity_pairwise(numbers[:1], numbers[1:])


def test_all_splits_of_a_task_are_in_one_space(process):
    from types import SimpleNamespace

    encoder, about = Encoder(process), SimpleNamespace(name="mine")
    train = encoder.encode([{"text": ["w1", "w2", "w3"]}], task_metadata=about, hf_split="train")
    test = encoder.encode([{"text": ["w3", "w9"]}], task_metadata=about, hf_split="test")
    assert np.allclose(train[2], test[0], atol=1e-6)
    fixed = Encoder(process, bandwidth=3.0)
    fixed.encode([{"text": ["w1", "w2"]}], task_metadata=about)
    assert fixed.bandwidths == {"mine": 3.0}
    kept = fixed.mteb_model_meta.experiment_kwargs
    assert kept is not None
    assert kept["bandwidth"] == 3.0
    with pytest.raises(ConjureError, match="a length above 0"):
        Encoder(process, bandwidth=0)


def test_models_have_names_and_settings(process):
    encoder, scorer = Encoder(process), PairScorer(process, samples=5)
    assert encoder.mteb_model_meta.name == "conjure/landmarks-gaussian"
    kept = scorer.mteb_model_meta.experiment_kwargs
    assert kept is not None
    assert kept["samples"] == 5
    assert kept["steps"] == 5
    assert isinstance(encoder, mteb.models.EncoderProtocol)
    with pytest.raises(ConjureError, match="at least 4096"):
        Encoder(process, features=100)
