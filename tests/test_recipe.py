"""The recipe of the embedded model: what it draws, what it says, and what it keeps back."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from conftest import gaussians
from diffusers import UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conjure import Gaussian, GaussianProcess
from conjure.evaluate.tasks import SEVEN
from recipes import common
from recipes.common import fast, halves_pay
from recipes.drawings.data import held_out
from recipes.drawings.paint import COLOURS, Item, paint, tint
from recipes.emoji import curves
from recipes.emoji.captions import article
from recipes.emoji.card import render, render_page
from recipes.emoji.denoiser import (
    LOG_SNR,
    OFFSET,
    let_read,
    make_denoiser,
    make_scheduler,
    noised,
    pooled,
    take_pooled,
)
from recipes.emoji.evaluate import BASELINES, METHODS, TASKS
from recipes.emoji.examples import SHARES, Examples
from recipes.emoji.exams import apart, misfit, triples
from recipes.emoji.scenes import (
    Scene,
    alternatives,
    keys,
    plural,
    relation_scene,
)
from recipes.emoji.sheets import mosaic
from recipes.emoji.texts import (
    KEYS,
    LEAST,
    LENGTH,
    PADS,
    kept_states,
    moments,
    pads_mask,
    reading_emoji,
    times_kept,
    whitening,
)
from recipes.emoji.withheld import Withheld, drawn, fingerprint, training_scenes
from recipes.optimizer import Optimizer

NAMES = (
    "cat", "dog", "fox", "cow", "horse", "tiger", "car", "van", "boat", "train", "apple", "pear",
    "cake", "pizza", "hammer", "saw", "axe", "key",
)  # fmt: skip
KINDS = 6 * ["animal-mammal"] + 4 * ["transport-ground"] + 4 * ["food-fruit"] + 4 * ["tool"]
GROUPS = 6 * ["animals"] + 4 * ["travel"] + 4 * ["food"] + 4 * ["objects"]
TABLE = [
    {
        "label": name,
        "tags": [],
        "subgroup": subgroup,
        "group": group,
        "held_out": name == "key",
        "seen": True,
    }
    for name, subgroup, group in zip(NAMES, KINDS, GROUPS, strict=True)
]


def disc(colour: tuple[int, int, int]) -> np.ndarray:
    """A drawing: a disc of one colour."""
    y, x = np.mgrid[:64, :64] - 31.5
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[x**2 + y**2 < 29**2] = (*colour, 255)
    return rgba


def test_held_out_compositions_and_concepts_are_never_trained_on():
    scenes = training_scenes(TABLE, 3000)
    shown = {key for scene in scenes for key in keys(scene, TABLE)}
    assert not any(map(held_out, shown))
    assert all(NAMES[item.row] != "key" for scene in scenes for item in scene.items)
    withheld = Withheld(TABLE)
    assert not any(withheld.composition(s.caption) or withheld.concept(s.caption) for s in scenes)
    for kind in ("count", "colour", "relation"):
        asked = [scenes[0] for scenes in alternatives(kind, TABLE, 30)]
        assert shown.isdisjoint(key for scene in asked for key in keys(scene, TABLE))
        assert all(withheld.composition(scene.caption) for scene in asked)
        assert len({frozenset(keys(scene, TABLE)) for scene in asked}) == len(asked)


def test_a_scene_is_made_of_every_composition_in_it():
    red = Item(0, colour="red")
    assert keys(Scene("both", "", (red, red, Item(1))), TABLE) == {
        "count cat 2", "colour cat red", "relation cat dog",
    }  # fmt: skip
    assert not keys(Scene("label", "", (Item(0),)), TABLE)


def test_what_is_withheld_is_found_however_it_is_said():
    withheld = Withheld(TABLE)
    assert all(map(withheld.concept, ("a key", "Two KEYS.", "the key, lost")))
    assert not any(map(withheld.concept, ("a monkey", "keyboard", "a cat")))
    found = set()
    for thing, colour in product(("car", "cat", "boat", "hammer"), COLOURS):
        said = f"A man sees his {plural(thing)}, all of them {colour}."
        assert withheld.composition(said) == held_out(f"colour {thing} {colour}")
        found.add(withheld.composition(said))
    assert found == {True, False}
    assert [e["label"] for e in drawn(TABLE)] == [name for name in NAMES if name != "key"]
    tagged = [TABLE[0] | {"tags": ["a key", "feline"]}, TABLE[-1]]
    assert [e["tags"] for e in drawn(tagged)] == [["feline"]]


def test_a_benchmarks_sentence_is_known_by_its_words_alone():
    withheld = Withheld(TABLE)
    assert len(withheld.hashes) > 20_000
    withheld.hashes = {fingerprint("a dog barks at noon")}
    assert withheld.benchmark("A dog barks, at noon!")
    assert not withheld.benchmark("A dog barks at night.")
    assert withheld.says("a dog barks at noon")
    assert not withheld.says("a dog barks")


@pytest.mark.parametrize(("kind", "choices"), [("count", 4), ("colour", 8), ("relation", 2)])
def test_alternatives_show_the_same_things_and_differ_by_one_word(kind, choices):
    for scenes in alternatives(kind, TABLE, 20):
        assert len(scenes) == choices
        assert len({scene.caption for scene in scenes}) == choices
        assert len({frozenset(item.row for item in scene.items) for scene in scenes}) == 1
        if kind == "count":
            assert sorted(len(scene.items) for scene in scenes) == [1, 2, 3, 4]


def test_left_is_left_and_above_is_above():
    red, blue = disc((255, 0, 0)), disc((0, 0, 255))
    for relation, axis, first in (("left", 1, True), ("right", 1, False), ("above", 0, True)):
        scene = relation_scene(0, "cat", 1, "dog", relation, random.Random(0))
        pixels = paint(scene.items, [red, blue]).astype(int)
        places = [
            np.argwhere(pixels[..., mine] - pixels[..., other] > 200)[:, axis].mean()
            for mine, other in ((0, 2), (2, 0))
        ]
        assert (places[0] < places[1]) == first


def test_a_tint_is_of_its_colour_and_an_empty_scene_is_white():
    for name, colour in COLOURS.items():
        pixels = tint(disc((120, 120, 120)), name)[32, 32, :3].astype(float)
        near = min(COLOURS, key=lambda other: np.abs(pixels - COLOURS[other]).sum())
        assert near == name, (pixels, colour)
    assert (paint([], []) == 255).all()
    assert (paint([Item(0)], [disc((0, 0, 0))], "red")[0, 0] < 255).any()


def test_english():
    words = ("cherry", "fish", "bus", "snowman", "mouse", "tomato", "toy", "knife")
    assert [plural(word) for word in words] == [
        "cherries", "fish", "buses", "snowmen", "mice", "tomatoes", "toys", "knives",
    ]  # fmt: skip
    assert [article(w) + w for w in ("apple", "smiling face", "chopsticks", "running")] == [
        "an apple", "a smiling face", "chopsticks", "running",
    ]  # fmt: skip


def test_the_schedule_has_sound_ends():
    scheduler = make_scheduler()
    alphas = scheduler.alphas_cumprod.double()
    log_snr = torch.log(alphas / (1 - alphas))
    assert log_snr[0] == pytest.approx(LOG_SNR, abs=1e-3)
    assert log_snr[-1] == pytest.approx(-LOG_SNR, abs=1e-2)
    assert (log_snr.diff() < 0).all()


@pytest.mark.parametrize("length", [2, 5, 20, 21, 40, 76, 77])
def test_kept_states_are_the_words_the_end_and_pads(length):
    kept = kept_states(length, np.random.default_rng(0))
    assert len(kept) == KEYS
    assert length - 1 in kept
    words = min(length, KEYS - PADS)
    assert kept[: words - 1] == list(range(words - 1))
    assert all(place >= length or length == 77 for place in kept[words:])


def test_few_pads_weigh_as_much_as_all():
    length = 7
    logits = torch.randn(77, dtype=torch.float64)
    logits[length:] = 0.3  # pads that are alike
    values = torch.arange(77.0, dtype=torch.float64)
    values[length:] = 5.0
    exact = logits.softmax(0) @ values
    kept = torch.tensor(kept_states(length, np.random.default_rng(0)))
    mask = pads_mask(np.array([length]))[0].double()
    estimate = (logits[kept] - 1e4 * (1 - mask)).softmax(0) @ values[kept]
    assert estimate == pytest.approx(float(exact), rel=1e-2)  # the mask is in single precision
    assert math.isclose(float(mask[0]), 1.0)


@pytest.fixture(scope="module")
def reading():
    """A denoiser that reads; states whose words and pads differ, all 77 and the kept ones."""
    random = torch.Generator().manual_seed(0)
    lengths = np.array([7, 15, 3, 20] * 60)
    every = torch.randn(len(lengths), 77, 384, generator=random) * torch.linspace(0.1, 3, 384) + 2
    kind = torch.randn(384, generator=random)
    meanings = torch.randn(len(lengths), 1, 384, generator=random)
    for row, length in enumerate(lengths):
        every[row, :length] += meanings[row]
        every[row, length:] = every[row, -1] + 3 * kind  # pads that are alike
    rng = np.random.default_rng(0)
    kept = torch.tensor([kept_states(int(length), rng) for length in lengths])
    model: Any = make_denoiser()
    few = every.gather(1, kept.unsqueeze(-1).expand(-1, -1, 384))
    let_read(model, few, lengths)
    return model, every, few, lengths


@torch.no_grad()
def test_the_pooled_text_is_the_normed_mean_of_its_words(reading):
    model, every, _, lengths = reading
    normed = torch.nn.functional.layer_norm(every, (384,))
    means = torch.stack([x[:n].mean(0) for x, n in zip(normed, lengths, strict=True)])
    apart = (means - means.mean(0)).double()
    weight, _ = whitening(apart.mean(0), apart.T.cov(), least=1.0)
    wanted = torch.nn.functional.normalize(apart @ weight.T)
    found = torch.nn.functional.normalize(model.add_embedding(every).double() - OFFSET)
    torch.testing.assert_close(found @ found.T, wanted @ wanted.T, rtol=0, atol=0.05)


@torch.no_grad()
def test_what_is_pooled_of_kept_states_is_what_the_network_pools(reading):
    model, every, few, lengths = reading
    wanted = model.add_embedding(every)
    take_pooled(model)
    kept = {"pooled": pooled(model, few, lengths)}
    found = model.get_aug_embed(emb=None, encoder_hidden_states=None, added_cond_kwargs=kept)
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)


def test_layers_that_read_text_stay_as_they_are(reading):
    model, *_ = reading
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {"encoder_hid_proj", "add_embedding"}
    assert not any("norm2" in name for name in frozen)


def test_exams_are_by_the_divergence():
    means = {"": (0, 0), "cat": (1, 0), "lion": (6, 0), "fog": (0, 1)}
    process = GaussianProcess.build(
        {name: Gaussian(np.array(mean, float), np.eye(2)) for name, mean in means.items()}
    )
    found = apart(process, [("cat", "lion"), ("cat", "fog")])
    assert found[0] / found[1] == pytest.approx(12.5, rel=1e-5)  # squares of 5 and of √2


def said(text: str) -> set[str]:
    """The numbers in a text."""
    return set(re.findall(r"\d+\.\d+", text))


def test_the_card_says_every_figure_of_the_report():
    numbers = (
        n / 10_000 for n in range(1000, 10_000, 7)
    )  # each once, so that none stands for another

    def bounded() -> list[float]:
        return [next(numbers) for _ in range(3)]

    def five() -> list[float]:
        return [next(numbers) for _ in range(5)]

    report = {
        "weights": {"text_encoder": 22_700_000, "unet": 22_400_000, "vae": 900_000},
        "judge": {"ceiling": next(numbers)},
        "learned": {f"{kind}, {way}": five() for kind, way in (
            ("drawings", "label"), ("drawings", "empty prompt"), ("drawings", "mean"),
            ("drawings", "remembered"), ("scenes", "caption"), ("scenes", "empty prompt"),
        )},
        "recognised": {
            w: {"top": bounded(), "told": bounded(), "sharpness": next(numbers)} for w in "13"
        },
        "compositions": {kind: bounded() for kind in ("count", "colour", "relation")},
        "concepts": bounded(),
        "neighbours": {k: bounded() for k in ("conjuring", "text encoder", "pixels")},
        "synonyms": {k: bounded() for k in ("conjuring", "text encoder")},
        "model": "abc", "measured": [{"date": "2026-01-02", "model": "0123456789abcdef"}],
        "diversity": {"styles": {"noto": next(numbers)}, "prompts": 60, "samples": 4,
                      "several": next(numbers)},
        "speed": {"ours": 2.0, "second": 2.5, "rows": 32, "threads": 2, "torch": "2"},
        "similarity": {
            "tasks": {task: {
                "conjuring": {"girsanov": bounded(), "score": bounded()},
                **{m: {"first": bounded()} for m in METHODS if m != "conjuring"},
            } for task in (*TASKS, "average")},
            "leads": {task: {b: bounded() for b in BASELINES} for task in (*SEVEN, "average")},
            "parts": {part: next(numbers) for part in ("noun", "verb", "adjective")},
        },
    }  # fmt: skip
    text = render(report)
    used = [n / 10_000 for n in range(1000, round(10_000 * next(numbers)), 7)]
    assert [n for n in used if not ({f"{100 * n:.1f}", f"{n:.3f}", f"{n:.2f}"} & said(text))] == []
    assert "| 0.80 |" in text
    assert "| 22.4 M |" in text
    assert "2026-01-02 (`0123456789ab`)." in text
    lines = text.splitlines()
    ends = [after for line, after in pairwise(lines) if line[:1] == "|" and after[:1] != "|"]
    assert set(ends) == {""}  # nothing runs into a table


def test_the_page_has_every_caption_in_the_order_of_its_sheet():
    scenes, words = [f"scene {n}" for n in range(23)], ["feline", "physician"]
    report = {"pictures": {"compositions": scenes, "words": words, "missed": ["broom"]}}
    text = render_page(report, "a | b 1.00")
    assert "1. scene 0; scene 1;" in text
    assert "\n3. scene 20; scene 21; scene 22\n\n<figure" in text
    assert "feline, physician." in text
    assert "broom." in text
    assert "```\na | b 1.00\n```\n" in text
    assert "{" not in text


def test_a_sheet_ends_in_white(tmp_path):
    from PIL import Image

    mosaic(torch.zeros(3, 3, 4, 4), tmp_path / "sheet.png", columns=2)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert pixels.shape == (8, 8, 3)
    assert pixels[4:, 4:].min() == 255
    assert pixels[:4].max() == pixels[4:, :4].max() == 0


def test_a_curve_is_kept_thin_and_stays_where_no_stage_has_run(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "CURVES", tmp_path / "curves.json")
    lines = [{"step": 50 * n, "seconds": 20 * n, "loss": 1 / n} for n in range(1, 501)]
    (tmp_path / "denoiser.jsonl").write_text("\n".join(map(json.dumps, lines)))
    curves.keep_curves(tmp_path)
    curves.keep_curves(tmp_path / "elsewhere")
    kept = curves.load_curves()["denoiser"]
    assert len(kept["loss"]) == curves.POINTS
    assert kept["steps"] == sorted(set(kept["steps"]))
    assert kept["steps"][-1] == 25_000


def test_an_emojis_character_is_its_label(tmp_path):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "face", "on", "fire", "red", "heart"]
    inner = Tokenizer(models.WordPiece({w: n for n, w in enumerate(vocabulary)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    plain = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")
    table = [
        {"char": "\U0001f431", "label": "cat face"},
        {"char": "\u2764\ufe0f", "label": "red heart"},
        {"char": "\u2764\ufe0f\u200d\U0001f525", "label": "heart on fire"},
    ]
    reading_emoji(plain, table).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text, read in (
        ("a\U0001f431", "[UNK] cat face"),
        ("\u2764\ufe0f\u200d\U0001f525", "heart on fire"),
        ("\u2764\U0001f431\U0001f3fd", "red heart cat face"),
        ("Cat on fire", "cat on fire"),
    ):
        assert tokenizer.tokenize(text) == read.split(), text
    assert tokenizer.model_max_length == LENGTH


def test_whitened_states_differ_as_much_in_every_direction():
    random = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=random) * torch.tensor([9.0, 3, 1, 1, 1, 0.3])
    lengths = np.full(500, 5)
    states = torch.randn(500, KEYS, 6, generator=random) @ mixing.T + 5
    states[:, 5:] = states[:, 5:6]  # pads that are alike
    every = torch.cat([states, states[:, 5:6].expand(-1, 77 - KEYS, -1)], 1)
    times = times_kept(lengths)
    assert times.sum(1) == pytest.approx(77, rel=1e-2)
    mean, covariance = moments(states, times)
    flat = every.reshape(-1, 6).double()
    torch.testing.assert_close(mean, flat.mean(0), rtol=1e-2, atol=1e-2)
    weight, bias = whitening(mean, covariance)
    found = flat @ weight.T + bias
    assert found.mean(0).abs().max() < 0.05
    before, after = (torch.linalg.eigvalsh(x.T.cov()) for x in (flat, found))
    wanted = before / (before + LEAST * before.mean())  # nearly 1, but for the weakest
    torch.testing.assert_close(after, wanted, rtol=0.05, atol=0.01)


@torch.no_grad()
def test_words_are_read_whitened(reading):
    model, _, few, _ = reading
    found = model.encoder_hid_proj(few).flatten(0, 1)
    assert found.mean(0).abs().max() < 0.5
    assert 0.5 < found.std(0).mean() < 1.5


def test_an_optimizer_moves_every_weight_and_goes_on_where_it_was():
    torch.manual_seed(0)
    network: Any = UNet2DConditionModel(
        sample_size=4, in_channels=16, out_channels=16, layers_per_block=1,
        block_out_channels=(32, 32), attention_head_dim=2, cross_attention_dim=16,
        norm_num_groups=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    model = network.to(memory_format=torch.channels_last)
    again: Any = copy.deepcopy(model)
    inputs = torch.randn(2, 16, 4, 4), torch.tensor([10, 500]), torch.randn(2, 5, 16)
    first, second = Optimizer(model), Optimizer(again)
    assert sum(p.ndim == 4 for p in first.wide) > 5

    def step(network: Any, optimizer: Optimizer) -> None:
        optimizer.step((network(*inputs).sample - 1).square().mean(), 0.5)

    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    step(model, first)
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())
    again.load_state_dict(model.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(model, first)
    step(again, second)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(other, one)


def test_noise_levels_are_stratified_and_variances_kept():
    alphas = make_scheduler().alphas_cumprod
    clean = torch.randn(50, 16, 8, 8)
    times, states, alpha, sigma = noised(clean, alphas, torch.Generator().manual_seed(0))
    assert (times.diff() > 0).all()
    torch.testing.assert_close(alpha.square().flatten(), alphas[times])
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones(50, 1, 1, 1))
    noise = (states - alpha * clean) / sigma
    assert abs(float(noise.mean())) < 4 / noise.numel() ** 0.5


def test_what_a_text_may_mean_is_weighed_by_how_well_it_explains_a_state():
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(6, 1, 2, 1, generator=random)
    labels = np.arange(1, 37).reshape(4, 9)
    labels[1, 3] = 1  # a caption of the second label is the name of the first
    examples = Examples(latents, [[0, 1], [2], [], [3]], labels, np.array([50, 1]))
    texts = np.array([0, 1, 2, 10, 50, 1])
    pictures = np.array([3, 2, 0, 2, 4, 5])  # the last two are scenes
    alpha, sigma = torch.tensor([0.6, 0.8, 0.3, 0.8, 0.6, 0.6]), torch.full((6,), 0.7)
    noisy = torch.randn(6, 1, 2, 1, generator=random)
    found = examples.expected(noisy, alpha, sigma, pictures, texts)
    caption = 0.4 / 8  # how often one of a label's eight is taken, and its name in 6 of 10 cases
    often = [{0: 0.5, 1: 0.5, 2: 1, 3: 1}, {0: 0.3, 1: 0.3, 2: caption}, {0: 1, 1: 1}, {2: 1}]
    for place, shares in enumerate(often):
        weights = {
            picture: share * math.exp(
                -float((noisy[place] - alpha[place] * latents[picture]).square().sum())
                / (2 * float(sigma[place]) ** 2)
            )
            for picture, share in shares.items()
        }  # fmt: skip
        mean = sum(weight * latents[picture] for picture, weight in weights.items())
        torch.testing.assert_close(found[place], mean / sum(weights.values()))
    torch.testing.assert_close(found[4:], latents[4:])


def test_expected_pictures_are_right_on_average():
    random, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    labels = np.arange(1, 28).reshape(3, 9)
    latents = torch.randn(7, 1, 1, 1, generator=random)
    examples = Examples(latents, [[0, 1, 2], [3, 4, 5], [6]], labels, np.array([], dtype=int))
    pictures, texts = examples.draw(4000, rng, 0.0)
    alpha, sigma = torch.full((4000,), 0.6), torch.full((4000,), 0.8)
    clean = latents[torch.from_numpy(pictures)]
    noisy = 0.6 * clean + 0.8 * torch.randn(clean.shape, generator=random)
    found = examples.expected(noisy, alpha, sigma, pictures, texts)
    for test in (torch.ones_like(noisy), noisy, noisy.square()):  # no function of the state is off
        off = ((found - clean) * test).flatten()
        assert abs(float(off.mean())) < 4 * float(off.std()) / 4000**0.5


def test_training_that_is_killed_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "LOGGED", 2)
    monkeypatch.setattr(common, "SAVED", 0.0)
    clock = [0.0]
    monkeypatch.setattr(common.time, "monotonic", lambda: clock[0])
    model = torch.nn.Linear(1, 1)
    seen: list[tuple[float, float]] = []

    def learn(budget: common.Budget, random: torch.Generator, _: object) -> dict[str, float]:
        clock[0] += 10
        seen.append((budget.progress, float(torch.rand((), generator=random))))
        if len(seen) == 3:
            raise KeyboardInterrupt
        torch.nn.init.constant_(model.weight, len(seen))
        return {"loss": 1.0}

    with pytest.raises(KeyboardInterrupt):
        common.train(tmp_path, "toy", 1, {"model": model}, learn)
    torch.nn.init.zeros_(model.weight)
    common.train(tmp_path, "toy", 1, {"model": model}, learn)
    assert [round(progress, 2) for progress, _ in seen] == [
        0.17, 0.33, 0.5, 0.5, 0.67, 0.83, 1.0,
    ]  # fmt: skip
    assert len({draw for _, draw in seen}) > 4  # no step sees what another one saw, but the last
    lines = (tmp_path / "toy.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4, 6]


def test_examples_come_in_their_shares_with_pictures_of_what_they_say():
    drawings = [[0, 1], [2], [], [3]]  # the third label is held out
    examples = Examples(
        latents=torch.arange(6.0).view(6, 1, 1, 1), drawings=drawings,
        label_texts=np.arange(1, 37).reshape(4, 9), scene_texts=np.array([50, 51]),
    )  # fmt: skip
    for progress, stage in ((0.0, 0), (0.9, 1)):
        numbers, texts = examples.draw(4000, np.random.default_rng(0), progress)
        shares = [np.isin(texts, some).mean() for some in (range(1, 37), (50, 51), (0,))]
        assert shares == pytest.approx([each[stage] for each in SHARES.values()], abs=0.03)
    assert set(numbers[texts == 50]) == {4}
    assert set(numbers[texts == 51]) == {5}
    assert set(numbers[(texts > 0) & (texts < 10)]) == {0, 1}
    assert set(numbers[texts == 0]) <= {0, 1, 2, 3}  # the empty prompt is of single drawings
    assert not np.isin(texts, range(19, 28)).any()


def test_the_text_that_explains_a_picture_fits_best():
    known = gaussians("full")
    process = GaussianProcess.build(known, steps=40)
    clean = torch.stack([torch.as_tensor(known[prompt].mean) for prompt in ("a", "b")])
    found = misfit(process, clean, [["a", "b"], ["b", "a"]], noises=64)
    assert (found.argmin(1) == 0).all()


def test_triples_are_two_of_a_subgroup_and_one_of_another_group():
    by_label = {entry["label"]: entry for entry in TABLE}
    for a, b, c in triples(TABLE, 50, 0):
        assert a != b
        assert by_label[a]["subgroup"] == by_label[b]["subgroup"]
        assert by_label[a]["group"] != by_label[c]["group"]


@pytest.mark.parametrize(("pays", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_half_precision_is_used_where_it_pays(monkeypatch, pays, dtype):
    monkeypatch.setattr(common, "halves_pay", lambda: pays)
    with fast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize("faster", [1.4, 1.6])
def test_half_precision_pays_where_it_is_at_least_a_half_faster(monkeypatch, faster):
    clock = [0.0]

    def multiply(a: torch.Tensor, b: torch.Tensor) -> None:
        clock[0] += 1.0 if a.dtype == b.dtype == torch.float32 else 1 / faster

    monkeypatch.setattr(common.torch, "mm", multiply)
    monkeypatch.setattr(common.time, "perf_counter", lambda: clock[0])
    halves_pay.cache_clear()
    assert halves_pay() is (faster > 1.5)
    halves_pay.cache_clear()
