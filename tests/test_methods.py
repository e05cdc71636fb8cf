"""Each method against what it should be: a closed form, another way to compute it, an identity."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import import_module
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import build, gguf_model

import conjure
from conjure import Gaussian, GaussianProcess
from conjure.engine import noise
from conjure.engine.block import run_block
from conjure.engine.ends import finished_pictures
from conjure.engine.jobs import Job
from conjure.engine.network import Network
from conjure.errors import ConjureError
from conjure.evaluate import Examples, evaluate
from conjure.evaluate.run import build_methods
from conjure.methods import METHODS
from conjure.methods.base import Request, folder_name
from conjure.methods.trajectories import TEMPLATE, Trajectories
from conjure.store.values import kept_values

PAIRS = [("cat", "dog"), ("dog", "cat"), ("cat", "cat"), ("a red car", "dog")]


@pytest.fixture(scope="module")
def pipeline(pipeline_folder):
    return conjure.load(pipeline_folder, steps=3, dtype="float64", guidance=2.0)


def measure(name, process, folder, **asked):
    (method,) = build_methods([name], Request(lambda: process, **asked))
    return method.measure(PAIRS, folder / folder_name(method))


@pytest.mark.parametrize(
    "name", ["conjuring", "relative", "initial-timestep", "direct-output", "landmarks"]
)
def test_every_method_of_ours_is_a_distance(name, pipeline, tmp_path):
    found = measure(name, pipeline, tmp_path)
    for column, values in found.distances.items():
        assert values.shape == (4, max(1, found.samples)), column
        assert np.allclose(values[0], values[1], rtol=1e-9), column
        assert np.all(values[2] == 0), column
        assert np.all(values[[0, 3]] > 0), column
    (method,) = build_methods([name], Request(lambda: pipeline))
    assert found.calls == method.cost(PAIRS, None)
    assert method.cost(PAIRS, tmp_path / folder_name(method)) == 0
    again = measure(name, pipeline, tmp_path)
    assert again.calls == 0
    for column, values in found.distances.items():
        assert np.array_equal(values, again.distances[column])


def test_the_initial_timestep_is_the_first_term_of_ours(pipeline, tmp_path):
    found = measure("initial-timestep", pipeline, tmp_path)
    jobs = [Job(*pair, sample) for pair in PAIRS for sample in range(2)]
    squares, _ = run_block(pipeline, Network(pipeline), jobs, seed=0)
    # There, predictions are guided: w² times as far apart.
    expected = squares.noise[:, 0, 0].reshape(4, 2) / pipeline.guidance**2
    assert np.allclose(found.distances["noise"], expected, rtol=1e-9)
    assert found.calls == 3 * 2  # three prompts, two samples


def test_without_signal_pictures_are_compared(pipeline_folders, tmp_path):
    process = conjure.load(pipeline_folders["zero-snr"], steps=3)
    assert list(measure("initial-timestep", process, tmp_path).distances) == ["picture"]


def test_finished_pictures_are_those_of_diffusers(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=4, eta=0.0, dtype="float64", guidance=3.0)
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    theirs = StableDiffusionPipeline.from_pretrained(
        pipeline_folder, dtype=torch.float64, safety_checker=None
    )
    theirs.set_progress_bar_config(disable=True)
    theirs.scheduler = DDIMScheduler.from_config(theirs.scheduler.config)
    start = noise.standard_normal(0, 1, 0, process.shape)[None].double()
    expected: Any = theirs(
        "cat", num_inference_steps=4, guidance_scale=3.0, eta=0.0, latents=start,
        output_type="latent",
    )  # fmt: skip
    found = finished_pictures(process, Network(process), [("dog", 0), ("cat", 1)], seed=0)
    assert torch.allclose(found[1], expected.images[0].double(), atol=1e-6)


def test_direct_output_in_latents_pixels_and_features(pipeline, tmp_path):
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    encoder = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            image_size=16, patch_size=8,
        )
    )  # fmt: skip
    encoder.save_pretrained(tmp_path / "encoder")
    sides = {"height": 16, "width": 16}
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=sides).save_pretrained(
        tmp_path / "encoder"
    )
    found = measure(f"direct-output:{tmp_path / 'encoder'}", pipeline, tmp_path)
    assert list(found.distances) == ["features", "latents", "pixels"]  # the first is the headline
    keys = [("cat", 1), ("dog", 1)]
    latents = finished_pictures(pipeline, Network(pipeline), keys, seed=0)
    expected = (latents[0] - latents[1]).square().sum().item()
    assert found.distances["latents"][0, 1] == pytest.approx(expected, rel=1e-9)
    one, other = pipeline.decode(latents).astype(np.float64)
    assert found.distances["pixels"][0, 1] == pytest.approx(((one - other) ** 2).sum(), rel=1e-6)
    features = found.distances["features"]
    assert np.all((features >= -1e-9) & (features <= 2))
    assert features[2] == pytest.approx(0, abs=1e-9)
    processor = CLIPImageProcessor(
        size={"shortest_edge": 16}, crop_size=sides, image_mean=[0.0, 0.0, 0.0]
    )
    processor.save_pretrained(tmp_path / "encoder")  # other features, and so kept apart
    other = measure(f"direct-output:{tmp_path / 'encoder'}", pipeline, tmp_path)
    assert np.abs(other.distances["features"][0] - features[0]).max() > 1e-6
    with pytest.raises(ConjureError, match="cannot be loaded"):
        measure(f"direct-output:{tmp_path / 'none'}", pipeline, tmp_path)


def by_hand(model, processor, pictures, pooled):
    """Unit features, one picture at a time."""
    from PIL import Image

    rows = []
    for picture in pictures:
        image = Image.fromarray((255 * picture).round().astype(np.uint8))
        with torch.no_grad():
            if hasattr(model, "get_image_features"):
                seen = model.get_image_features(**processor(images=image, return_tensors="pt"))
                row = seen if isinstance(seen, torch.Tensor) else seen.pooler_output
            else:
                seen = model(**processor(images=image, return_tensors="pt"))
                row = seen.pooler_output if pooled else seen.last_hidden_state[:, 0]
        rows.append(row[0].double() / row[0].double().norm())
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["CLIPModel", "ViT", "ViT without a pooler"])
def test_features_of_pictures_by_hand(pipeline, tmp_path, kind):
    import transformers

    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 16, "patch_size": 8,
    }  # fmt: skip
    if kind == "CLIPModel":
        text = {k: v for k, v in shape.items() if k not in ("image_size", "patch_size")}
        config = transformers.CLIPConfig(
            text_config={**text, "vocab_size": 99}, vision_config=shape, projection_dim=8
        )
        model: Any = transformers.CLIPModel(config)
    else:
        model = transformers.ViTModel(
            transformers.ViTConfig(**shape), add_pooling_layer=kind == "ViT"
        )
    model.eval().save_pretrained(tmp_path / "encoder")
    sides = {"height": 16, "width": 16}
    processor = transformers.ViTImageProcessor(size=sides)
    processor.save_pretrained(tmp_path / "encoder")
    found = measure(f"direct-output:{tmp_path / 'encoder'}", pipeline, tmp_path)
    latents = finished_pictures(pipeline, Network(pipeline), [("cat", 0), ("dog", 0)], seed=0)
    pictures = pipeline.decode(latents)
    one, other = by_hand(model, processor, pictures, kind == "ViT")
    assert found.distances["features"][0, 0] == pytest.approx(1 - float(one @ other), abs=1e-6)
    assert found.distances["features"][0, 0] > 1e-6


@pytest.mark.parametrize("samples", [1, 2])
def test_a_batch_whose_pictures_are_all_there(tmp_path, samples):
    """All pairs of many texts: the last batches need no new picture."""
    names = [f"t{n}" for n in range(20)]
    meanings = {name: Gaussian(np.full(2, n / 9), np.eye(2)) for n, name in enumerate(names)}
    process = GaussianProcess.build(meanings | {"": meanings["t0"]}, steps=3)
    pairs = list(combinations(names, 2))
    (method,) = build_methods(["direct-output"], Request(lambda: process, samples=samples))
    assert method.measure(pairs, tmp_path).calls == method.cost(pairs, None)


def test_a_model_is_loaded_for_methods_that_ask_for_it(pipeline):
    loads = []

    def load():
        loads.append(1)
        return pipeline

    asked = Request(load)
    build_methods(["conjuring", "initial-timestep"], asked)
    assert loads == [1]
    asked = Request(load)
    with pytest.raises(ConjureError, match="Name the model"):
        build_methods(["sentence-transformers"], asked)
    assert asked.loaded is None


def test_the_text_encoder_control(pipeline, tmp_path):
    found = measure("text-encoder", pipeline, tmp_path)
    assert found.calls == 0
    tokens = pipeline.family.pipeline.tokenizer(
        ["cat", "dog"], padding="max_length", return_tensors="pt"
    )
    said = pipeline.family.pipeline.text_encoder(tokens.input_ids)
    pooled = said.pooler_output
    cosine = torch.cosine_similarity(pooled[:1], pooled[1:]).item()
    assert found.distances["pooled"][0, 0] == pytest.approx(1 - cosine, abs=1e-9)
    means = said.last_hidden_state[:, 1:4].mean(1)  # three letters, between start and end
    cosine = torch.cosine_similarity(means[:1], means[1:]).item()
    assert found.distances["mean"][0, 0] == pytest.approx(1 - cosine, abs=1e-9)
    assert np.all(np.isfinite(pipeline.text_features([""])["mean"]))


def test_sentence_transformers_of_a_folder(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "a", "red", "car"]
    torch.manual_seed(0)
    bert = BertModel(
        BertConfig(
            vocab_size=10, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=16,
        )
    )  # fmt: skip
    bert.save_pretrained(tmp_path / "bert")
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}).save_pretrained(
        tmp_path / "bert"
    )
    base = Transformer(str(tmp_path / "bert"))
    model = SentenceTransformer(modules=[base, Pooling(16)], device="cpu")
    model.save(str(tmp_path / "model"))
    found = measure(f"sentence-transformers:{tmp_path / 'model'}", None, tmp_path)
    cosine = float(model.similarity(*(model.encode([text]) for text in ("cat", "dog"))))
    assert found.distances["cosine"][0, 0] == pytest.approx(1 - cosine, abs=1e-5)
    assert found.samples == 0
    with pytest.raises(ConjureError, match="cannot be loaded"):
        measure(f"sentence-transformers:{tmp_path / 'none'}", None, tmp_path)
    # The first token, as SimCSE was trained, in a folder of the same name: another model.
    first = SentenceTransformer(modules=[base, Pooling(16, pooling_mode="cls")], device="cpu")
    first.save(str(tmp_path / "cls" / "model"))
    kind = "sentence-transformers"
    names = [f"{kind}:{tmp_path / place}" for place in ("model", "cls/model")]
    built = build_methods(names, Request())
    assert [method.name for method in built] == names
    assert len({str(method.settings) for method in built}) == 2
    values = [m.measure([("cat", "dog")], tmp_path).distances["cosine"] for m in built]
    assert values[0] != values[1]
    with pytest.raises(ConjureError, match="stands twice"):
        build_methods([names[0], names[0]], Request())


class Toy(torch.nn.Module):
    """A language in which what follows depends on the first word alone, each token anew."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = table
        self.config = SimpleNamespace(max_position_embeddings=None)
        self.device, self.dtype = torch.device("cpu"), torch.float64

    def forward(self, ids, past_key_values=None, use_cache=True):
        kept = past_key_values or Kept(ids[:, 0])
        logits = self.table.log()[kept.first][:, None].expand(-1, ids.shape[1], -1)
        return SimpleNamespace(logits=logits, past_key_values=kept)


