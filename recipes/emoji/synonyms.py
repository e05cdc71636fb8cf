"""Words that no caption has, each with the label that means the same: an examination.

`spectacles` is in WordNet's first synset of `glasses`; no drawing's caption says it. Whoever knows
words will think of the same picture. The pairs are computed, not chosen, and their words are kept
out of every text that has a picture.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.wordnet import fetch_wordnet, members, senses

from .withheld import words_of

COUNT, SAME, MOST = 200, 5, 4
# Subgroups of labels whose synsets must be of one lexicographer file, and no others of it.
FILES = {"person": "18", "body": "08"}
RUDE = frozenset(["poof", "poove", "nance", "faggot", "fag", "queen", "pansy", "fagot", "pouf"])


def captioned(table: Sequence[dict[str, Any]]) -> set[str]:
    """Every word of the labels and tags, and their singulars."""
    found = {w for e in table for text in (e["label"], *e["tags"]) for w in words_of(text)}
    return found | {w[:-1] for w in found if w.endswith("s")}


def synonyms(
    table: Sequence[dict[str, Any]], packages: Path, seed: int = 0
) -> list[tuple[str, str]]:
    """At most `COUNT` pairs (word, label), in a fixed order.

    Their synset is the first of the one and among the first three of the other, or the second of
    both; it is one of things that can be drawn, and of people or of the body where the label is:
    what people are called after a thing is mostly rude. The word is written in small letters and
    shares no beginning with a word of any caption; at most `MOST` go with a label.
    """
    folder = fetch_wordnet(packages)
    known, meaning, words = captioned(table), senses(folder), members(folder)
    beginnings = {w[:SAME] for w in known if len(w) >= SAME}
    pairs, used = [], set()
    for entry in table:
        label = re.sub(" face$", "", entry["label"])
        own = next((f for start, f in FILES.items() if entry["subgroup"].startswith(start)), "")
        for place, synset in enumerate(meaning.get(label, [])[:3]):
            file, lemmas = words.get(synset, ("", []))
            if entry["held_out"] or (file != own and {file, own} & set(FILES.values())):
                continue
            for word in lemmas:
                parts = words_of(word)
                new = parts and not any(p in known or p[:SAME] in beginnings for p in parts)
                plain = re.fullmatch("[a-z ]{3,}", word) and word not in used | RUDE
                few = sum(label == entry["label"] for _, label in pairs) < MOST
                if new and plain and few and synset in meaning[word][: 3 - place]:
                    used.add(word)
                    pairs.append((word, entry["label"]))
    random.Random(seed).shuffle(pairs)
    return pairs[:COUNT]
