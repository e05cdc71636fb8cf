"""A byte-pair vocabulary of our own in CLIP's format."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex as Pattern
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from .common import write_atomically, write_json

VOCABULARY = 8192
LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"
# CLIP's own way of cutting text into words, so that CLIPTokenizer reads the files as they are.
WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def train_tokenizer(texts: list[str], folder: Path) -> CLIPTokenizer:
    """Learn merges from `texts` and write `vocab.json`, `merges.txt` and CLIPTokenizer's files."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Pattern(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Pattern(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    room = VOCABULARY - 2 * len(alphabet) - 2
    trainer = trainers.BpeTrainer(
        vocab_size=room + 2 * len(alphabet), initial_alphabet=alphabet, show_progress=False,
        end_of_word_suffix="</w>", min_frequency=2,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    learned = tokenizer.to_str()
    merges = _merges(learned)[:room]
    # CLIP's order: bytes, bytes that end a word, merges, the two special tokens.
    tokens = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges)]
    tokens = [*dict.fromkeys(tokens), START, END]
    write_json(folder / "vocab.json", {token: index for index, token in enumerate(tokens)})
    lines = ["#version: 0.2", *(" ".join(m) for m in merges)]
    write_atomically(
        folder / "merges.txt", lambda p: p.write_text("\n".join(lines) + "\n", encoding="utf-8")
    )
    read = CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"),
        bos_token=START, eos_token=END, unk_token=END, pad_token=END, model_max_length=LENGTH,
    )  # fmt: skip
    read.save_pretrained(folder)
    return read


def _merges(serialised: str) -> list[tuple[str, str]]:
    """The merges of a serialised BPE, as pairs."""
    pairs = json.loads(serialised)["model"]["merges"]
    return [tuple(p.split(" ")) if isinstance(p, str) else (p[0], p[1]) for p in pairs]
