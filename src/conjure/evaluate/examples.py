"""Pairs with human judgements: read, checked, and put into the words that a method is asked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from conjure.checks import why_no_text
from conjure.errors import ConjureError
from conjure.io.dialect import USUAL, Reading
from conjure.io.tables import SUFFIXES, TableFile, open_table
from conjure.levels import Floats

SENTENCES, WORDS = ("sentence1", "sentence2"), ("word1", "word2")
END = (".", "!", "?", "…", '"', "'", ")", ":", ";", ",")
"""After one of these no full stop is added."""


@dataclass(frozen=True)
class Examples:
    """The pairs of a task.

    Args:
        task: Its name.
        pairs: Of texts, as they are in the data.
        scores: Human judgements, larger is closer, shape ``(P,)``.
        more: What else the data say, by column (``subset``, ``pos``, ``concreteness``), each of
            length P; None where a row lacks it.
        words: Whether the texts are single words.
        whole: Whether the field takes it as one set, whatever subsets it has.
    """

    task: str
    pairs: tuple[tuple[str, str], ...]
    scores: Floats
    more: Mapping[str, Sequence[Any]]
    words: bool
    whole: bool = False

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, rows: Sequence[int] | np.ndarray) -> Examples:
        """Some of them, in the given order."""
        return replace(
            self,
            pairs=tuple(self.pairs[i] for i in rows),
            scores=self.scores[np.asarray(rows, dtype=int)],
            more={name: [values[i] for i in rows] for name, values in self.more.items()},
        )

    def checksum(self) -> str:
        """A hash of texts and scores, however the file was laid out.

        Copies differ in their spaces, in the order of the pairs, and in which text comes first.
        """
        rows = zip(self.pairs, self.scores, strict=True)
        texts = ((sorted(" ".join(text.split()) for text in pair), score) for pair, score in rows)
        lines = sorted(f"{a}\t{b}\t{score:g}\n" for (a, b), score in texts)
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def read_examples(path: str | Path, task: str, reading: Reading = USUAL) -> Examples:
    """A task's pairs from a table in the layout of the evaluation data.

    Columns: ``sentence1``, ``sentence2`` (or ``word1``, ``word2``) and ``score``; any others are
    kept for the analysis.

    Raises:
        ConjureError: A column is missing, a text is none, a score is no number, or there are fewer
            than three pairs or all scores are the same, so that no correlation is defined.
    """
    return collect(open_table(path, reading), task)


def collect(table: TableFile | Iterable[Mapping[str, Any]], task: str) -> Examples:
    """A task's pairs from rows, see ``read_examples``."""
    name = str(table) if isinstance(table, TableFile) else task
    rows = list(table)
    there = list(dict.fromkeys(key for row in rows for key in row))
    texts = WORDS if "word1" in there and "sentence1" not in there else SENTENCES
    missing = [column for column in (*texts, "score") if column not in there]
    if missing:
        raise ConjureError(
            f"{name} has no column {missing[0]!r}. A task has sentence1 and sentence2, or word1 "
            f"and word2, and score; this has {', '.join(map(repr, there)) or 'no rows'}."
        )
    pairs, scores = [], []
    for number, row in enumerate(rows, start=1):
        pair = tuple(row.get(column) for column in texts)
        if not all(isinstance(text, str) and text.strip() for text in pair):
            raise ConjureError(f"Row {number} of {name} lacks a text: {pair!r}.")
        if reason := next(filter(None, map(why_no_text, pair)), None):
            raise ConjureError(f"Row {number} of {name}: {reason}")
        pairs.append(pair)
        scores.append(_number(row.get("score"), number, name))
    if len(rows) < 3:
        raise ConjureError(
            f"{name} has {len(rows)} {'pair' if len(rows) == 1 else 'pairs'}: a correlation needs "
            "at least 3."
        )
    if len(set(scores)) == 1:
        raise ConjureError(f"All scores of {name} are {scores[0]:g}: there is no order to compare.")
    others = [key for key in there if key not in (*texts, "score")]
    return Examples(
        task=task,
        pairs=tuple(pairs),
        scores=np.array(scores, dtype=np.float64),
        more={key: [row.get(key) for row in rows] for key in others},
        words=texts == WORDS,
    )


