"""The pictures and their names: npm packages in, one array of rasters and a table of labels out."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from recipes.common import forget, write_atomically, write_json

from .render import on_white, rasterise

GENERATOR_STYLES = ("noto", "fluent-emoji", "fluent-emoji-flat")
JUDGE_STYLES = ("twemoji", "emojione", "fxemoji", "streamline-emojis")
PACKAGES = {
    "noto": ("@iconify-json/noto", "1.2.9"),
    "fluent-emoji": ("@iconify-json/fluent-emoji", "1.2.7"),
    "fluent-emoji-flat": ("@iconify-json/fluent-emoji-flat", "1.2.6"),
    "twemoji": ("@iconify-json/twemoji", "1.2.5"),
    "emojione": ("@iconify-json/emojione", "1.2.3"),
    "fxemoji": ("@iconify-json/fxemoji", "1.2.2"),
    "streamline-emojis": ("@iconify-json/streamline-emojis", "1.2.4"),
    "emojibase": ("emojibase-data", "17.0.0"),
}
SHA256 = {
    "noto": "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    "fluent-emoji": "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
    "fluent-emoji-flat": "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    "twemoji": "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    "emojione": "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
    "fxemoji": "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef",
    "streamline-emojis": "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc",
    "emojibase": "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
}
# Signs rather than pictures: their drawings say nothing that a drawing could teach.
LEFT_OUT_SUBGROUPS = frozenset([
    "skin-tone", "hair-style", "zodiac", "arrow", "av-symbol", "math", "punctuation", "currency",
    "keycap", "alphanum", "gender", "other-symbol", "country-flag", "subdivision-flag", "flag",
    "religion", "family", "transport-sign", "warning", "geometric",
])  # fmt: skip
LEFT_OUT_PHRASES = (
    "facing right", "o’clock", "-thirty", "button", "small square", "medium square", "medium-small",
    ": beard", ": red hair", ": curly hair", ": white hair", ": bald", ": blond hair",
    "small orange", "small blue", "triangle pointed", "pushing hand", "wards hand",
    "1st place", "2nd place", "3rd place", "people with bunny ears", "first quarter moon face",
    "person: ", "waxing", "waning", "quarter moon", "diamond suit", "club suit", "spade suit",
    "pregnant", "exclamation", "no one under", "index pointing", "head shaking", "palm up",
    "palm down", "ink pen", "round pushpin", "hand with index", "beating heart", "heart decoration",
    "oncoming ", "heavy equals", "chart ", "bookmark tabs", "card file", "mobile phone with arrow",
    "antenna bars", "speaker ", "mahjong", "name badge", "trident", "with rain",
    "behind large cloud",
    "behind small cloud", "behind rain cloud", "envelope with", "incoming", "closed mailbox",
    "mailbox with lowered", "in motorized", "feeding baby", "in manual", "white cane",
    "railway car", "suspension rail", "mountain railway", "station", "convenience store",
    "japanese post office", "department store", "first quarter", "new moon face", "hollow red",
)  # fmt: skip


def held_out(key: str, one_in: int = 10) -> bool:
    """Whether a composition, or a concept, is kept from training: by a hash of what it is."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % one_in == 0


def fetch(name: str, folder: Path) -> Path:
    """Download one package with `npm pack` unless it is there, and check its sha256."""
    package, version = PACKAGES[name]
    path = folder / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{package}@{version}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[name]:
        raise ValueError(f"{path} is not the {package}@{version} this recipe was written for")
    return path


def read_member(archive: Path, member: str) -> Any:
    """Read one JSON file of an npm archive."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"package/{member}")
        assert file is not None
        return json.load(file)


def bare(hexcode: str) -> str:
    """A code point sequence without variation selectors, lower case."""
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


def squash(text: str) -> str:
    """Letters and digits alone: the form in which vendors' icon names can be compared."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain.lower() if c.isascii() and c.isalnum())


def table_of_labels(folder: Path) -> list[dict[str, Any]]:
    """The emoji worth drawing: label, tags, code points, CLDR group and subgroup."""
    archive = fetch("emojibase", folder)
    names = read_member(archive, "meta/groups.json")
    table, seen = [], set()
    for entry in sorted(read_member(archive, "en/data.json"), key=lambda e: e.get("order", 1e9)):
        if "group" not in entry or "gender" in entry:
            continue
        subgroup = names["subgroups"][str(entry["subgroup"])]
        label = entry["label"].lower()
        if subgroup in LEFT_OUT_SUBGROUPS or any(p in label for p in LEFT_OUT_PHRASES):
            continue
        label = label.split(":")[0].replace("’", "'").replace("“", "").replace("”", "")
        if label in seen or re.sub("^(wo)?man ", "", label) in seen:
            continue  # of "health worker", "man health worker" … the neutral one comes first
        seen.add(label)
        group = names["groups"][str(entry["group"])]
        tags = [t for t in entry.get("tags", []) if t.isascii() and t.lower() != label]
        table.append(
            {"label": label, "tags": tags, "code": bare(entry["hexcode"]), "char": entry["emoji"],
             "group": group, "subgroup": subgroup}
        )  # fmt: skip
    return table


