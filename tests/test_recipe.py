"""The recipe of the embedded model: what it draws, what it says, and what it keeps back."""

from __future__ import annotations

import copy
import json
import math
import random
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from conftest import gaussians
from diffusers import UNet2DConditionModel

from conjure import Gaussian, GaussianProcess
from recipes.emoji import common, curves, placing
from recipes.emoji.captions import article
from recipes.emoji.card import render, render_page
from recipes.emoji.common import fast, halves_pay, held_out
from recipes.emoji.denoiser import (
    KEYS,
    LOG_SNR,
    PADS,
    kept_states,
    make_denoiser,
    make_scheduler,
    pads_mask,
    weigh_pads,
)
from recipes.emoji.evaluate import BASELINES, METHODS, OURS, TASKS, mosaic
from recipes.emoji.examples import SHARES, Examples
from recipes.emoji.exams import apart, misfit, triples
from recipes.emoji.kernels import SMALL, WeightByProduct, speed_up
from recipes.emoji.layout import (
    MARK,
    PERIOD,
    SIDES,
    marks,
    placed_states,
    sides,
    with_whole_end,
)
from recipes.emoji.routing import FLOOR, misrouted, slots_used, watch
from recipes.emoji.scenes import (
    COLOURS,
    Item,
    Scene,
    alternatives,
    keys,
    paint,
    plural,
    relation_scene,
    tint,
)
from recipes.emoji.sentences import Grammar, say
from recipes.emoji.synonyms import stems
from recipes.emoji.text_encoder import placing_loss
from recipes.emoji.withheld import Withheld, drawn, fingerprint, training_scenes

