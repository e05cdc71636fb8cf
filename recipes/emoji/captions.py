"""Every text that is trained on: captions of the drawings, and WordNet's words and sentences."""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORDNET = "wordnet-base_1%3a3.0-37_all.deb"
WORDNET_SHA256 = "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"
PARTS = ("noun", "verb", "adj", "adv")
TEMPLATES = (
    "{a}{label}", "{a}{label}.", "the {label}", "a picture of {a}{label}", "an emoji of {a}{label}",
    "a drawing of {a}{label}.", "an image of {label}", "there is {a}{label}.", "{label}.",
    "this is {a}{label}.", "a small picture of {a}{label}",
)  # fmt: skip


def article(label: str) -> str:
    """The indefinite article and a space, or nothing before plurals."""
    head = label.split()[-1]
    if (head.endswith("s") and not head.endswith("ss")) or label.split()[0].endswith("ing"):
        return ""
    return "an " if label[0] in "aeiou" else "a "


def captions(entry: dict[str, Any], count: int, seed: int) -> list[str]:
    """`count` captions of one label beside the bare label: three in five templates, then tags."""
    label, tags = entry["label"], entry["tags"]
    rng = random.Random(f"{seed} {label}")
    templates = rng.sample(TEMPLATES, min(len(TEMPLATES), round(count * 0.6)))
    chosen = [t.format(a=article(label), label=label) for t in templates]
    while len(chosen) < count:
        few = rng.sample(tags, min(len(tags), rng.choice((1, 1, 2))))
        if len(chosen) % 2 and len(few) > 1:
            chosen.append(", ".join(few))
        else:
            chosen.append(f"{label}, {', '.join(few)}" if few else label)
    return chosen


def fetch_wordnet(folder: Path) -> Path:
    """WordNet 3.0's folder of data files, from Debian's `wordnet-base`, checked by sha256."""
    archive, unpacked = folder / WORDNET, folder / "wn"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "wordnet-base=1:3.0-37"], cwd=folder, check=True)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != WORDNET_SHA256:
        raise ValueError(f"{archive} is not the WordNet this recipe was written for")
    subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
    return unpacked / "usr/share/wordnet"


def common_words(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Lemmas that occur in WordNet's sense-tagged texts, each with the synsets of those senses."""
    for part in PARTS:
        for line in (folder / f"index.{part}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            synsets, tagged = int(fields[2]), int(fields[4 + int(fields[3]) + 1])
            if tagged:
                offsets = fields[-synsets:][:tagged]
                yield fields[0].replace("_", " "), [f"{part}{o}" for o in offsets]


def glosses(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Synset → its definition and its example sentences."""
    found = {}
    for part in PARTS:
        for line in (folder / f"data.{part}").read_text().splitlines():
            if line.startswith(" "):
                continue
            gloss = line.partition("|")[2].strip()
            examples = [e for e in re.findall(r'"([^"]+)"', gloss) if 2 < len(e.split()) < 25]
            definition = re.sub(r'[;:]?\s*"[^"]*"?', "", gloss).strip(" ;:")
            found[part + line[:8]] = (" ".join(definition.split()[:25]), examples)
    return found


def wordnet_texts(packages: Path) -> list[str]:
    """Words in use, what they mean, and sentences with them."""
    folder = fetch_wordnet(packages)
    meanings = glosses(folder)
    texts: dict[str, None] = {}
    for lemma, synsets in common_words(folder):
        texts[lemma] = None
        for synset in synsets[:3]:
            definition, examples = meanings[synset]
            texts[definition] = None
            texts.update(dict.fromkeys(examples))
    return [text for text in texts if text]


def all_texts(packages: Path, table: list[dict[str, Any]], seed: int = 0) -> list[str]:
    """The text encoder's corpus, in a fixed order: captions, tags, WordNet."""
    texts: dict[str, None] = {}
    for entry in table:
        texts[entry["label"]] = None
        texts.update(dict.fromkeys(captions(entry, 6, seed)))
        texts.update(dict.fromkeys(tag.lower() for tag in entry["tags"]))
    texts.update(dict.fromkeys(wordnet_texts(packages)))
    return list(texts)