def icons_by_code(style: str, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """A set's icons, and code points → icon name where the set (or its sister) says so."""
    archive = fetch(style, folder)
    icons = read_member(archive, "icons.json")
    chars_style = "fluent-emoji-flat" if style == "fluent-emoji" else style
    chars = read_member(fetch(chars_style, folder), "chars.json")
    return icons, {bare(code): name for code, name in chars.items()}


def find_icon(entry: dict[str, Any], icons: dict[str, Any], codes: dict[str, str],
              squashed: dict[str, str]) -> str | None:  # fmt: skip
    """The icon's name: by code points, else by CLDR label, else by the Unicode name."""
    name = codes.get(entry["code"])
    if name is None and not codes:
        candidates = [squash(entry["label"])]
        if len(bare(entry["code"]).split("-")) == 1:
            candidates.append(squash(unicodedata.name(chr(int(entry["code"], 16)), "")))
        name = next((squashed[c] for c in candidates if c in squashed), None)
    if name is not None and name not in icons["icons"]:
        alias = icons.get("aliases", {}).get(name, {})
        name = alias["parent"] if set(alias) == {"parent"} else None
    return name if name in icons["icons"] else None


def variants(name: str, icons: dict[str, Any]) -> list[str]:
    """An icon and its numbered siblings (`bird-1`, `bird-2`): drawings of one thing."""
    stem = re.sub(r"-\d$", "", name)
    found = [f"{stem}-{number}" for number in range(1, 10)]
    return [name] if stem == name else [n for n in found if n in icons["icons"]]


def draw(name: str, icons: dict[str, Any]) -> np.ndarray:
    """One icon of a set, rasterised."""
    icon = icons["icons"][name]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    return rasterise(icon["body"], width, height)


def build(work: Path) -> None:
    """Rasterise every usable drawing to `pictures.npz` and list the labels in `labels.json`.

    A label is kept where all three of the generator's vendors draw it: the more things have
    pictures, the more words have meanings. Those that the judge's vendors draw too are said to be
    so (`seen`): two of its first three; of animals, plants, food and plain persons, common words
    all, one. Streamline, which draws fewer things, some of them several times, adds to what the
    judge learns from.
    """
    packages = work / "packages"
    table = table_of_labels(packages)
    drawings: dict[str, dict[int, list[np.ndarray]]] = {}
    for style in (*GENERATOR_STYLES, *JUDGE_STYLES):
        icons, codes = icons_by_code(style, packages)
        names = [*icons["icons"], *icons.get("aliases", {})]
        squashed = {squash(re.sub(r"-\d$", "", name)): name for name in reversed(names)}
        squashed |= {squash(name): name for name in reversed(names)}
        drawings[style] = {}
        for index, entry in enumerate(table):
            name = find_icon(entry, icons, codes, squashed)
            if name is not None:
                drawings[style][index] = [draw(n, icons) for n in variants(name, icons)]
    kept = [i for i in range(len(table)) if all(i in drawings[s] for s in GENERATOR_STYLES)]
    names = [f" {' '.join(re.findall('[a-z]+', table[i]['label'].lower()))} " for i in kept]
    for i, own in zip(kept, names, strict=True):
        part = any(own in name for name in names if name != own)  # "ice" of "ice cream" is drawn
        common = re.match("animal|plant|food|person$", table[i]["subgroup"]) is not None
        table[i]["seen"] = common + sum(i in drawings[s] for s in JUDGE_STYLES[:3]) >= 2
        table[i]["held_out"] = not (table[i]["seen"] or part) and held_out(table[i]["label"], 6)
    arrays: dict[str, np.ndarray] = {}
    for style, found in drawings.items():
        rows = [row for row, i in enumerate(kept) for _ in found.get(i, [])]
        arrays[f"{style}/index"] = np.array(rows, dtype=np.int64)
        arrays[f"{style}/rgba"] = np.stack([rgba for i in kept for rgba in found.get(i, [])])
    write_atomically(work / "pictures.npz", lambda p: np.savez_compressed(p, **arrays))
    for row, i in enumerate(kept):
        table[i]["styles"] = [s for s in drawings if row in arrays[f"{s}/index"]]
    write_json(work / "labels.json", [table[i] for i in kept])
    forget(work, "examples.npz", "captions.json")


def load_pictures(work: Path, style: str) -> tuple[np.ndarray, np.ndarray]:
    """One vendor's drawings: row numbers in `labels.json`, and RGBA pixels."""
    with np.load(work / "pictures.npz") as arrays:
        return arrays[f"{style}/index"], arrays[f"{style}/rgba"]


def load_labels(work: Path) -> list[dict[str, Any]]:
    """The table of labels that `build` wrote."""
    return json.loads((work / "labels.json").read_text(encoding="utf-8"))


def all_drawings(work: Path) -> tuple[np.ndarray, np.ndarray]:
    """The generator's vendors' drawings on white, [D, 3, SIZE, SIZE] in [0, 1]; their rows [D]."""
    pairs = [load_pictures(work, style) for style in GENERATOR_STYLES]
    pixels = np.concatenate([on_white(rgba) for _, rgba in pairs]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels), np.concatenate([rows for rows, _ in pairs])