NAMES = (
    "cat", "dog", "fox", "cow", "horse", "tiger", "car", "van", "boat", "train", "apple", "pear",
    "cake", "pizza", "hammer", "saw", "axe", "key",
)  # fmt: skip
KINDS = 6 * ["animal-mammal"] + 4 * ["transport-ground"] + 4 * ["food-fruit"] + 4 * ["tool"]
GROUPS = 6 * ["animals"] + 4 * ["travel"] + 4 * ["food"] + 4 * ["objects"]
TABLE = [
    {"label": name, "tags": [], "subgroup": subgroup, "group": group, "held_out": name == "key"}
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
    assert withheld.benchmark("watchdog: a dog barks at noon")
    assert not withheld.benchmark("A dog barks at night.")
    assert withheld.allowed(["a dog barks at noon", "a dog barks"]) == ["a dog barks"]


def test_a_synonym_in_any_form_is_found():
    assert {"spectacle", "canister"} <= stems("Spectacles and two canisters.")
    assert "drive" in stems("drives")
    assert "bake" in stems("baked")


def test_what_stands_on_which_side_is_read_off_a_state():
    cat_left = relation_scene(0, "cat", 1, "dog", "left", random.Random(0))
    assert sorted(sides(cat_left)) == [(0, 0), (1, 1)]
    assert sorted(sides(relation_scene(0, "cat", 1, "dog", "below", random.Random(0)))) == [
        (2, 1), (3, 0),
    ]  # fmt: skip
    corner = Scene("place", "", (Item(4, 0.25, 0.75),))
    assert sorted(sides(corner)) == [(0, 4), (3, 4)]
    assert not sides(Scene("near", "", cat_left.items))  # whose caption does not say


def placed(width: int = 20) -> tuple[list[Scene], torch.Tensor, torch.Tensor]:
    """Two scenes, the states of their captions, and those of the things alone."""
    generator = torch.Generator().manual_seed(0)
    scenes = [relation_scene(0, "cat", 1, "dog", "left", random.Random(0)),
              Scene("near", "", (Item(0, 0.25), Item(1, 0.75)))]  # fmt: skip
    whole, alone = (torch.randn(2, width, 8, generator=generator) for _ in range(2))
    return scenes, whole, alone


def test_pads_of_a_side_are_those_of_the_thing_alone_and_marked():
    scenes, whole, alone = placed()
    wanted, used = placed_states(whole, alone, [5, 5], scenes, 0.5)
    signs = marks(8)
    torch.testing.assert_close(signs @ signs.T, torch.eye(4))
    assert used.nonzero().tolist() == [[0, 8], [0, 9], [0, 16], [0, 17]]
    for side in (0, 1):
        for place in (8 + side, 16 + side):
            torch.testing.assert_close(
                wanted[0, place], alone[side, place] + 0.5 * MARK * signs[side]
            )
    assert torch.equal(wanted[~used], whole[~used])


def test_the_last_of_a_texts_positions_is_no_sides():
    for width in range(10, 78):
        found = with_whole_end(width, 77)
        assert width <= found <= min(77, width + SIDES)
        assert (found - 1) % PERIOD >= SIDES


def test_a_caption_whose_slots_say_what_is_there_has_nothing_to_learn():
    scenes, whole, alone = placed()
    wanted, _ = placed_states(whole, alone, [5, 5], scenes, alone.std())
    each = torch.cat([alone, alone])  # of every item, one after the other
    assert placing_loss(wanted, each, [5, 5], scenes) < 1e-4
    assert placing_loss(whole, each, [5, 5], scenes) > 1


def test_an_order_is_told_if_each_side_is_nearer_to_its_own_thing(monkeypatch):
    scenes, whole, alone = placed(77)
    ways = [scenes[0], relation_scene(0, "cat", 1, "dog", "right", random.Random(0)), scenes[1]]
    always, _ = placed_states(whole[:1], alone, [5], ways[:1], 0.5)
    monkeypatch.setattr(placing, "states", lambda *_: always)
    told = placing.order_told(None, [torch.zeros(5)] * 3, ways, alone, 0.5, "cpu")
    assert told == 0.5  # always "the cat is on the left": right once in two


def test_attention_that_is_watched_gives_the_same():
    torch.manual_seed(0)
    exact, watched = (make_denoiser() for _ in range(2))
    watched.load_state_dict(exact.state_dict())
    layers = watch(watched)
    states, text = torch.randn(2, 16, 8, 8), torch.randn(2, 9, 256)
    one, other = (network(states, 500, text).sample for network in (exact, watched))
    torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    assert {layer.seen.shape for layer in layers} == {(2, 16, 9), (2, 4, 9)}
    for layer in layers:
        torch.testing.assert_close(layer.seen.sum(-1), torch.ones(layer.seen.shape[:2]))


def test_slots_are_pads_of_the_sides_that_a_text_uses():
    used = np.array([[True, True, False, False], [False, False, False, False]])
    places = np.array([[0, 8, 9, 10, 12, 16, 17], [0, 8, 9, 10, 12, 16, 17]])
    slots = slots_used(used, np.array([9, 9]), places)
    assert slots.tolist() == [[-1, -1, 1, -1, -1, 0, 1], 7 * [-1]]


def test_attention_is_told_to_look_at_its_own_side():
    slots = torch.tensor([[-1, 0, 1], [-1, 2, 3], [-1, -1, 0]])  # the third speaks of one side

    def flip(given: torch.Tensor) -> torch.Tensor:
        return given[..., [0, 2, 1]]

    right = torch.tensor([
        [[0.6, 0.4, 0.0], [0.6, 0.0, 0.4], [0.6, 0.4, 0.0], [0.6, 0.0, 0.4]],
        [[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.6, 0.0, 0.4], [0.6, 0.0, 0.4]],
        4 * [[0.6, 0.4, 0.0]],
    ])  # fmt: skip
    even = torch.tensor([0.6, 0.2, 0.2]).expand(3, 4, 3)
    assert misrouted([right], slots) == pytest.approx(0, abs=1e-4)
    floor = math.log(FLOOR / 0.2)
    assert misrouted([even], slots) == pytest.approx(math.log(2) + floor, rel=1e-4)
    assert misrouted([flip(right)], slots) > 5
    assert misrouted([flip(right)], slots[[2, 2, 2]]) == 0
    wanted = even.clone().requires_grad_()
    (found,) = torch.autograd.grad(misrouted([wanted], slots), wanted)
    assert ((found < 0) == (right * (slots != -1)[:, None] > 0))[:2].all()
    assert not found[2].any()


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
        pixels = paint(scene, [red, blue]).astype(int)
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
    assert (paint(Scene("absence", "nothing", ()), []) == 255).all()
    assert (paint(Scene("x", "", (Item(0),), "red"), [disc((0, 0, 0))])[0, 0] < 255).any()


def test_english():
    words = ("cherry", "fish", "bus", "snowman", "mouse", "tomato", "toy", "knife")
    assert [plural(word) for word in words] == [
        "cherries", "fish", "buses", "snowmen", "mice", "tomatoes", "toys", "knives",
    ]  # fmt: skip
    assert [article(w) + w for w in ("apple", "smiling face", "chopsticks", "running")] == [
        "an apple", "a smiling face", "chopsticks", "running",
    ]  # fmt: skip


def test_a_family_of_sentences_is_around_one():
    grammar = Grammar(TABLE, 0)
    for _ in range(50):
        base = grammar.draw()
        changed = grammar.change(base)
        different = sum(
            getattr(base, part) != getattr(changed, part) for part in base.__dataclass_fields__
        )
        assert different <= 3  # a verb comes with its object and the object's colour
        assert say(base)[0].islower()
    assert len(set(grammar.family())) > 1


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


def test_few_pads_weigh_as_much_in_the_pooled_text():
    model: Any = make_denoiser()
    torch.manual_seed(0)
    torch.nn.init.ones_(model.add_embedding.norm2.weight)
    text = torch.randn(2, 77, 256)
    lengths = [7, 15]
    for row, length in enumerate(lengths):
        text[row, length:] = text[row, -1]  # pads that are alike
    rng = np.random.default_rng(0)
    kept = torch.tensor([kept_states(length, rng) for length in lengths])
    few = text.gather(1, kept.unsqueeze(-1).expand(-1, -1, 256))
    with torch.no_grad():
        exact = model.add_embedding(text)
        weigh_pads(model)
        mask = pads_mask(np.array(lengths))
        estimate = model.get_aug_embed(
            emb=exact, encoder_hidden_states=few, added_cond_kwargs={"mask": mask}
        )
        unweighted = model.add_embedding(few)
        assert torch.equal(model.get_aug_embed(exact, text, None), exact)
    torch.testing.assert_close(estimate, exact, rtol=1e-2, atol=1e-2)
    assert (unweighted - exact).abs().max() > 0.1


def test_exams_are_by_the_divergence_and_over_what_is_said():
    means = {"": (0, 0), "cat": (1, 0), "lion": (6, 0), "fog": (0, 1)}
    process = GaussianProcess.build(
        {name: Gaussian(np.array(mean, float), np.eye(2)) for name, mean in means.items()}
    )
    # A vivid lion is far from a cat, which is near to whatever is vague; but they say the same.
    found = apart(process, [("cat", "lion"), ("cat", "fog")], samples=1, seed=0)
    assert found["girsanov"][0] > found["girsanov"][1]
    assert found["relative"] == pytest.approx([25 / 37, 1.0], rel=1e-5)


def test_the_card_says_every_figure_of_the_report():
    numbers = (n / 1000 for n in range(100, 1000, 3))  # each once, so that none stands for another

    def bounded() -> list[float]:
        return [next(numbers) for _ in range(3)]

    report = {
        "weights": {"text_encoder": 5_000_000, "unet": 21_000_000, "vae": 900_000},
        "judge": {"ceiling": next(numbers)},
        "recognised": {"1": bounded(), "3": bounded()},
        "compositions": {kind: bounded() for kind in ("count", "colour", "relation")},
        "concepts": bounded(),
        "neighbours": {way: bounded() for way in ("girsanov", "relative")},
        "neighbours_elsewhere": {k: bounded() for k in ("teacher", "text encoder", "pixels")},
        "synonyms": {way: bounded() for way in ("girsanov", "relative")},
        "synonyms_elsewhere": {k: bounded() for k in ("teacher", "text encoder")},
        "model": "abc", "measured": [{"date": "2026-01-02", "model": "0123456789abcdef"}],
        "diversity": {"styles": {"noto": next(numbers)}, "prompts": 60, "samples": 4,
                      "several": next(numbers)},
        "speed": {"ours": 2.0, "first": 2.5, "rows": 32, "threads": 2, "torch": "2"},
        "similarity": {
            "tasks": {task: {method: bounded() for method in METHODS} for task in TASKS},
            "estimands": {task: {m: {"score": bounded()} for m in OURS} for task in TASKS},
            "leads": {
                task: {m: {b: bounded() for b in BASELINES} for m in OURS}
                for task in ("STS-B", "SICK-R")
            },
            "parts": {
                m: {part: next(numbers) for part in ("noun", "verb", "adjective")} for m in OURS
            },
        },
    }  # fmt: skip
    text = render(report)
    used = [n / 1000 for n in range(100, round(1000 * next(numbers)), 3)]
    assert [n for n in used if f"{100 * n:.1f}" not in text] == []
    assert "| 0.80 |" in text
    assert "| 21.0 M |" in text
    assert "2026-01-02 (`0123456789ab`)." in text
    lines = text.splitlines()
    ends = [after for line, after in pairwise(lines) if line[:1] == "|" and after[:1] != "|"]
    assert set(ends) == {""}  # nothing runs into a table


def test_the_page_has_every_caption_in_the_order_of_its_sheet():
    scenes, words = [f"scene {n}" for n in range(23)], ["feline", "physician"]
    report = {"pictures": {"compositions": scenes, "words": words, "missed": ["broom"]}}
    text = render_page(report, "a | b 1.00")
    assert "1. scene 0; scene 1;" in text
    assert "\n3. scene 20; scene 21; scene 22\n\n![" in text
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


def test_a_curve_is_kept_and_training_goes_on_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "CURVES", tmp_path / "curves.json")
    lines = [{"step": 50 * n, "seconds": 20 * n, "loss": 1 / n} for n in range(1, 501)]
    killed = [*lines[:300], *lines[250:]]  # went on from a checkpoint before its end
    (tmp_path / "denoiser.jsonl").write_text("\n".join(map(json.dumps, killed)))
    curves.keep_curves(tmp_path)
    curves.keep_curves(tmp_path / "elsewhere")  # where no stage has run: nothing is lost
    kept = curves.load_curves()["denoiser"]
    assert len(kept["loss"]) == curves.POINTS
    assert kept["steps"] == sorted(set(kept["steps"]))
    other = tmp_path / "other"
    other.mkdir()
    assert curves.restore(other, "denoiser") == {
        "step": 25_000,
        "spent": pytest.approx(10_000, 0.01),
    }
    assert curves.restore(other, "autoencoder") == {"step": 0, "spent": 0.0}
    assert len((other / "denoiser.jsonl").read_text().splitlines()) == curves.POINTS


