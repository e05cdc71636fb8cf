"""What a model's text encoders take of a prompt, and which of its characters they do not know."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from conjure.errors import ConjureWarning, UnreadPromptError
from conjure.io.brief import shortened

SILENT = ("M", "Z", "C")
"""Kinds of characters that encoders drop without losing a word: accents, spaces, controls."""


@dataclass(frozen=True)
class Tokenized:
    """What is read of one prompt.

    Args:
        tokens: How many, with start and end, for the encoder that reads the most.
        whole: Alike for two prompts whose tokens are alike for every encoder.
        cut: Likewise, of the tokens within each encoder's length.
        unknown: Characters that no encoder knows, each once.
        spelt: Characters that encoders know as bytes at best, each once.
        blind: Whether nothing is known of a prompt that says something.
    """

    tokens: int
    whole: Hashable
    cut: Hashable
    unknown: str = ""
    spelt: str = ""
    blind: bool = False

    @property
    def unread(self) -> str:
        """Characters that are not read as what they are."""
        return self.unknown + self.spelt

    def within(self, *, windows: bool) -> Read:
        """What counts of it, where it is read whole in windows or cut at the encoders' length."""
        kept = self.whole if windows else self.cut
        return Read(kept, self.unread, kept != self.whole)


class Read(NamedTuple):
    """What a process takes of a prompt.

    Args:
        meaning: Alike for prompts that are one to it.
        unread: Characters of it that are not known.
        cut: Whether it goes on beyond what is read.
    """

    meaning: Hashable
    unread: str = ""
    cut: bool = False


@dataclass(frozen=True)
class _Part:
    """What one tokenizer makes of a prompt."""

    ids: tuple[int, ...]
    unknown: frozenset[str]
    spelt: frozenset[str]
    blind: bool


def reader(
    tokenizers: Sequence[Any],
    longest: Any,
    prepare: Callable[[Any, str], str],
) -> Callable[[Sequence[str]], list[Tokenized]]:
    """Reads prompts by tokenizers.

    Args:
        tokenizers: Those of the model's text encoders.
        longest: That of them whose tokens are counted.
        prepare: What a pipeline makes of a prompt before one of them has it.
    """

    def read(prompts: Sequence[str]) -> list[Tokenized]:
        texts = [str(prompt) for prompt in prompts]
        parts = [_parts(each, [prepare(each, text) for text in texts]) for each in tokenizers]
        counted = [each is longest for each in tokenizers].index(True)
        limits = [each.model_max_length for each in tokenizers]
        return [
            _together(text, one, counted, limits)
            for text, one in zip(texts, zip(*parts, strict=True), strict=True)
        ]

    return read


def _together(text: str, parts: Sequence[_Part], counted: int, limits: Sequence[int]) -> Tokenized:
    unknown = frozenset[str].intersection(*(part.unknown for part in parts))
    unread = frozenset[str].intersection(*(part.unknown | part.spelt for part in parts))
    in_order = dict.fromkeys(text)
    cut = zip(parts, limits, strict=True)
    return Tokenized(
        tokens=len(parts[counted].ids),
        whole=tuple(part.ids for part in parts),
        cut=tuple(p.ids if len(p.ids) <= n else p.ids[: n - 1] for p, n in cut),
        unknown="".join(c for c in in_order if c in unknown),
        spelt="".join(c for c in in_order if c in unread - unknown),
        blind=bool(unread) and all(part.blind for part in parts),
    )


def _parts(tokenizer: Any, texts: Sequence[str]) -> list[_Part]:
    # Without a mask, which takes a list as long as the tokens.
    found = tokenizer(
        texts, truncation=False, verbose=False, return_attention_mask=False,
        return_offsets_mapping=tokenizer.is_fast,
    )  # fmt: skip
    if not tokenizer.is_fast:
        return [_of_words(tokenizer, *each) for each in zip(texts, found.input_ids, strict=True)]
    unknown, space = tokenizer.unk_token_id, tokenizer.convert_tokens_to_ids(SPACE)
    made = []
    for text, ids, spans in zip(texts, found.input_ids, found.offset_mapping, strict=True):
        placed = zip(ids, spans, strict=True)
        said = [each for each in placed if each[0] != space or space == unknown]
        made.append(_of_spans(unknown, text, ids, said))
    return made


