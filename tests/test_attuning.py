"""Texts without a picture, said so that the denoiser tells them apart."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTextModel

from recipes.emoji import attuning, likening
from recipes.emoji.attuning import (
    deepen,
    far_off,
    framed,
    heard,
    listen,
    prepare_lesson,
    teach_words,
    train_attuning,
)
from recipes.emoji.common import LIKENED, Budget, write_json
from recipes.emoji.data import load_labels
from recipes.emoji.denoiser import load_denoiser, make_scheduler
from recipes.emoji.export import unpack
from recipes.emoji.likening import said, tokens, train_likening
from recipes.emoji.text_encoder import encode, load_text_encoder

EMOJI = Path("src/conjure/models/emoji")


def drawn(count: int, seed: int, width: int = 128) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_what_labels_say_is_learned_as_a_linear_map_of_what_the_teacher_says():
    embeddings, slope, start = 50 * drawn(300, 0, 32), drawn(32, 1), drawn(1, 2)
    labels = start + embeddings @ slope
    others = embeddings.mean(0) + drawn(20, 3, 32)
    wanted = labels.mean(0) + attuning.GAIN * (others - embeddings.mean(0)) @ slope
    found = teach_words(labels, embeddings)(others)
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)


def test_the_ridge_keeps_what_is_noise_in_labels_from_being_said(monkeypatch):
    embeddings, noise = drawn(40, 0, 32), drawn(40, 1)
    sizes = []
    for ridge in (1e-3, 1.0, 100.0):
        monkeypatch.setattr(attuning, "RIDGE", ridge)
        liken = teach_words(noise, embeddings)
        sizes.append(float((liken(drawn(50, 2, 32)) - liken.start).square().mean()))
    assert sizes[0] > 1.2 * sizes[1] > 4 * sizes[2]


def test_errors_count_as_loud_as_they_are_heard():
    heard_in = torch.tensor([4.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    turn = torch.linalg.qr(drawn(4, 0, 4)).Q.double()
    ear = listen(turn @ torch.diag(heard_in) @ turn.T).double()
    along = (turn.T @ ear @ turn).diagonal() ** 2
    expected = heard_in / heard_in.mean() + attuning.LEAST  # even the faintest a little
    torch.testing.assert_close(along, expected, rtol=1e-5, atol=1e-6)


def test_ends_and_pads_are_to_say_it_and_words_nothing():
    ids = [torch.tensor([1, 5, 2]), torch.tensor([1, 5, 6, 7, 2])]
    found = torch.zeros(2, 8, 4)
    found[:, 0] = 7.0  # the start, which is the same in any text
    off, loud = far_off(found, torch.full((2, 4), 3.0), torch.full((4,), 2.0), ids)
    assert (float(off), float(loud)) == (9.0, 4.0)
    found[0, 2:], found[1, 4:] = 1.0, 5.0
    wanted = torch.tensor([1.0, 5.0])[:, None].expand(2, 4)
    off, loud = far_off(found, wanted, torch.zeros(4), ids)
    assert (float(off), float(loud)) == (0.0, 0.0)
    assert float(far_off(found, wanted, torch.ones(4), [torch.tensor([1, 2])] * 2)[1]) == 0


def test_a_word_is_known_in_its_frame():
    texts = ["dog", "a photo of a dog", "it barks.", "this is a dog.", "a photo of a cat", "dog."]
    rows = {text: row for row, text in enumerate(texts)}
    assert dict(framed(texts, rows)) == {texts[n]: "dog" for n in (1, 3, 5)}


@pytest.fixture
def unpacked(tmp_path):
    """A work folder with the model that ships."""
    unpack(tmp_path, EMOJI)
    return tmp_path


def test_more_layers_change_nothing_yet(unpacked):
    tokenizer, model = load_text_encoder(unpacked)
    layers = model.config.num_hidden_layers
    deeper = deepen(model, layers + 2)
    assert len(deeper.encoder.layers) == layers + 2
    texts = ["cat", "a dog that barks at the moon"]
    torch.testing.assert_close(encode(texts, tokenizer, deeper), encode(texts, tokenizer, model))
    assert all(part.requires_grad for part in deeper.parameters())


def test_what_texts_say_does_not_depend_on_their_batch(unpacked):
    tokenizer, model = load_text_encoder(unpacked)
    ids = tokens(tokenizer, ["cat", "a dog that barks at the moon", "two red apples", "x " * 100])
    assert max(map(len, ids)) == attuning.LENGTH - attuning.PERIOD
    each = torch.cat([said(model, [one], "cpu") for one in ids])
    torch.testing.assert_close(said(model, ids, "cpu", batch=3), each, rtol=0.05, atol=0.15)


def test_what_has_a_picture_stays_and_what_is_kept_back_is_not_taught(unpacked):
    table = [
        {"label": name, "tags": [], "subgroup": "", "group": "", "held_out": name == "key"}
        for name in ("cat", "key")
    ]
    write_json(unpacked / "captions.json", ["", "a cat", "cat"])
    texts = ["a cat", "look at the key", "a dog barks", "dog", "the dog", "cat", "this is a cat.",
             "key", "the key", "a poodle"]  # fmt: skip
    rows = {text: row for row, text in enumerate(texts)}
    tokenizer = load_text_encoder(unpacked)[0]
    lesson = prepare_lesson(unpacked, tokenizer, table, rows, Counter(dog=3), 0)

    def read(ids: list[torch.Tensor]) -> list[str]:
        return [str(tokenizer.decode(some, skip_special_tokens=True)).strip() for some in ids]

    assert read(lesson.shown) == ["", "a cat", "cat"]
    assert sorted(read(lesson.sentences)) == ["a dog barks", "this is a cat ."]
    [(frames, row)] = lesson.words  # a cat has a picture, a key is never drawn
    assert row == texts.index("dog")
    assert read(frames[:2]) == ["dog", "a photo of a dog"]
    assert len(frames) == 1 + len(attuning.FRAMES)
    assert lesson.common == [4]


NAMES = ["cat", "dog", "red apple", "house"]
NEARBY = {"barn": "house", "shed": "house", "hut": "house", "villa": "house"}
NEARBY |= {"poodle": "dog", "canine": "dog", "hound": "dog", "mutt": "dog"}
TOLD = ["a man plays the guitar", "two boats on a lake", "the economy of a country",
        "she reads a long letter", "rain fell all day long"]  # fmt: skip
MEANS: dict[str, str | None] = dict.fromkeys(NAMES)
MEANS |= NEARBY | {f"the {word}": "cat" for word in NEARBY} | dict.fromkeys(TOLD, "house")
ROWS = {text: row for row, text in enumerate(MEANS)}


@pytest.fixture
def work(unpacked, monkeypatch):
    """A work folder with examples, and words that the teacher takes for labels."""
    table = [
        {"label": name, "tags": [], "subgroup": "", "group": "", "held_out": False}
        for name in NAMES
    ]
    known = dict(zip(NAMES, 20 * drawn(len(NAMES), 0, 384), strict=True))
    write_json(unpacked / "labels.json", table)
    write_json(unpacked / "texts.json", list(MEANS))
    write_json(unpacked / "captions.json", ["", *NAMES])
    embeddings = torch.stack([known[name or text] for text, name in MEANS.items()])
    np.savez(unpacked / "teacher.npz", texts=embeddings.half().numpy())
    np.savez(
        unpacked / "examples.npz", drawings=np.arange(4), scene_texts=np.zeros(0, dtype=int),
        label_texts=np.zeros((4, 9), dtype=int),
        latents=drawn(4, 1, 1024).view(4, 16, 8, 8).numpy(),
    )  # fmt: skip
    for name in ("attuning.jsonl", "likening.jsonl"):
        (unpacked / name).unlink(missing_ok=True)
    return unpacked


def test_what_is_heard_is_the_divergence_of_texts_that_are_close(work, monkeypatch):
    monkeypatch.setattr(attuning, "STEPS", 3)
    monkeypatch.setattr(attuning, "fast", lambda device: torch.autocast(device, enabled=False))
    tokenizer, model = load_text_encoder(work)
    first = encode([""], tokenizer, model)[0, 0]
    bases = said(model, tokens(tokenizer, ["cat", "house"]), "cpu")
    generator = torch.Generator().manual_seed(3)
    found = heard(work, first, bases, "cpu", generator)
    torch.testing.assert_close(found, found.T)

    # The slow way, by the sum of squares over steps, of a combination of the directions.
    generator = torch.Generator().manual_seed(3)
    d = drawn(1, 5, 256)[0] / 16
    size = 0.15 * (bases - bases.mean(0)).norm(dim=1).mean()
    denoiser, scheduler = load_denoiser(work), make_scheduler()
    scheduler.set_timesteps(attuning.STEPS)
    with np.load(work / "examples.npz") as arrays:
        latents = torch.from_numpy(arrays["latents"])
    alphas = scheduler.alphas_cumprod.double()
    log_snr = (alphas / (1 - alphas)).log().tolist()
    times = scheduler.timesteps.tolist()
    slow = 0.0
    for base in bases:
        clean = latents[int(torch.randint(4, (), generator=generator))]
        for time, after in zip(times, [*times[1:], 0], strict=True):
            alpha = alphas[time].sqrt().float()
            noise = torch.randn(clean.shape, generator=generator)
            noisy = alpha * clean + (1 - alphas[time]).sqrt().float() * noise
            eps = []
            for offset in (torch.zeros(256), size * d):
                text = (base + offset).repeat(77, 1)
                text[0] = first
                with torch.inference_mode():
                    eps.append(alpha * denoiser(noisy[None], time, text[None]).sample)
            change = float((eps[1] - eps[0]).square().sum()) / float(size) ** 2
            slow += (log_snr[after] - log_snr[time]) * change / len(bases)
    assert float(d.double() @ found @ d.double()) == pytest.approx(slow, rel=0.15)


STEPS = 100


class Steps(Budget):
    """A budget of steps, which no busy machine makes shorter."""

    taken = 0

    @property
    def progress(self) -> float:
        return self.taken / STEPS

    def rate(self, peak: float, warmup: float = 0.02, hold: float = 0.0) -> float:
        self.taken += 1
        return super().rate(peak, warmup, hold)


def test_words_come_to_say_what_the_teacher_likens_them_to_and_captions_stay(work, monkeypatch):
    monkeypatch.setattr(attuning, "HELD_OUT", 2)
    monkeypatch.setattr(attuning, "Budget", Steps)
    monkeypatch.setattr(likening, "COMPONENTS", 3)
    monkeypatch.setattr(attuning, "fetch_wordnet", lambda folder: folder)
    monkeypatch.setattr(attuning, "tagged_meanings", lambda folder: Counter(barn=2))
    tokenizer, before = load_text_encoder(work)
    with pytest.raises(FileNotFoundError, match="is attuned, and not what it was before"):
        train_attuning(work, batch=24)
    shutil.copyfile(work / "text_encoder.pt", work / LIKENED)
    train_attuning(work, batch=24)
    after = load_text_encoder(work)[1]
    last = json.loads((work / "attuning.jsonl").read_text().splitlines()[-1])
    assert last["step"] == STEPS
    assert not (work / "attuning.part.jsonl").exists()
    houses, dogs = (encode([name], tokenizer, before)[0, -1] for name in ("house", "dog"))

    def side(text: str, model: CLIPTextModel) -> float:
        """From 0, where a text says what a house is, to 1, where it says what a dog is."""
        found = encode([text], tokenizer, model)[0, -1] - houses
        return float(found @ (dogs - houses) / (dogs - houses).square().sum())

    assert last["known"] < 0.4
    assert last["moved"] < 0.15
    taught = prepare_lesson(work, tokenizer, load_labels(work), ROWS, Counter(), 0).words[2:]
    words = [list(ROWS)[row] for _, row in taught]
    assert len(words) == len(NEARBY) - 2
    for word in words:
        for text in (word, f"a photo of a {word}"):
            assert (side(text, after) > 0.5) == (NEARBY[word] == "dog"), text
    for name in NAMES:
        assert abs(side(name, after) - side(name, before)) < 0.3


def test_texts_come_to_say_what_labels_can_say_of_them_once(work, monkeypatch):
    monkeypatch.setattr(likening, "HELD_OUT", 2)
    monkeypatch.setattr(likening, "Budget", Steps)
    monkeypatch.setattr(likening, "COMPONENTS", 3)
    monkeypatch.setattr(likening, "synonyms", lambda *_: [])
    write_json(work / "texts.json", [*TOLD, *ROWS, "a long way " * 40])  # longer than any prompt
    (work / "likening.part.jsonl").write_text("from a sitting that was killed\n")
    (work / LIKENED).touch()
    train_likening(work, batch=8)
    rows = [json.loads(line) for line in (work / "likening.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == STEPS
    assert rows[-1]["loss"] < 0.9
    assert rows[-1]["moved"] < 0.15
    assert not (work / LIKENED).exists()
    with pytest.raises(FileExistsError, match="is likened"):
        train_likening(work)


@pytest.mark.parametrize("missing", ["text_encoder.pt", "examples.npz", "denoiser.pt"])
def test_a_folder_that_lacks_something_is_refused_before_anything_is_done(work, missing):
    (work / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        train_attuning(work)
