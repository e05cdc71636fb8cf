"""WordNet 3.0 as Debian packs it: nouns, their synsets, and which of those can be drawn."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

WORDNET = "wordnet-base_1%3a3.0-37_all.deb"
WORDNET_SHA256 = "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"
# Lexicographer files: animals, artifacts, the body, food, objects, people, phenomena, plants,
# substances.
DRAWABLE = frozenset(["05", "06", "08", "13", "17", "18", "19", "20", "27"])


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


def senses(folder: Path) -> dict[str, list[str]]:
    """Noun → its synsets, the commonest first."""
    found = {}
    for line in (folder / "index.noun").read_text().splitlines():
        if not line.startswith(" "):
            fields = line.split()
            found[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    return found


def members(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Noun synset → its lexicographer file and words, of things that can be drawn."""
    found = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if not line.startswith(" ") and line.split()[1] in DRAWABLE:
            fields = line.split()
            count = int(fields[3], 16)
            words = [w.replace("_", " ") for w in fields[4 : 4 + 2 * count : 2]]
            found[fields[0]] = (fields[1], words)
    return found
