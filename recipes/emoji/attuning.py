"""Texts without a picture, said so that the denoiser tells them apart as their encoder does.

Two things are still amiss after `likening`. What it could not teach lies in directions in which no
label says anything, and there the denoiser, which has never been told what they mean, hears most.
So errors count as loud as it hears them, which its own predictions tell (`heard`); and what
sentences are to say is quieter, nearer to what it knows.

Words it hears well, but of those the encoder has kept hardly more than what kind of thing each is.
Its teacher knows them better: what labels say is a linear map, by ridge regression, of what the
teacher says of them, and the same map of what it says of a word is what the encoder is to say of
that word, alone or in a frame ("a photo of a dog").

Two more layers have the room for both. At first they change nothing, and what the encoder says of
captions stays: the denoiser need not learn anew.
"""

from __future__ import annotations

import copy
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    fast,
    finish_log,
    log_line,
    seed_everything,
    unfinished_log,
)
from .corpus import FRAMES
from .data import load_labels
from .denoiser import load_captions, load_denoiser, make_scheduler
from .examples import load_examples
from .layout import PERIOD
from .likening import Linear, in_labels_terms, said, tokens
from .placing import keep_encoder, states
from .text_encoder import LENGTH, encode, load_text_encoder, load_texts, prepare_text
from .withheld import Withheld
from .wordnet import fetch_wordnet, tagged_meanings

LAYERS = 6
QUIET = 0.6  # chosen on STS-B's development set
RIDGE, GAIN = 3.0, 1.2  # chosen on pairs of words by the teacher
LEAST = 0.05  # of the mean loudness, that the faintest direction counts for
SAMPLE = 4000  # sentences whose states stand for those of all
HELD_OUT = 256  # sentences, and as many words, on which progress is read
KEPT = 4.0  # weight of states that must stay
SENTENCE = 3  # words at least
STEPS = 10  # at which the denoiser is heard


def teach_words(labels: Tensor, embeddings: Tensor) -> Linear:
    """From labels' states, [N, width], and their embeddings by the teacher, [N, its width]."""
    start, centre = labels.mean(0), embeddings.mean(0)
    x = embeddings - centre
    penalty = RIDGE * torch.eye(x.shape[1], device=x.device)
    return Linear(
        start, centre, GAIN * torch.linalg.solve(x.T @ x + penalty, x.T @ (labels - start))
    )


def listen(heard: Tensor) -> Tensor:
    """States as loud as they are heard: the root of H over its mean eigenvalue, [width, width].

    A direction that is hardly heard counts for `LEAST` of the mean, so that nothing grows in it.
    """
    loudness, along = torch.linalg.eigh(heard.double())
    louder = (loudness.clamp(min=0) / loudness.mean() + LEAST).sqrt()
    return ((along * louder) @ along.T).float()


@torch.inference_mode()
def heard(work: Path, first: Tensor, bases: Tensor, device: str,
          generator: torch.Generator) -> Tensor:  # fmt: skip
    """How much the noise predicted changes with what a text says: the divergence, close by.

    Two texts whose states differ by a small d lie d·H·d apart, but for a factor: squared
    differences of predicted noise, integrated over log-SNR.

    Args:
        work: With the denoiser, and examples whose drawings are made noisy.
        first: A text's first state, [width], which is the same for all.
        bases: What N texts say, around which it changes, [N, width].
        device: Where.
        generator: What noise and drawings come from.

    Returns:
        H, [width, width].
    """
    directions = torch.eye(bases.shape[1], device=bases.device)
    denoiser, scheduler = load_denoiser(work).to(device), make_scheduler()
    examples = load_examples(work)
    drawings = [number for numbers in examples.drawings for number in numbers]
    scheduler.set_timesteps(STEPS)
    alphas, times = scheduler.alphas_cumprod.double(), scheduler.timesteps
    log_snr = torch.log(alphas / (1 - alphas))
    spans = torch.cat([log_snr[times], log_snr[:1]]).diff()
    size = 0.15 * float((bases - bases.mean(0)).norm(dim=1).mean())
    found = torch.zeros(len(directions), len(directions), dtype=torch.float64)
    for base in bases:
        around = torch.cat([base[None], base + size * directions])
        text = around[:, None].repeat(1, LENGTH, 1)
        text[:, 0] = first
        drawing = int(torch.randint(len(drawings), (), generator=generator))
        clean = examples.latents[drawings[drawing]]
        for time, span in zip(times, spans, strict=True):
            alpha, sigma = alphas[time].sqrt().float(), (1 - alphas[time]).sqrt().float()
            noisy = alpha * clean + sigma * torch.randn(clean.shape, generator=generator)
            with fast(device):
                rows = noisy.expand(len(around), -1, -1, -1).to(device)
                v = denoiser(rows, time.to(device), text).sample.double().cpu()
            change = (alpha * (v[1:] - v[:1]) / size).flatten(1)
            found += span * change @ change.T / len(bases)
    return found


