"""What the shipped model is worth: every figure of its card, and its sheets of samples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor

import conjure
from conjure.evaluate import Conventions
from conjure.evaluate import evaluate as run_evaluation
from conjure.evaluate.scoring import correlation

from .common import GENERATOR_STYLES, HERE, SIZE, write_atomically, write_json
from .data import load_labels
from .exams import (
    compositions,
    concepts,
    neighbours,
    neighbours_elsewhere,
    rate,
    styles,
    synonyms_elsewhere,
    synonyms_found,
)
from .judge import Judge, ceiling
from .scenes import alternatives
from .synonyms import synonyms

GUIDANCE, STEPS = 3.0, 20  # of pictures
SENTENCES = ("STS-B-dev", "STS-B", "SICK-R")
TASKS = (*SENTENCES, "RG65", "SimLex-999")
OURS = ("conjuring", "relative")
BASELINES = ("initial-timestep", "direct-output")
METHODS = (*OURS, *BASELINES, "text-encoder")
SETTING: dict[str, Any] = {  # chosen on STS-B's development set; bfloat16 moves it by 0.2 points
    "steps": 10, "guidance": 1.0, "dtype": "bfloat16",
}  # fmt: skip
FIRST_UNET: dict[str, Any] = {  # the first version's, whose speed is the yardstick
    "sample_size": 8, "in_channels": 16, "out_channels": 16, "layers_per_block": 1,
    "block_out_channels": (96, 192, 256), "attention_head_dim": (3, 6, 8),
    "cross_attention_dim": 256,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
}  # fmt: skip
NETWORKS = ("text_encoder", "unet", "vae")
REPORT = HERE / "report.json"
IMAGES = HERE.parents[1] / "docs" / "images"
COLUMNS, EACH = 10, 5  # of a sheet; samples of a prompt on that of styles
STYLES = ("cat", "car", "rose", "house", "guitar", "pizza")
SHEET = (
    "red apple", "banana", "strawberry", "pizza", "hamburger", "hot beverage", "cat face",
    "dog face", "tiger face", "leopard", "elephant", "penguin", "owl", "frog", "fish", "butterfly",
    "rose", "sunflower", "cactus", "deciduous tree", "house", "castle", "sun", "full moon",
    "rainbow", "snowflake", "fire", "automobile", "bus", "bicycle", "airplane", "rocket",
    "sailboat", "soccer ball", "guitar", "umbrella", "key", "scissors", "light bulb", "red heart",
)  # fmt: skip


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """The folder as any user of diffusers would load it."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(pipeline: StableDiffusionPipeline, prompts: list[str], seed: int = 0,
             guidance: float = 3.0, steps: int = STEPS, batch: int = 50) -> Tensor:  # fmt: skip
    """One picture a prompt, [N, 3, 64, 64] in [0, 1]; picture n depends on (seed, n) alone."""
    parts = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        seeds = range(seed * 100_003 + start, seed * 100_003 + start + len(some))
        noise = [torch.Generator().manual_seed(s) for s in seeds]
        pictures = pipeline(
            some, height=SIZE, width=SIZE, num_inference_steps=steps, guidance_scale=guidance,
            generator=noise, output_type="pt",
        ).images  # fmt: skip
        parts.append(pictures.float().clamp(0, 1))
    return torch.cat(parts)


def judged_rows(count: int, seed: int = 0) -> list[int]:
    """Rows of seeded labels that the judge can judge."""
    return np.random.default_rng(seed).permutation(Judge().judged)[:count].tolist()


def judged(pipeline: StableDiffusionPipeline, count: int = 500, seed: int = 0,
           guidance: float = 3.0) -> list[float]:  # fmt: skip
    """Top-1 of 20 by the judge, over `count` seeded labels that it can judge, one picture each."""
    judge, rows = Judge(), judged_rows(count, seed)
    pictures = generate(pipeline, [judge.labels[row] for row in rows], seed, guidance)
    return rate(judge.hits(pictures, rows, seed=seed))


def sheet(pipeline: StableDiffusionPipeline, path: Path, prompts: tuple[str, ...] = SHEET,
          columns: int = COLUMNS, seed: int = 1, guidance: float = 3.0) -> None:  # fmt: skip
    """A sheet of samples, as PNG."""
    mosaic(generate(pipeline, list(prompts), seed, guidance), path, columns)


def mosaic(pictures: Tensor, path: Path, columns: int = COLUMNS) -> None:
    """Pictures [N, 3, H, W] side by side, as PNG; white where the last row ends early."""
    blank = torch.ones(-len(pictures) % columns, *pictures.shape[1:])
    pictures = torch.cat([pictures, blank])
    rows = [torch.cat(list(row), -1) for row in pictures.split(columns)]
    pixels = (torch.cat(rows, -2).permute(1, 2, 0) * 255).round().byte().numpy()
    write_atomically(path, lambda p: Image.fromarray(pixels).save(p, optimize=True))