def _number(value: Any, row: int, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ConjureError(f"The score in row {row} of {name} is no number: {value!r}.")
    return number


@dataclass(frozen=True)
class Conventions:
    """How a task's data become prompts and one number.

    Args:
        pooling: ``all`` correlates over the whole split (as SimCSE and MTEB do); ``mean`` takes, of
            STS12–16 and of tables of your own, the mean over subsets, weighted alike. STS-B, SICK-R
            and word pairs are one set either way.
        full_stop: Whether a sentence that ends without punctuation gets a full stop.
        template: What a single word is put into, with ``{}`` for the word.
        limit: Pairs of each task, drawn at random; None for all.
        seed: Of that draw.
    """

    pooling: str = "all"
    full_stop: bool = False
    template: str = "a photo of a {}"
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pooling not in ("all", "mean"):
            raise ConjureError(f"pooling is all or mean, not {self.pooling!r}.")
        if self.template.count("{}") != 1:
            raise ConjureError(
                f"A template has one {{}} for the word, such as 'a photo of a {{}}', unlike "
                f"{self.template!r}."
            )
        if self.limit is not None and self.limit < 3:
            raise ConjureError(f"limit is at least 3, not {self.limit}: fewer have no correlation.")

    def prompts(self, examples: Examples) -> list[tuple[str, str]]:
        """The pairs as they are put to a method."""
        return [(self._prompt(a, examples), self._prompt(b, examples)) for a, b in examples.pairs]

    def _prompt(self, text: str, examples: Examples) -> str:
        if examples.words:
            return self.template.replace("{}", text)
        text = text.strip()
        return f"{text}." if self.full_stop and not text.endswith(END) else text

    def subsets(self, examples: Examples) -> Sequence[Any] | None:
        """The subset of each pair where a mean over them is asked for, else None.

        Raises:
            ConjureError: The data do not say, or a subset has no correlation: fewer than three
                pairs, or scores that are all the same.
        """
        if self.pooling == "all" or examples.whole:
            return None
        if "subset" not in examples.more:
            raise ConjureError(
                f"{examples.task} has no column 'subset' to take the mean over: use pooling all."
            )
        subsets = examples.more["subset"]
        for subset in dict.fromkeys(subsets):
            scores = [s for s, own in zip(examples.scores, subsets, strict=True) if own == subset]
            if len(scores) < 3 or len(set(scores)) == 1:
                raise ConjureError(
                    f"The subset {subset!r} of {examples.task} has {len(scores)} of the pairs, "
                    f"with {len(set(scores))} different scores: no correlation to take the mean "
                    "of. Raise --limit, or use pooling all."
                )
        return subsets

    def choose(self, examples: Examples) -> Examples:
        """All pairs, or as many as the limit says, in their order; the same ones every time."""
        if self.limit is None or self.limit >= len(examples):
            return examples
        label = int.from_bytes(hashlib.sha256(examples.task.encode()).digest()[:4], "little")
        rng = np.random.default_rng([self.seed, label])
        chosen = examples.take(np.sort(rng.permutation(len(examples))[: self.limit]))
        if len(set(chosen.scores)) == 1:
            raise ConjureError(
                f"All scores of the {len(chosen)} pairs drawn from {examples.task} are the same: "
                "raise --limit."
            )
        return chosen


def find_file(folder: Path, name: str) -> Path | None:
    """The table of a task somewhere under a folder: ``NAME.jsonl``, ``NAME.test.jsonl``, …

    Raises:
        ConjureError: There are several.
    """
    wanted = [f"{name}{split}{suffix}".lower() for split in ("", ".test") for suffix in SUFFIXES]
    found = sorted(p for p in folder.rglob("*") if p.name.lower() in wanted and p.is_file())
    if len(found) > 1:
        places = ", ".join(str(p.relative_to(folder)) for p in found)
        raise ConjureError(f"The task {name!r} is in several files of {str(folder)!r}: {places}.")
    return found[0] if found else None


def table_names(folder: Path) -> list[str]:
    """The tables somewhere under a folder, without their endings and ``.test``."""
    found = [p.stem.removesuffix(".test") for p in folder.rglob("*") if p.suffix in SUFFIXES]
    return sorted(set(found))
