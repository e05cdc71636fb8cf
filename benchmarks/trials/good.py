"""Good files of every kind, small, which trials damage and misuse: copied for each of them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.trials.forked import import_all, run

REPOSITORY = Path(__file__).parents[2]

SHORT = ["-T", "2", "-k", "2", "-m", "pipeline"]
"""The least that shows something."""

PAIRS = [("cat", "dog"), ("red car", "blue car"), ("old tree", "cat"), ("", "sun")]
PROMPTS = ["cat", "dog", "red car", "blue car", "old tree"]

MAKING = {
    "run": ["pairs", "pairs.csv", "--empty", "unconditional", "--out", "run", *SHORT],
    "crossed": ["matrix", "prompts.txt", "--out", "crossed", *SHORT],
    "evaluation": ["evaluate", "--data", "data", "-t", "mine", "--out", "evaluation",
                   "--methods", "conjuring,landmarks,text-encoder", *SHORT],
    "embedded": ["embed", "prompts.txt", "-o", "e.safetensors", "--out", "embedded", "-p", "1",
                 "-d", "16", "-T", "2", "-m", "pipeline"],
}  # fmt: skip
"""The command that makes a folder, and goes on with it."""


@dataclass(frozen=True)
class Good:
    """Where the good files are.

    Args:
        files: Copied for each trial.
        models: Of the methods of an evaluation, by the method's name.
    """

    files: Path
    models: Path

    def copy(self, place: Path, *names: str) -> Path:
        """The files, or those that are named, in a folder of their own that is made."""
        place.mkdir(parents=True)
        for name in names or [entry.name for entry in self.files.iterdir()]:
            source = self.files / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, place / name)
        return place


def make(folder: Path) -> Good:
    """Make them all, in this process and in forked ones.

    Raises:
        RuntimeError: A command that makes one does not succeed.
    """
    tiny = _tiny()
    files, models = folder / "files", folder / "models"
    files.mkdir(parents=True)
    made = tiny.build("stable-diffusion", folder / "made")
    shutil.copytree(made, files / "pipeline")
    for name, build in (
        ("trajectories", tiny.language_model),
        ("direct-output", tiny.image_encoder),
        ("sentence-transformers", tiny.sentence_encoder),
    ):
        shutil.copytree(build(folder / "made" / name), models / name)
    _tables(files)
    _lora(files)
    import_all()
    for arguments in MAKING.values():
        must(arguments, files)
    shutil.rmtree(files / "temporary")
    return Good(files, models)


def must(arguments: Sequence[str], folder: Path) -> str:
    """What a command prints that has to succeed.

    Raises:
        RuntimeError: It does not.
    """
    outcome = run(arguments, folder, seconds=600)
    if outcome.code != 0:
        raise RuntimeError(f"conjure {' '.join(arguments)}: {outcome}")
    return outcome.out


def _tiny():  # type: ignore[no-untyped-def]
    """The tests' tiny models."""
    if (tests := str(REPOSITORY / "tests")) not in sys.path:
        sys.path.insert(0, tests)
    import tiny

    return tiny


def _tables(files: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    lines = ["a,b", *(f"{a},{b}" for a, b in PAIRS)]
    (files / "pairs.csv").write_text("\n".join(lines) + "\n")
    (files / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    rows = [{"prompt": prompt, "note": number} for number, prompt in enumerate(PROMPTS)]
    (files / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), files / "prompts.parquet")
    (files / "data").mkdir()
    scored = [f"{a},{b},{number}" for number, (a, b) in enumerate(PAIRS) if a]
    text = "\n".join(["sentence1,sentence2,score", *scored, "dog,old tree,1"]) + "\n"
    (files / "data" / "mine.csv").write_text(text)


def _lora(files: Path) -> None:
    """Of one attention, in the way of the scripts of kohya."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(files / "pipeline/unet/diffusion_pytorch_model.safetensors")
    name = next(key for key in weights if key.endswith("attn1.to_q.weight"))
    width = weights[name].shape[1]
    layer = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
    parts = {
        f"{layer}.lora_down.weight": torch.full((2, width), 0.1),
        f"{layer}.lora_up.weight": torch.full((width, 2), 0.1),
        f"{layer}.alpha": torch.tensor(2.0),
    }
    save_file(parts, files / "lora.safetensors")
