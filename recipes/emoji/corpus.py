"""Every text that the text encoder learns from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .captions import captions
from .sentences import sentences
from .withheld import Withheld, drawn, training_scenes
from .wordnet import fetch_wordnet, glosses, lemmas

SCENES, FAMILIES, VARIED = 25_000, 12_000, 1
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


def variations(texts: list[str], words: list[str], each: int, seed: int = 0) -> Iterator[str]:
    """Real sentences with something done to them: the teacher says how much that changes.

    A word is left out, or is another one; two change places; the end or the beginning goes.
    """
    rng = random.Random(f"variations {seed}")
    for text in texts:
        for _ in range(each):
            parts = text.split()
            place = rng.randrange(len(parts))
            draw = rng.random()
            if draw < 0.5:
                parts[place] = rng.choice(words)
            elif draw < 0.65:
                del parts[place]
            elif draw < 0.75:
                other = rng.randrange(len(parts))
                parts[place], parts[other] = parts[other], parts[place]
            elif draw < 0.9:
                cut = rng.randint(2, max(2, len(parts) - 1))
                parts = parts[:cut] if rng.random() < 0.5 else parts[-cut:]
            else:
                parts.insert(place, rng.choice(words))
            yield " ".join(parts)


def all_texts(packages: Path, table: list[dict[str, Any]], seed: int = 0) -> list[str]:
    """Captions, tags, scenes, sentences, WordNet and variations on it, in a fixed order.

    Without what is withheld (a drawing's own captions may name two things, any other text may not),
    and without variations on it.
    """
    own: dict[str, None] = {}
    for entry in drawn(table):
        own[entry["label"]] = None
        own.update(dict.fromkeys(captions(entry, 6, seed)))
        own.update(dict.fromkeys(tag.lower() for tag in entry["tags"]))
    texts: dict[str, None] = {}
    texts.update(dict.fromkeys(s.caption for s in training_scenes(table, SCENES, seed)))
    texts.update(dict.fromkeys(sentences(table, FAMILIES, seed)))
    withheld = Withheld(table)
    dictionary = [t for t in wordnet_texts(packages) if not withheld.benchmark(t)]
    texts.update(dict.fromkeys(dictionary))
    real = [text for text in dictionary if len(text.split()) >= 4 and ":" not in text]
    words = [text for text in dictionary if text.isalpha()]
    texts.update(dict.fromkeys(variations(real, words, VARIED, seed)))
    kept = [text for text in own if not withheld.benchmark(text)]
    return list(dict.fromkeys([*kept, *withheld.allowed(texts)]))
