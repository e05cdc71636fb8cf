"""Every text that the text encoder learns from."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from .captions import captions
from .scenes import training_scenes
from .sentences import sentences
from .wordnet import fetch_wordnet, glosses, lemmas

SCENES, FAMILIES = 25_000, 12_000
FRAMES = (
    "a photo of a {}", "a photo of {}", "a picture of a {}", "an image of {}", "this is a {}.",
    "a drawing of a {}", "{}.", "the {}",
)  # fmt: skip


def wordnet_texts(packages: Path, rare: float = 0.3) -> list[str]:
    """Words, what they mean, and sentences with them; of rare words, a share.

    A rare word comes alone and with its meaning ("spaniel: a dog that …"), whose company makes it
    known.
    """
    folder = fetch_wordnet(packages)
    meanings = glosses(folder)
    texts: dict[str, None] = {}
    for lemma, common, synsets in lemmas(folder):
        if not common and random.Random(lemma).random() > rare:
            continue
        texts[lemma] = None
        if common:
            texts[random.Random(f"frame {lemma}").choice(FRAMES).format(lemma)] = None
        for synset in synsets[: 3 if common else 1]:
            definition, examples = meanings[synset]
            texts[definition if common else f"{lemma}: {definition}"] = None
            texts.update(dict.fromkeys(examples))
    return [text for text in texts if text]


def all_texts(packages: Path, table: list[dict[str, Any]], seed: int = 0) -> list[str]:
    """The text encoder's corpus, in a fixed order: captions, tags, scenes, sentences, WordNet."""
    texts: dict[str, None] = {}
    for entry in table:
        texts[entry["label"]] = None
        texts.update(dict.fromkeys(captions(entry, 6, seed)))
        texts.update(dict.fromkeys(tag.lower() for tag in entry["tags"]))
    texts.update(dict.fromkeys(s.caption for s in training_scenes(table, SCENES, seed)))
    texts.update(dict.fromkeys(sentences(table, FAMILIES, seed)))
    texts.update(dict.fromkeys(wordnet_texts(packages)))
    return list(texts)
