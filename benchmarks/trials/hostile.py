"""Models with code and pickles in them: none of it may run, and nobody may be asked whether it may.

Code of every kind leaves a file behind where it runs. Standard input says yes to all questions, and
reading it is a failure in itself.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.trials.forked import run
from benchmarks.trials.good import SHORT, Good
from benchmarks.trials.verdict import WRONG, Verdict, judge

COUNT = 150

CANARY = "canary"
YES = b"y\nyes\n1\n" * 100

CODE = """
from pathlib import Path
Path({canary!r}).touch()
from transformers import PretrainedConfig, PreTrainedModel
from diffusers import DiffusionPipeline, ModelMixin
class Config(PretrainedConfig):
    model_type = "evil"
class Model(PreTrainedModel):
    config_class = Config
class Evil(DiffusionPipeline):
    pass
class Part(ModelMixin):
    pass
"""

TARGETS = (
    "model", "model", "lora", "config", "trajectories", "trajectories+prompt", "direct-output",
    "sentence-transformers",
)  # fmt: skip
"""What a folder is given as: an option, or a method's model."""

PICKLES = (
    "pytorch_model.bin", "diffusion_pytorch_model.bin", "model.bin", "model.safetensors",
    "diffusion_pytorch_model.safetensors", "model.pt", "model.pth", "model.ckpt", "weights.pkl",
    "pytorch_model-00001-of-00001.bin", "training_args.bin", "optimizer.pt", "scheduler.pt",
    "pytorch_lora_weights.bin", "pytorch_lora_weights.safetensors", "adapter_model.bin",
    "adapter_model.safetensors", "vocab.pkl", "spiece.model", "tokenizer.model", "tf_model.h5",
    "flax_model.msgpack", "model.ckpt.index", "PYTORCH_MODEL.BIN", "rust_model.ot", "vocab.npy",
)  # fmt: skip
"""Names under which libraries look for weights, and others."""