def draw_sheets(pipeline: StableDiffusionPipeline, table: list[dict[str, Any]],
                packages: Path) -> dict[str, list[str]]:  # fmt: skip
    """The pictures of the model's page: labels, styles, held-out compositions, new words, failures.

    Returns:
        The captions of the compositions, ten of each kind, the words, and the labels that the judge
        did not recognise.
    """
    sheet(pipeline, IMAGES / "emoji.png")
    several = tuple(prompt for prompt in STYLES for _ in range(EACH))
    sheet(pipeline, IMAGES / "emoji-styles.png", several)
    kinds = ("count", "colour", "relation")
    scenes = tuple(s[0].caption for kind in kinds for s in alternatives(kind, table, 10))
    sheet(pipeline, IMAGES / "emoji-scenes.png", scenes)
    words = [word for word, _ in synonyms(table, packages)[:20]]
    sheet(pipeline, IMAGES / "emoji-words.png", tuple(words))
    judge, rows = Judge(), judged_rows(200)
    drawn = generate(pipeline, [judge.labels[row] for row in rows], guidance=GUIDANCE)
    missed = np.flatnonzero(~judge.hits(drawn, rows))[: 2 * COLUMNS].tolist()
    mosaic(drawn[missed], IMAGES / "emoji-missed.png")
    names = [judge.labels[rows[i]] for i in missed]
    return {"compositions": list(scenes), "words": words, "missed": names}


def similarity(folder: Path, data: Path, out: Path | None = None) -> dict[str, Any]:
    """Spearman on word and sentence tasks at `SETTING`: ours, two baselines, its text encoder.

    Returns:
        ``tasks``: by task and method the value and its 95% bootstrap interval over pairs;
        ``estimands``: by task and method, ours by each of them; ``leads``: on sentences, by task
        and method, ours over each baseline with its paired interval; ``parts``: by method,
        SimLex-999 by part of speech.
    """
    process = conjure.load(folder, **SETTING, long="truncate", device="cpu")
    found = run_evaluation(TASKS, METHODS, process=process, data=data, samples=2, out=out)
    tasks: dict[str, Any] = {task: {} for task in TASKS}
    estimands: dict[str, Any] = {task: {method: {} for method in OURS} for task in TASKS}
    for score in found.scores:
        if score.task not in TASKS:
            continue
        value = [score.spearman, score.low, score.high]
        if score.headline:
            tasks[score.task][score.method] = value
        if score.method in OURS:
            estimands[score.task][score.method][score.column] = value
    leads: dict[str, Any] = {task: {method: {} for method in OURS} for task in SENTENCES}
    for lead in found.differences:
        if lead.task in SENTENCES and lead.method in OURS and lead.other in BASELINES:
            leads[lead.task][lead.method][lead.other] = [lead.value, lead.low, lead.high]
    words = found.results["SimLex-999"]
    of, parts = np.array(words.examples.more["pos"]), {}
    for method in OURS:
        near = -words.distances[method, "girsanov"]
        parts[method] = {
            str(part): correlation(near[of == part], words.examples.scores[of == part])
            for part in sorted(set(of.tolist()))
        }
    return {"tasks": tasks, "estimands": estimands, "leads": leads, "parts": parts}


def development(folder: Path, data: Path, limit: int = 300) -> dict[str, list[float]]:
    """What choices are made by while a model is trained: a part of STS-B's development set.

    Returns:
        By method, and each of its columns, Spearman and its 95% bootstrap interval over pairs.
    """
    process = conjure.load(folder, **SETTING, long="truncate", device="cpu")
    found = run_evaluation(
        ["STS-B-dev"], METHODS, process=process, data=data, samples=1,
        conventions=Conventions(limit=limit),
    )  # fmt: skip
    return {f"{s.method}, {s.column}": [s.spearman, s.low, s.high] for s in found.scores}


def speed(folder: Path, rows: int = 32, repeats: int = 20) -> dict[str, Any]:
    """Milliseconds a call at `rows` rows, of the model's network and of the first version's.

    And where: that they are measured together makes their ratio mean something anywhere.
    """
    ours, first = load_pipeline(folder).unet, UNet2DConditionModel(**FIRST_UNET).eval()
    states, text = torch.randn(rows, 16, 8, 8), torch.randn(rows, 77, 256)
    times: dict[str, list[float]] = {"ours": [], "first": []}
    with torch.inference_mode():
        for _ in range(repeats + 2):
            for name, network in (("ours", ours), ("first", first)):
                started = time.perf_counter()
                network(states, 500, text)
                times[name].append(time.perf_counter() - started)
    each = {name: 1000 * float(np.median(found[2:])) / rows for name, found in times.items()}
    return {**each, "rows": rows, "threads": torch.get_num_threads(), "torch": torch.__version__}


