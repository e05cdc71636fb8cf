"""Texts without a picture, likened to labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recipes.emoji import likening
from recipes.emoji.likening import COMPONENTS, in_labels_terms, whole


def drawn(count: int, seed: int, width: int = 128) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_what_a_text_says_is_kept_as_far_as_labels_can_say_it():
    labels, texts = drawn(300, 0) * torch.linspace(2, 0.1, 128), drawn(50, 1) + 3
    liken = in_labels_terms(labels, texts, gain=1.5)
    kept_part = liken.slope / 1.5
    torch.testing.assert_close(kept_part @ kept_part, kept_part, atol=1e-5, rtol=0)
    assert float(kept_part.trace()) == pytest.approx(COMPONENTS, rel=1e-4)
    said = liken(texts)
    torch.testing.assert_close(said.mean(0), labels.mean(0), rtol=1e-3, atol=1e-4)
    centred = np.linalg.svd((labels - labels.mean(0)).numpy(), full_matrices=False)[2]
    off = (said - labels.mean(0)).numpy() @ centred.T
    assert np.abs(off[:, COMPONENTS:]).max() < 1e-4  # nothing that no label says
    kept = (texts - texts.mean(0)).numpy() @ centred.T
    np.testing.assert_allclose(off[:, :COMPONENTS], 1.5 * kept[:, :COMPONENTS], atol=1e-3)


def test_what_a_text_says_is_what_its_pads_say():
    states = drawn(2 * 9, 0, 4).view(2, 9, 4)
    found = whole(states, torch.tensor([3, 7]))
    torch.testing.assert_close(found[0], states[0, 4:].mean(0))
    torch.testing.assert_close(found[1], states[1, 8])


def test_no_text_is_likened_that_has_a_picture_or_is_kept_back(monkeypatch, tmp_path):
    table = [
        {"label": name, "tags": [], "subgroup": "", "group": "", "held_out": name == "key"}
        for name in ("cat", "key")
    ]
    monkeypatch.setattr(likening, "synonyms", lambda *_: [("feline", "cat")])
    texts = ["a cat", "two felines", "the key", "a dog barks"]
    assert likening.without_picture(tmp_path, table, texts, {"a cat"}) == [3]