class Opener:
    """Opens a file for writing where its pickle is read."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def trial(good: Good, seed: int, number: int, place: Path) -> Verdict:
    """One folder with some of these in it, given as a model."""
    rng = random.Random(f"{seed}/hostile/{number}")
    target = TARGETS[number % len(TARGETS)]
    folder = good.copy(place / "work")
    arguments, model = _given(good, target, folder)
    canary = place / CANARY
    attacks = rng.choices(ATTACKS, k=rng.choice((1, 1, 2, 3)))
    attacks.sort(key=lambda attack: attack is _linked)  # last, as what it leaves is no file
    done = [attack(rng, model, str(canary)) for attack in attacks]
    outcome = run(arguments, folder, stdin=YES, seconds=90)
    verdict = judge(arguments, outcome)
    told = f"{verdict.command}   # {'; '.join(done)}"
    kind, why = verdict.kind, verdict.why
    if canary.exists():
        kind, why = WRONG, f"code ran: {done[-1]}"
    elif outcome.read:
        kind, why = WRONG, f"standard input was read: {done[-1]}"
    return replace(verdict, kind=kind, why=why, command=told)


def _given(good: Good, target: str, folder: Path) -> tuple[list[str], Path]:
    """A command line that is given a folder, and the folder."""
    compare = ["compare", "cat", "dog", "-T", "2", "-k", "1"]
    if target == "model":
        return [*compare, "-m", "pipeline"], folder / "pipeline"
    if target == "lora":
        (folder / "adapter").mkdir()
        adapter = folder / "adapter/pytorch_lora_weights.safetensors"
        shutil.move(folder / "lora.safetensors", adapter)
        return [*compare, "-m", "pipeline", "--lora", "adapter"], folder / "adapter"
    if target == "config":
        weights = folder / "pipeline/unet/diffusion_pytorch_model.safetensors"
        shutil.copy(weights, folder / "single.safetensors")
        return [*compare, "-m", "single.safetensors", "--config", "pipeline"], folder / "pipeline"
    name = target.partition("+")[0]
    shutil.copytree(good.models / name, folder / "theirs")
    scored = ["evaluate", "--data", "data", "-t", "mine", "--methods", f"{target}:./theirs", *SHORT]
    return scored, folder / "theirs"


def _folders(rng: random.Random, model: Path) -> Path:
    """The folder, or one in it."""
    inner = sorted(one for one in model.rglob("*") if one.is_dir() and not one.is_symlink())
    return rng.choice([model, *inner])


def evil_pickle(canary: str, *, archived: bool) -> bytes:
    """A pickle that opens a file, bare or as torch.save archives them."""
    data = pickle.dumps({"weight": Opener(canary)}, protocol=2)
    if not archived:
        return data
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return stream.getvalue()


def _pickled(rng: random.Random, model: Path, canary: str) -> str:
    """A pickle, beside the weights or in their place."""
    place = _folders(rng, model)
    data = evil_pickle(canary, archived=rng.random() < 0.5)
    instead = rng.random() < 0.6
    weights = sorted(place.glob("*.safetensors"))
    if instead:
        for file in weights:
            file.unlink()
    # Mostly under the name of the weights that are there.
    name = rng.choice(PICKLES)
    if weights and rng.random() < 0.5:
        stem = weights[0].stem
        name = rng.choice((weights[0].name, f"{stem}.bin", f"pytorch_{stem}.bin"))
    (place / name).write_bytes(data)
    return f"pickle {place.name}/{name}{' in place of weights' if instead else ''}"


def _indexed(rng: random.Random, model: Path, canary: str) -> str:
    """An index of shards that leads to a pickle, perhaps outside of the folder."""
    place = _folders(rng, model)
    for file in sorted(place.glob("*.safetensors")):
        file.unlink()
    shards = ("evil.bin", "../evil.bin", "evil.safetensors", "model.pkl", str(place / "e"))
    shard = rng.choice(shards)
    (place / shard).write_bytes(evil_pickle(canary, archived=True))
    name = rng.choice((
        "pytorch_model.bin.index.json", "model.safetensors.index.json",
        "diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model.bin.index.json",
    ))  # fmt: skip
    index = {"metadata": {"total_size": 1}, "weight_map": {"weight": shard}}
    (place / name).write_text(json.dumps(index))
    return f"index {place.name}/{name} to {shard}"


def _automatic(rng: random.Random, model: Path, canary: str) -> str:
    """Configurations that name classes of a file beside them."""
    place = _folders(rng, model)
    for where in {place, model}:
        (where / "evil.py").write_text(CODE.format(canary=canary))
    classes = {
        "AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoProcessor": "evil.Part",
        "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.Part", "evil.Part"],
        "AutoImageProcessor": "evil.Part", "AutoFeatureExtractor": "evil.Part",
    }  # fmt: skip
    other = rng.choice(({}, {"model_type": "evil"}, {"tokenizer_class": "Part"},
                        {"_class_name": "Part"}, {"image_processor_type": "Part"},
                        {"architectures": ["Model"], "model_type": "evil"}))  # fmt: skip
    names = {file.name for file in place.glob("*config*.json")} | {
        rng.choice(("config.json", "tokenizer_config.json", "preprocessor_config.json",
                    "processor_config.json", "adapter_config.json", "generation_config.json"))
    }  # fmt: skip
    for name in names:
        _merge(place / name, {"auto_map": classes, **other})
    return f"auto_map in {place.name}/{', '.join(sorted(names))} {other}"


def _merge(file: Path, more: dict[str, Any]) -> None:
    there = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**there, **more} if isinstance(there, dict) else more))


def _pipeline(rng: random.Random, model: Path, canary: str) -> str:
    """A pipeline or a component of a class in a file of the folder."""
    file = model / "model_index.json"
    index = json.loads(file.read_text()) if file.is_file() else {}
    component = rng.choice([*(key for key in index if key[0] != "_"), "more"])
    module = rng.choice(("evil", "pipeline", component))
    for place in (model, model / component, model / module):
        if place.is_dir() or place == model:
            for name in (module, "evil", "pipeline", component):
                (place / f"{name}.py").write_text(CODE.format(canary=canary))
    changes: tuple[dict[str, Any], ...] = (
        {"_class_name": [module, "Evil"]}, {component: [module, "Part"]},
        {"_class_name": "Evil"}, {"custom_pipeline": "pipeline", "_class_name": "Evil"},
        {component: [f"{model.name}.{module}", "Part"]}, {component: ["builtins", "exec"]},
        {component: ["os", "system"]}, {component: ["diffusers.utils", "evil"]},
        {"_module": "evil", "_class_name": ["evil", "Evil"]},
    )  # fmt: skip
    change = rng.choice(changes)
    _merge(file, change)
    return f"model_index.json with {change}"


def _modules(rng: random.Random, model: Path, canary: str) -> str:
    """Modules of a sentence encoder, from the folder or of any library."""
    for name in ("evil.py", "modeling_evil.py"):
        (model / name).write_text(CODE.format(canary=canary))
    kind = rng.choice(("evil.Model", "modeling_evil.Model", "theirs.evil.Model", "subprocess.Popen",
                       "os.system", "torch.load", "sentence_transformers.models.Evil"))  # fmt: skip
    path = rng.choice(("", "touch " + canary, "evil", "../../" + CANARY))
    module = {"idx": 0, "name": "0", "path": path, "type": kind, "kwargs": ["evil"]}
    (model / "modules.json").write_text(json.dumps([module]))
    return f"modules.json with {kind} in {path!r}"


def _linked(rng: random.Random, model: Path, canary: str) -> str:
    """A link in place of a file or a folder."""
    evil = model.parent / "evil.pkl"
    evil.write_bytes(evil_pickle(canary, archived=rng.random() < 0.5))
    files = sorted(one for one in model.rglob("*") if one.is_file() and not one.is_symlink())
    file = rng.choice(files)
    aim = rng.choice((str(evil), "/dev/zero", "/etc/hostname", file.name, "..", "/dev/stdin",
                      "/dev/tty", "nowhere", "/proc/self/environ"))  # fmt: skip
    file.unlink()
    file.symlink_to(aim)
    return f"{file.relative_to(model.parent)} is a link to {Path(aim).name or aim}"


def _tokenizer(rng: random.Random, model: Path, canary: str) -> str:
    """A tokenizer with a template that is code, a class of any library, or files elsewhere."""
    found = sorted(model.rglob("tokenizer_config.json"))
    file = rng.choice(found) if found else model / "tokenizer_config.json"
    template = "{{ cycler.__init__.__globals__.os.popen('touch " + canary + "').read() }}"
    change = rng.choice((
        {"chat_template": template}, {"tokenizer_class": "os.system"},
        {"tokenizer_class": "EvilTokenizer", "auto_map": {"AutoTokenizer": ["evil.Part", None]}},
        {"tokenizer_file": "../../../etc/hostname", "vocab_file": "/etc/hostname"},
        {"fast_tokenizer_files": ["../evil.json"], "name_or_path": "../.."},
        {"backend": "mistral", "extra_special_tokens": {"a": {"__type": "evil.Part"}}},
    ))  # fmt: skip
    _merge(file, change)
    return f"{file.relative_to(model.parent)} with {change}"


def _settings(rng: random.Random, model: Path, canary: str) -> str:
    """Settings by which libraries import others, or load from elsewhere."""
    found = sorted(model.rglob("*config*.json"))
    file = rng.choice(found) if found else model / "config.json"
    change = rng.choice((
        {"quantization_config": {"quant_method": "evil", "modules": "evil"}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"_name_or_path": "../..", "base_model_name_or_path": "../evil"},
        {"_attn_implementation": "evil/kernel"}, {"attn_implementation": "hub/kernel:evil"},
        {"torch_dtype": "__import__('os').system('touch " + canary + "')"},
        {"_class_name": "os.system"}, {"_use_default_values": ["os"], "_diffusers_version": "evil"},
        {"hidden_act": "__import__('os')"}, {"act_fn": "os.system"}, {"_auto_class": "evil.Part"},
        {"custom_pipelines": {"evil": {"impl": "evil", "pt": ["AutoModel"]}}},
        {"peft_type": "LORA", "base_model_name_or_path": "..", "auto_mapping": {
            "base_model_class": "Popen", "parent_library": "subprocess"}},
    ))  # fmt: skip
    _merge(file, change)
    return f"{file.relative_to(model.parent)} with {change}"


ATTACKS: tuple[Callable[[random.Random, Path, str], str], ...] = (
    _pickled, _pickled, _indexed, _automatic, _pipeline, _modules, _linked, _tokenizer, _settings,
)  # fmt: skip