SPACE = "▁"
"""SentencePiece's token between words, which stands where the next word does."""


def _of_spans(
    unknown_id: int | None, text: str, ids: list[int], said: list[tuple[int, tuple[int, int]]]
) -> _Part:
    """By where in the text each token stands; those of the template stand nowhere."""
    state: list[str | None] = [None] * len(text)
    for token, (start, end) in said:
        known = "unknown" if token == unknown_id else "known"
        state[start:end] = [known if s != "known" else s for s in state[start:end]]
    for (a, one), (b, other) in pairwise(said):
        twice = one == other and one[1] - one[0] == 1 and unknown_id not in (a, b)
        if twice and unicodedata.category(text[one[0]])[0] != "P":  # quotes are no words
            state[one[0]] = "spelt"  # two tokens of one character: its bytes
    by = {kind: {c for c, s in zip(text, state, strict=True) if s == kind} for kind in STATES}
    dropped = {c for c in by[None] if unicodedata.category(c)[0] not in SILENT}
    unknown = frozenset(by["unknown"] | dropped) - by["known"]
    return _Part(
        tuple(ids),
        unknown,
        frozenset(by["spelt"]),
        all(unicodedata.category(c)[0] in SILENT for c in by["known"]),
    )


STATES = (None, "known", "unknown", "spelt")


def _of_words(tokenizer: Any, text: str, ids: list[int]) -> _Part:
    """By words alone, of a tokenizer that does not say where its tokens stand."""
    lost = tokenizer.unk_token_id
    if lost is None or lost not in ids:
        return _Part(tuple(ids), frozenset(), frozenset(), blind=False)
    words = text.split()
    alone = tokenizer(words, add_special_tokens=False).input_ids
    unknown = [word for word, own in zip(words, alone, strict=True) if lost in own]
    return _Part(tuple(ids), frozenset("".join(unknown)), frozenset(), len(unknown) == len(words))


def check_read(model: str, readings: Mapping[str, Tokenized], policy: str) -> None:
    """Refuse prompts of which nothing is known, and warn of those that are known in part.

    Args:
        model: Whose encoders read.
        readings: By prompt.
        policy: ``refuse``, or ``warn`` of all.

    Raises:
        UnreadPromptError: With the characters.
    """
    for prompt, found in readings.items():
        if found.blind and policy == "refuse":
            raise UnreadPromptError(
                f"The text encoder of {model} knows nothing of the prompt {shortened(prompt)}: "
                f"{named(found.unread)} is in none of its words, so that its distances would mean "
                f"nothing. Say it in words that it was trained on. {GO_ON}"
            )
    for what, part in (("does not know", "unknown"), ("knows only as bytes", "spelt")):
        some = {p: getattr(r, part) for p, r in readings.items() if getattr(r, part)}
        if some:
            prompt, characters = next(iter(some.items()))
            more = f", and such are in {len(some) - 1:,} more prompts" if len(some) > 1 else ""
            warnings.warn(
                f"{named(characters)} in {shortened(prompt)} is what the text encoder of {model} "
                f"{what}{more}: the picture does not show it.",
                ConjureWarning, stacklevel=4,
            )  # fmt: skip


GO_ON = "Or go on all the same with unread='warn' (--unread warn)."


def named(characters: str, most: int = 12) -> str:
    """Some characters, for a message.

    >>> named("猫"), named("abcdefghijklmnop")
    ("'猫'", "'abcdefghijkl…'")
    """
    return repr(characters[:most] + "…" * (len(characters) > most))