@pytest.mark.parametrize("size", [1, 3])
def test_a_weights_gradient_by_product_is_the_convolutions(size):
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, size, size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(WeightByProduct.apply, (x, weight))


@pytest.mark.parametrize("pixels", [SMALL, 2 * SMALL])
def test_a_network_that_learns_faster_has_the_same_gradients(pixels):
    torch.manual_seed(0)
    exact = UNet2DConditionModel(
        sample_size=pixels, in_channels=3, out_channels=3, layers_per_block=1,
        block_out_channels=(8, 8), attention_head_dim=2, cross_attention_dim=6, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    slow, quick = copy.deepcopy(exact), copy.deepcopy(exact)
    speed_up(quick)
    inputs = torch.randn(2, 3, pixels, pixels), torch.tensor([10, 500]), torch.randn(2, 5, 6)
    for network in (exact, slow, quick):
        with torch.autocast("cpu", torch.bfloat16, enabled=network is not exact):
            network(*inputs).sample.float().square().mean().backward()
    truth, one, other = (
        torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        for network in (exact, slow, quick)
    )
    assert (other - truth).norm() < 1.5 * (one - truth).norm() < 0.05 * truth.norm()


def test_examples_come_in_their_shares_with_pictures_of_what_they_say():
    drawings = [[0, 1], [2], [], [3]]  # the third label is held out
    examples = Examples(
        latents=torch.arange(6.0).view(6, 1, 1, 1), drawings=drawings,
        label_texts=np.arange(1, 37).reshape(4, 9), scene_texts=np.array([50, 51]),
    )  # fmt: skip
    latents, texts = examples.draw(4000, np.random.default_rng(0))
    numbers = latents.flatten().long().numpy()
    shares = [np.isin(texts, some).mean() for some in (range(1, 37), (50, 51), (0,))]
    assert shares == pytest.approx(list(SHARES.values()), abs=0.03)
    assert set(numbers[texts == 50]) == {4}
    assert set(numbers[texts == 51]) == {5}
    assert set(numbers[(texts > 0) & (texts < 10)]) == {0, 1}
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