def count_weights(network: torch.nn.Module) -> int:
    """How many numbers it has learned."""
    return sum(weight.numel() for weight in network.parameters())


def diversity(pipeline: StableDiffusionPipeline, work: Path, count: int = 60,
              each: int = 4) -> dict[str, Any]:  # fmt: skip
    """Do samples of one prompt differ: the styles whose drawing they are nearest to.

    Returns:
        ``styles``: shares of all samples; ``several``: of the prompts, those whose samples are
        nearest to drawings of two vendors or more (the Fluent styles are one vendor's).
    """
    table = load_labels(work)
    rows = [row for row, entry in enumerate(table) if entry["seen"]]
    chosen = np.random.default_rng(0).permutation(rows)[:count].tolist()
    prompts = [table[row]["label"] for row in chosen for _ in range(each)]
    pictures = generate(pipeline, prompts, guidance=GUIDANCE)
    found = styles(pictures, [row for row in chosen for _ in range(each)], work)
    makers = [style.removesuffix("-flat") for style in found]
    groups = [set(makers[start : start + each]) for start in range(0, len(makers), each)]
    return {
        "styles": {style: found.count(style) / len(found) for style in GENERATOR_STYLES},
        "prompts": count,
        "samples": each,
        "several": sum(len(group) > 1 for group in groups) / count,
    }


def evaluate(work: Path, folder: Path, data: Path | None = None,
             only: Collection[str] = ()) -> dict[str, Any]:  # fmt: skip
    """Print every figure; keep them in the work folder, and when all are there in `report.json`.

    A killed evaluation goes on; other weights begin anew. Sheets of samples go to the docs.

    Args:
        work: The work folder, with the drawings and the labels.
        folder: The model.
        data: The similarity tasks; without it their figures stay away, and the report as it was.
        only: Names of some figures, to print these alone; the report stays as it was. One is
            printed only if it is named: `development`, part of a set that is in the report whole.

    Raises:
        typer.BadParameter: There is no figure of such a name.
    """
    pipeline, table = load_pipeline(folder), load_labels(work)
    process = conjure.load(folder, steps=10, guidance=1.0, device="cpu")
    draft, model = work / "report.json", process.fingerprint()
    figures: dict[str, Any] = json.loads(draft.read_text()) if draft.exists() else {}
    if figures.get("model") != model:
        figures = {"model": model}

    @torch.inference_mode()
    def encode(pictures: Tensor) -> Tensor:
        parts = [pipeline.vae.encode(2 * p - 1, return_dict=False)[0] for p in pictures.split(64)]
        return torch.cat(parts)

    packages = work / "packages"
    wanted: dict[str, Callable[[], Any]] = {
        "weights": lambda: {name: count_weights(getattr(pipeline, name)) for name in NETWORKS},
        "judge": lambda: ceiling(work),
        "recognised": lambda: {f"{w:g}": judged(pipeline, guidance=w) for w in (1.0, GUIDANCE)},
        "compositions": lambda: compositions(process, encode, table, work),
        "concepts": lambda: concepts(process, encode, table, work),
        "neighbours": lambda: neighbours(process, table),
        "neighbours_elsewhere": lambda: neighbours_elsewhere(pipeline, table, work),
        "synonyms": lambda: synonyms_found(process, table, packages),
        "synonyms_elsewhere": lambda: synonyms_elsewhere(pipeline, table, packages),
        "diversity": lambda: diversity(pipeline, work),
        "speed": lambda: speed(folder),
        "pictures": lambda: draw_sheets(pipeline, table, packages),
    }
    if data is not None:
        wanted["similarity"] = lambda: similarity(folder, data, work / "evaluation")
        wanted["development"] = lambda: development(folder, data)
    if "development" in only and data is None:
        raise typer.BadParameter("development needs --data, the folder of the similarity tasks")
    if unknown := set(only) - wanted.keys():
        raise typer.BadParameter(f"no figure {min(unknown)}; there are {', '.join(wanted)}")
    for name in only or (name for name in wanted if name != "development"):
        if name not in figures:
            figures[name] = wanted[name]()
            write_json(draft, figures)
        typer.echo(f"{name}: {json.dumps(figures[name])}")
    if data is not None and not only:
        before = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
        measured = before.get("measured", [])
        if all(entry["model"] != model for entry in measured):
            measured = [*measured, {"date": date.today().isoformat(), "model": model}]
        kept = {name: found for name, found in figures.items() if name != "development"}
        write_json(REPORT, {**kept, "measured": measured})
    return figures