class Kept:
    def __init__(self, first):
        self.first = first

    def batch_repeat_interleave(self, count):
        self.first = self.first.repeat_interleave(count)


def toy(tokens: int, continuations: int, end: int | None = None) -> Trajectories:
    table = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], dtype=torch.float64)

    class Tokenizer:
        eos_token_id = end

        def __call__(self, text):
            return SimpleNamespace(input_ids=[{"u": 0, "v": 1}[text]])

    return Trajectories(
        Request(), Toy(table), Tokenizer(), "toy", "toy", None, continuations, tokens
    )


def test_trajectories_of_a_toy_language_in_closed_form(tmp_path):
    method = toy(tokens=1, continuations=4000)
    found = method.measure([("u", "v"), ("u", "u")], tmp_path)
    p, q = method.model.table.numpy()
    ratio = np.abs(np.log(p / q))
    exact = (p @ ratio + q @ ratio) / 2
    values = found.distances["trajectories"][0]
    assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(len(values))
    jeffreys = float(((p - q) * np.log(p / q)).sum())
    assert np.allclose(found.distances["path-kl"][0], jeffreys)
    for column in found.distances.values():
        assert np.all(column[1] == 0)


def test_path_kl_adds_up_along_a_continuation(tmp_path):
    p, q = toy(1, 1).model.table.numpy()
    jeffreys = float(((p - q) * np.log(p / q)).sum())
    found = toy(tokens=5, continuations=8).measure([("u", "v")], tmp_path / "long")
    assert np.allclose(found.distances["path-kl"], 5 * jeffreys)
    # Until an end that comes with probability p₂, at most 6 tokens: (1 − (1 − p₂)⁶)/p₂ of them.
    ending = toy(tokens=6, continuations=4000, end=2)
    found = ending.measure([("u", "v")], tmp_path / "ending")
    each = [(1 - (1 - d[2]) ** 6) / d[2] for d in (p, q)]
    kl = [float((p * np.log(p / q)).sum()), float((q * np.log(q / p)).sum())]
    values = found.distances["path-kl"][0]
    expected = each[0] * kl[0] + each[1] * kl[1]
    assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("gpt")
    words = ["<end>", "<unk>", "cat", "dog", "red", "car", "a", "This", "sentence", "implies"]
    vocabulary = {word: n for n, word in enumerate(words)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=10, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0,
        eos_token_id=0, initializer_range=0.6,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_trajectories_of_a_real_model_equal_the_slow_way(language_model, tmp_path):
    method = METHODS["trajectories"](Request(), str(language_model))
    assert isinstance(method, Trajectories)
    method = replace(method, continuations=5, tokens=4)
    a, b = "a red cat", "dog"
    from_a, from_b = method.sample(a), method.sample(b)
    found = method.compare(a, b, from_a, from_b)

    def logs(text, tokens):
        """One continuation at a time, without a cache."""
        prefix = method.tokenizer(text).input_ids
        ids = torch.tensor([[*prefix, *tokens]])
        with torch.no_grad():
            every = method.model(ids).logits.double().log_softmax(-1)[0]
        return every[len(prefix) - 1 : -1]

    for n in range(5):
        mean, jeffreys = [], 0.0
        for own, other, drawn in ((a, b, from_a), (b, a, from_b)):
            tokens = drawn.tokens[n, : drawn.lengths[n]].tolist()
            assert 0 not in tokens[:-1]
            p, q = logs(own, tokens), logs(other, tokens)
            rows = range(len(tokens))
            mean.append(abs(float((p[rows, tokens] - q[rows, tokens]).mean())))
            jeffreys += float((p.exp() * (p - q)).sum())
        assert found[n] == pytest.approx([np.mean(mean), jeffreys], rel=1e-5)
    assert torch.equal(method.sample(a).tokens, from_a.tokens)


def test_continuations_follow_the_model(language_model):
    method = METHODS["trajectories"](Request(), str(language_model))
    assert isinstance(method, Trajectories)
    many = replace(method, continuations=3000, tokens=1)
    drawn = many.sample("a cat").tokens[:, 0].numpy()
    ids = torch.tensor([method.tokenizer("a cat").input_ids])
    with torch.no_grad():
        p = method.model(ids).logits[0, -1].double().softmax(-1).numpy()
    counts = np.bincount(drawn, minlength=10)
    chi = (((counts - 3000 * p) ** 2) / (3000 * p)).sum()
    assert chi < 30  # nine degrees of freedom: one in two thousand


def test_a_sentence_encoders_vector_is_its_authors_mean_over_all_tokens(tmp_path):
    process = conjure.load(build("masking", tmp_path), steps=2)
    pipeline = process.family.pipeline
    found = process.text_features(["cat", "a larger dog"])
    assert list(found) == ["mean"]
    for row, text in zip(found["mean"], ("cat", "a larger dog"), strict=True):
        tokens = pipeline.tokenizer(text, return_tensors="pt")  # without pads, with both ends
        with torch.no_grad():
            states = pipeline.text_encoder(tokens.input_ids).last_hidden_state[0]
        assert row == pytest.approx(states.mean(0).numpy(), abs=1e-5)


def test_a_gguf_file_is_the_model_that_it_was_made_of(tmp_path):
    path, model = gguf_model(tmp_path)
    method = METHODS["trajectories"](Request(), str(path))
    assert isinstance(method, Trajectories)
    assert method.name == "trajectories:tiny"
    ids = method._ids("cat dog")
    assert ids.tolist() == [[9, 7, 4, 5, 6]]
    with torch.no_grad():
        torch.testing.assert_close(method.model(ids).logits, model(ids).logits)


@pytest.mark.parametrize(("name", "told"), [("none.gguf", "no file"), ("tiny.gguf", "pip install")])
def test_a_gguf_file_that_cannot_be_read_is_told(tmp_path, monkeypatch, name, told):
    (tmp_path / "tiny.gguf").touch()
    monkeypatch.setattr("conjure.methods.trajectories.find_spec", lambda _: None)
    with pytest.raises(ConjureError, match=told):
        METHODS["trajectories"](Request(), str(tmp_path / name))


def test_a_language_model_in_half_precision_computes_in_single(language_model, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(language_model).bfloat16().save_pretrained(half)
    AutoTokenizer.from_pretrained(language_model).save_pretrained(half)
    loaded = METHODS["trajectories"](Request(), str(half))
    assert loaded.settings["dtype"] == "torch.float32"
    asked = METHODS["trajectories"](Request(dtype="bfloat16"), str(half))
    assert asked.settings["dtype"] == "torch.bfloat16"


def test_a_killed_evaluation_by_a_language_model_goes_on(language_model, tmp_path, monkeypatch):
    words = ["cat", "dog", "red car", "a cat"]
    pairs = tuple(combinations(words, 2))
    examples = Examples("toy", pairs, np.arange(6.0), {}, words=False)
    name = f"trajectories:{language_model}"
    whole = evaluate([examples], [name])
    compare, left = Trajectories.compare, [0]

    def dying(self, *asked):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return compare(self, *asked)

    monkeypatch.setattr(Trajectories, "compare", dying)
    for allowed in (1, 0, 2, 1, 1):
        left[0] = allowed
        with pytest.raises(KeyboardInterrupt):
            evaluate([examples], [name], out=tmp_path / "run")
    left[0] = 1  # of six pairs five are there
    assert evaluate([examples], [name], out=tmp_path / "run").scores == whole.scores


def test_another_tokenizer_or_configuration_is_another_folder(language_model, tmp_path):
    found = METHODS["trajectories"](Request(), str(language_model))
    assert isinstance(found, Trajectories)
    before = found.settings
    found.tokenizer.add_tokens(["new"])
    assert found.settings["tokenizer"] != before["tokenizer"]
    found.model.config.attn_pdrop = 0.5
    assert found.settings["model"] != before["model"]
    assert set(before["versions"]) >= {"torch", "transformers", "conjure"}


def test_a_trajectory_counts_its_passes(language_model, tmp_path):
    method = METHODS["trajectories"](Request(), str(language_model))
    assert isinstance(method, Trajectories)
    method = replace(method, continuations=20, tokens=4)
    made = []
    method.model.register_forward_hook(lambda *_: made.append(1))
    found = method.measure([("a cat", "dog")], tmp_path)
    assert found.calls >= len(made) > found.calls - 8  # fewer where all continuations have ended


def test_pictures_of_another_decoder_are_other_pictures(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=2)
    (method,) = build_methods(["direct-output"], Request(lambda: process))
    before, of_noise = folder_name(method), process.fingerprint()
    with torch.no_grad():
        next(process.family.pipeline.vae.parameters()).add_(1.0)
    assert folder_name(method) != before
    assert process.fingerprint() == of_noise


def test_a_copy_of_a_model_has_the_same_values(pipeline_folder, tmp_path):
    copy = shutil.copytree(pipeline_folder, tmp_path / "copy")
    for name in METHODS:
        if name.startswith(("sentence", "traj")):
            continue
        found = set()
        for folder in (pipeline_folder, copy):
            process = conjure.load(folder, steps=2)
            (method,) = build_methods([name], Request(lambda p=process: p))
            found.add(folder_name(method))
        assert len(found) == 1


def test_one_window_cannot_stand_for_several(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=2, long="chunk")
    (method,) = build_methods(["text-encoder"], Request(lambda: process))
    method.check(["a cat"])
    with pytest.raises(ConjureError, match="reads in windows"):
        method.check(["cat " * 200])


@pytest.mark.parametrize(("held", "calls"), [(2**29, 3), (1, 4)])
def test_the_initial_timestep_asks_once_while_it_remembers(
    pipeline, tmp_path, monkeypatch, held, calls
):
    monkeypatch.setattr("conjure.methods.initial_timestep.HELD", held)
    monkeypatch.setattr("conjure.methods.initial_timestep.TOGETHER", 1)
    (method,) = build_methods(["initial-timestep"], Request(lambda: pipeline, samples=1))
    pairs = [("cat", "dog"), ("a", "cat"), ("dog", "a")]
    found = method.measure(pairs, tmp_path)
    assert method.cost(pairs, None) == 3
    assert found.calls == calls  # by two that are remembered, "dog" is asked again
    alone = build_methods(["initial-timestep"], Request(lambda: pipeline, samples=1))[0]
    monkeypatch.undo()
    again = alone.measure(pairs, tmp_path / "again")
    np.testing.assert_allclose(found.distances["noise"], again.distances["noise"], rtol=1e-5)


def test_values_are_kept_every_few_seconds(tmp_path, monkeypatch):
    clock, sizes = [0.0], []
    monkeypatch.setattr("conjure.store.values.time.monotonic", lambda: clock[0])

    def compute(jobs):
        sizes.append(len(jobs))
        clock[0] += 0.5 * len(jobs)
        return np.zeros((len(jobs), 1))

    jobs = [Job("a", "b", n) for n in range(100)]
    kept_values(tmp_path, jobs, 1, compute, 2048)
    assert sizes == [16, 16, 16, 16, 16, 16, 4]  # eight seconds each


def test_a_model_without_a_cache_is_refused_before_any_work(tmp_path):
    method = toy(tokens=2, continuations=2)
    method.check(["u"])
    forward = method.model.forward
    method.model.forward = lambda *ids, **how: SimpleNamespace(logits=forward(*ids).logits)
    with pytest.raises(ConjureError, match="keeps no cache"):
        method.check(["u"])


def test_the_prompted_variant_and_its_limits(language_model, tmp_path):
    prompted = METHODS["trajectories+prompt"](Request(), str(language_model))
    plain = METHODS["trajectories"](Request(), str(language_model))
    assert isinstance(prompted, Trajectories)
    assert isinstance(plain, Trajectories)
    assert prompted.settings["template"] == TEMPLATE
    assert folder_name(prompted) != folder_name(plain)
    with pytest.raises(ConjureError, match="reads 32"):
        plain.check(["cat " * 30])
    with pytest.raises(ConjureError, match="makes nothing of"):
        plain.check([""])
    with pytest.raises(ConjureError, match="cannot be loaded"):
        METHODS["trajectories"](Request(), str(tmp_path / "none"))


def test_the_documentations_example_is_a_method(tmp_path, monkeypatch):
    text = (Path(__file__).parent.parent / "docs" / "extending.md").read_text()
    code = text.split("How many letters longer")[1].split("```")[0]
    (tmp_path / "letters.py").write_text('"""How many letters longer' + code)
    monkeypatch.syspath_prepend(tmp_path)
    method = import_module("letters").build(Request(), None)
    assert method.measure(PAIRS, tmp_path).distances["letters"].tolist() == [[0], [0], [0], [6]]
    assert "length" in folder_name(method)


def test_settings_name_the_folder(pipeline):
    names = set()
    for guidance in (1.0, 2.0):
        meanings = {"": Gaussian(np.zeros(2), np.eye(2)), "a": Gaussian(np.ones(2), np.eye(2))}
        process = GaussianProcess.build(meanings, guidance=guidance)
        for seed in (0, 1):
            for method in ("conjuring", "initial-timestep"):
                (built,) = build_methods([method], Request(lambda p=process: p, seed=seed))
                names.add(folder_name(built))
    assert len(names) == 8