@dataclass(frozen=True)
class Lesson:
    """What there is to learn from, as tokens.

    Args:
        shown: Texts with pictures, the empty one first.
        sentences: Texts without.
        words: Words without, alone and in every frame, and their rows among the teacher's texts.
        common: How often each of them is learned, beside the others.
    """

    shown: list[Tensor]
    sentences: list[Tensor]
    words: list[tuple[list[Tensor], int]]
    common: list[int]


def train_attuning(work: Path, minutes: float = 30.0, device: str = "cpu", batch: int = 192,
                   peak_rate: float = 1e-3, seed: int = 0) -> None:  # fmt: skip
    """By wall clock, from the encoder, the denoiser and its examples in the work folder.

    Done again, it goes on with what texts were to say at first, by the encoder as it was then. Its
    log says which share of that is not said: of sentences (`loss`) and of `words` that are held
    out, and of words that are not (`known`); and how far captions have `moved`, over the labels'
    variance. All of it is as loud as the denoiser hears it.

    Raises:
        FileNotFoundError: Something that it starts from is not there, or not any more.
    """
    for name, stage in (("text_encoder.pt", "text"), ("examples.npz", "examples"),
                        ("denoiser.pt", "denoiser")):  # fmt: skip
        if not (work / name).exists():
            raise FileNotFoundError(f"{work} has no {name}: run `{stage}` first")
    if not (work / "teacher.npz").exists():
        prepare_text(work, device, seed)
    generator, rng = seed_everything(seed + 3), np.random.default_rng([seed, 3])
    tokenizer, model = load_text_encoder(work)
    if not (work / LIKENED).exists():
        if model.config.num_hidden_layers >= LAYERS:
            raise FileNotFoundError(
                f"{work} has an encoder that is attuned, and not what it was before: remove "
                "text_encoder.pt and run `text` and `likening` first"
            )
        shutil.copyfile(work / "text_encoder.pt", work / LIKENED)
    before = load_text_encoder(work, LIKENED)[1].to(device).requires_grad_(False)
    model = deepen(model).to(device)
    table, texts = load_labels(work), load_texts(work, seed)
    with np.load(work / "teacher.npz") as arrays:
        embeddings = torch.from_numpy(arrays["texts"])
    rows = {text: row for row, text in enumerate(texts)}
    common = tagged_meanings(fetch_wordnet(work / "packages"))
    lesson = prepare_lesson(work, tokenizer, table, rows, common, seed)
    names = [entry["label"] for entry in table if not entry["held_out"]]
    labels = said(before, tokens(tokenizer, names), device)
    by_teacher = embeddings[[rows[name] for name in names]].float().to(device)
    for_words = teach_words(labels, by_teacher)
    some = said(before, lesson.sentences[:SAMPLE], device)
    bases = labels.mean(0) + some[:16] - some.mean(0)
    first = encode([""], tokenizer, before)[0, 0]
    loud = heard(work, first, bases, device, generator)
    for_sentences, ear = in_labels_terms(labels, some, QUIET), listen(loud).to(device)
    variance = (labels @ ear).var(0).mean()
    sentences = sorted(lesson.sentences[HELD_OUT:], key=len)

    def unsaid(ids: list[Tensor], wanted: Tensor, further: int) -> tuple[Tensor, Tensor]:
        """How far off ends and pads are, over their variance; and what is said before them."""
        found = states(model, ids, min(LENGTH, max(map(len, ids)) + further), device)
        off, early = far_off(found @ ear, wanted @ ear, for_words.start @ ear, ids)
        return off / (wanted @ ear).var(0, correction=0).mean(), early / variance

    def words_unsaid(words: Sequence[tuple[list[Tensor], int]], further: int) -> Any:
        ids = [frames[int(rng.integers(len(frames)))] for frames, _ in words]
        wanted = for_words(embeddings[[row for _, row in words]].float().to(device))
        return unsaid(ids, wanted, further)

    def sentences_unsaid(ids: list[Tensor], further: int) -> Any:
        return unsaid(ids, for_sentences(said(before, ids, device)), further)

    def moved(ids: list[Tensor], further: int) -> Tensor:
        """How far states are from what they were, over the labels' variance."""
        width = min(LENGTH, max(map(len, ids)) + further)
        with torch.no_grad():
            wanted = states(before, ids, width, device)
        return ((states(model, ids, width, device) - wanted) @ ear).square().mean() / variance

    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.0, fused=True)
    budget, step, log = Budget(minutes), 0, unfinished_log(work, "attuning")
    words, often = lesson.words[HELD_OUT:], np.array(lesson.common[HELD_OUT:], float)
    often /= often.sum()
    while budget.progress < 1:
        far = float(torch.rand((), generator=generator)) ** 9  # far pads cost much, and are alike
        further = PERIOD + int(far * LENGTH)
        drawn = rng.choice(len(words), size=batch, p=often)
        off = words_unsaid([words[i] for i in drawn], further)
        start = int(rng.integers(max(1, len(sentences) - batch // 6)))
        told = sentences_unsaid(sentences[start : start + batch // 6], further)
        shown = rng.integers(len(lesson.shown), size=batch // 6)
        stray = moved([lesson.shown[i] for i in (0, *shown)], further)
        descend(
            model,
            optimizer,
            sum(off) + 2 * sum(told) + KEPT * stray,
            budget.rate(peak_rate, hold=0.4),
        )
        step += 1
        if step % 100 == 0 or budget.progress >= 1:
            with torch.no_grad():
                left = sentences_unsaid(lesson.sentences[:HELD_OUT], PERIOD)[0].item()
                unknown = words_unsaid(lesson.words[:HELD_OUT], PERIOD)[0].item()
            log_line(log, step=step, seconds=round(budget.spent), loss=left,
                     words=unknown, known=off[0].item(), moved=stray.item())  # fmt: skip
    keep_encoder(work, model)
    finish_log(work, "attuning")


def deepen(model: CLIPTextModel, layers: int = LAYERS) -> CLIPTextModel:
    """The same function, with more layers: what they would add is nothing yet."""
    config, known = copy.deepcopy(model.config), model.state_dict()
    config.num_hidden_layers = layers
    deeper = CLIPTextModel(config)
    deeper.load_state_dict(known, strict=False)
    for name, part in deeper.named_parameters():
        if name not in known and ("out_proj" in name or "fc2" in name):
            torch.nn.init.zeros_(part)
    return deeper.eval()


def far_off(
    found: Tensor, wanted: Tensor, silence: Tensor, ids: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Mean squared error of a text's end and pads, and of what is before, which says nothing.

    Args:
        found: States, [N, positions, width].
        wanted: What ends and pads are to be, [N, width].
        silence: What other states are to be, but for the first, [width].
        ids: The N texts.
    """
    ends = torch.tensor([len(t) - 1 for t in ids], device=found.device)[:, None]
    place = torch.arange(found.shape[1], device=found.device)
    inner = (place > 0) & (place < ends)
    off, loud = ((found - aim).square().mean(-1) for aim in (wanted[:, None], silence))
    return off[place >= ends].mean(), loud[inner].sum() / inner.sum().clamp(min=1)


def prepare_lesson(work: Path, tokenizer: Any, table: Sequence[dict[str, Any]],
                   rows: Mapping[str, int], common: Counter[str], seed: int) -> Lesson:  # fmt: skip
    """Everything that is learned from.

    Args:
        work: The work folder.
        tokenizer: Of the encoder.
        table: The labels.
        rows: The texts that the teacher knows.
        common: How common words are.
        seed: Of the texts' order.
    """
    shown = load_captions(work)
    known, withheld = set(shown), Withheld(table)
    others = [text for text in rows if text not in known and not withheld.concept(text)]
    random.Random(seed).shuffle(others)
    words = {text: word for text, word in framed(others, rows) if word not in known}
    chosen = list(dict.fromkeys(words.values()))
    in_frames = [[frame.format(word) for frame in ("{}", *FRAMES)] for word in chosen]
    sentences = [t for t in others if t not in words and len(t.split()) >= SENTENCE]
    return Lesson(
        tokens(tokenizer, shown),
        tokens(tokenizer, sentences),
        [(tokens(tokenizer, some), rows[some[0]]) for some in in_frames],
        [1 + common[word] for word in chosen],
    )


def framed(texts: Sequence[str], known: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Of texts that are known words in frames, such as "a photo of a dog": each, and its word."""
    parts = [frame.split("{}") for frame in FRAMES]
    for text in texts:
        for before, after in parts:
            word = text[len(before) : len(text) - len(after)]
            if text.startswith(before) and text.endswith(after) and word in known:
                yield text, word
                break
