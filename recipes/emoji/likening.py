"""Texts without a picture, said in the terms of those that have one.

A denoiser knows what the states of labels and captions mean, since it has seen what they are of.
Those of any other text lie elsewhere, and what it makes of them there is next to arbitrary: it
orders labels, and hardly orders sentences. So every other text is likened to labels: of what its
state says, as it differs from the mean of all such texts, that part is kept in which labels
differ from one another (their main components), and it is said from where the labels are.

A state that has read half of a text says something else than one that has read the whole of it,
and a causal encoder's words are such. So words say nothing any more, in captions neither, and the
end and the pads behind it say all. In texts that have pictures these stay as they were, since its
denoiser reads them.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextModel

from .common import (
    LIKENED,
    Budget,
    descend,
    finish_log,
    forget,
    log_line,
    seed_everything,
    unfinished_log,
)
from .data import load_labels
from .denoiser import load_captions
from .layout import PERIOD
from .placing import keep_encoder, states
from .synonyms import stems, synonyms, words_of
from .text_encoder import LENGTH, WIDTH, load_text_encoder, load_texts
from .withheld import Withheld

COMPONENTS, GAIN = 80, 1.5  # chosen on STS-B's development set
HELD_OUT = 512  # texts on which progress is read
KEPT = 4.0  # weight of states that must stay
SAMPLE = 3000  # texts whose mean stands for that of all


@dataclass(frozen=True)
class Linear:
    """What texts are to say, an affine map of what is known of each.

    Args:
        start: Mean state of the labels, [width].
        centre: Of what is known of a text, [known].
        slope: From what is known to states, [known, width].
    """

    start: Tensor
    centre: Tensor
    slope: Tensor

    def __call__(self, known: Tensor) -> Tensor:
        """States, [N, width], of what is known of N texts, [N, known]."""
        return self.start + (known - self.centre) @ self.slope


def in_labels_terms(labels: Tensor, texts: Tensor, gain: float) -> Linear:
    """What texts say in the `COMPONENTS` directions in which labels differ most, by a gain.

    Args:
        labels: What labels say, [N, width].
        texts: What other texts say, [M, width], whose mean says nothing.
        gain: How much louder.
    """
    found = torch.linalg.svd(labels - labels.mean(0), full_matrices=False)
    directions = found.Vh[:COMPONENTS]
    return Linear(labels.mean(0), texts.mean(0), gain * directions.T @ directions)


def tokens(tokenizer: Any, texts: Sequence[str]) -> list[Tensor]:
    """Of each text, with room behind its end for pads of every kind."""
    found, room = tokenizer(list(texts), truncation=True).input_ids, LENGTH - PERIOD
    return [torch.tensor(t if len(t) <= room else [*t[: room - 1], t[-1]]) for t in found]


@torch.no_grad()
def said(model: CLIPTextModel, ids: Sequence[Tensor], device: str, batch: int = 128) -> Tensor:
    """What the pads of each of N texts say, [N, width]."""
    found = torch.empty(len(ids), WIDTH, device=device)
    order = sorted(range(len(ids)), key=lambda n: len(ids[n]))
    for start in range(0, len(ids), batch):
        rows = order[start : start + batch]
        some = [ids[n] for n in rows]
        ends = torch.tensor([len(t) - 1 for t in some], device=device)
        found[rows] = whole(states(model, some, int(ends.max()) + 1 + PERIOD, device), ends)
    return found


def whole(states: Tensor, ends: Tensor) -> Tensor:
    """What a text's pads say: their mean, [N, width], of states [N, positions, width].

    Args:
        states: With a pad at least behind each end.
        ends: Positions of the ends, [N].
    """
    pads = (torch.arange(states.shape[1], device=ends.device) > ends[:, None]).to(states)
    return (states * pads.unsqueeze(-1)).sum(1) / pads.sum(1, keepdim=True)


def train_likening(work: Path, minutes: float = 40.0, device: str = "cpu", batch: int = 96,
                   peak_rate: float = 1e-3, seed: int = 0) -> None:  # fmt: skip
    """By wall clock, from the encoder in the work folder and the examples of its denoiser.

    Its log says which share of what texts are to say is not said (`loss`), on texts that are held
    out; and, over the labels' variance, how far states that must stay have `moved`, and how much is
    said before the ends of texts (`words`).

    Raises:
        FileExistsError: It is done already: once more would double its gain.
    """
    if (work / "likening.jsonl").exists():
        raise FileExistsError(
            f"{work} has an encoder that is likened: remove text_encoder.pt and run `text` first"
        )
    generator, rng = seed_everything(seed + 2), np.random.default_rng([seed, 2])
    tokenizer, model = load_text_encoder(work)
    model = model.to(device)
    before = copy.deepcopy(model).requires_grad_(False)
    table, texts = load_labels(work), load_texts(work, seed)
    shown = load_captions(work)  # the empty one first
    others = [texts[i] for i in without_picture(work, table, texts, set(shown))]
    random.Random(seed).shuffle(others)
    keep, told = tokens(tokenizer, shown), tokens(tokenizer, others)
    asked, rest = (sorted(part, key=len) for part in (told[:HELD_OUT], told[HELD_OUT:]))
    names = [entry["label"] for entry in table if not entry["held_out"]]
    labels = said(before, tokens(tokenizer, names), device)
    liken = in_labels_terms(labels, said(before, told[:SAMPLE], device), GAIN)
    scale = labels.std(0).mean()

    def miss(some: list[Tensor], held: bool, further: int) -> tuple[Tensor, Tensor]:
        """How far off ends and so many pads are, and what is before them, over the variance."""
        width = min(LENGTH, max(map(len, some)) + further)
        found = states(model, some, width, device)
        ends = torch.tensor([len(ids) - 1 for ids in some], device=device)
        place = torch.arange(width, device=device)
        words = (place > 0) & (place < ends[:, None])
        if held:
            with torch.no_grad():
                wanted = states(before, some, width, device)
            variance = scale**2
        else:
            whole_text = liken(said(before, some, device))
            variance = (whole_text - whole_text.mean(0)).square().mean()
            wanted = whole_text[:, None].expand_as(found)
        off, silent = (found - wanted).square().mean(-1), (found - liken.start).square().mean(-1)
        behind = place >= ends[:, None]
        return off[behind].mean() / variance, silent[words].mean() / scale**2

    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.0, fused=True)
    budget, step, log = Budget(minutes), 0, unfinished_log(work, "likening")
    while budget.progress < 1:
        start = int(rng.integers(len(rest) - batch))
        held = [keep[0], *(keep[i] for i in rng.integers(len(keep), size=batch // 2))]
        far = float(torch.rand((), generator=generator)) ** 3  # far pads cost much, and are alike
        further = PERIOD + int(far * LENGTH)
        off, words = miss(rest[start : start + batch], False, further)
        moved, spoken = miss(held, True, further)
        descend(
            model, optimizer, off + words + KEPT * moved + spoken, budget.rate(peak_rate, hold=0.4)
        )
        step += 1
        if step % 100 == 0 or budget.progress >= 1:
            parts = [asked[i : i + 64] for i in range(0, HELD_OUT, 64)]
            with torch.no_grad():
                left = [float(miss(part, False, PERIOD)[0]) for part in parts]
            log_line(log, step=step, seconds=round(budget.spent),
                     loss=float(np.mean(left)), moved=moved.item(),
                     words=(words + spoken).item() / 2)  # fmt: skip
    keep_encoder(work, model)
    forget(work, "attuning.jsonl", LIKENED)
    finish_log(work, "likening")


def without_picture(
    work: Path, table: Sequence[dict[str, Any]], texts: Sequence[str], known: set[str]
) -> list[int]:
    """Places of the texts that may be told what to mean without a picture of their own.

    Not those that have pictures (`known`), nor those that name a concept that is never drawn, nor
    those with a word of the synonyms' examination in any form.
    """
    secret = {w for word, _ in synonyms(table, work / "packages") for w in words_of(word)}
    withheld = Withheld(table)
    chosen = [i for i, text in enumerate(texts) if text not in known]
    chosen = [i for i in chosen if not withheld.concept(texts[i])]
    return [i for i in chosen if secret.isdisjoint(stems(texts[i]))]
