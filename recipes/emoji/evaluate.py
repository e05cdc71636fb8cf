"""What the shipped model is worth: every figure of its card, and its sheets of samples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

import conjure
from conjure.evaluate import Conventions
from conjure.evaluate import evaluate as run_evaluation
from conjure.evaluate.scoring import correlation
from conjure.evaluate.tasks import SEVEN
from recipes.common import write_json
from recipes.drawings.data import load_labels
from recipes.judge.judge import Judge, ceiling

from . import HERE
from .autoencoder import encoded
from .exams import compositions, concepts, neighbours, rate, synonyms_found
from .learned import diversity, learned, sharpness, told
from .sheets import draw_sheets, generate

GUIDANCE = 3.0  # of pictures
TASKS = ("STS-B-dev", *SEVEN, "RG65", "MC30", "SimLex-999")
BASELINES = ("initial-timestep", "direct-output")
METHODS = ("conjuring", *BASELINES, "text-encoder")
SETTING: dict[str, Any] = {  # chosen on STS-B's development set; bfloat16 moves it by 0.2 points
    "steps": 10, "guidance": 1.0, "dtype": "bfloat16", "long": "truncate", "device": "cpu",
}  # fmt: skip
SECOND_UNET: dict[str, Any] = {  # the second version's, whose speed is the yardstick
    "sample_size": 8, "in_channels": 16, "out_channels": 16, "layers_per_block": 1,
    "block_out_channels": (96, 192, 256), "attention_head_dim": (3, 6, 8),
    "cross_attention_dim": 256, "addition_embed_type": "text", "addition_embed_type_num_heads": 8,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
}  # fmt: skip
NETWORKS = ("text_encoder", "unet", "vae")
REPORT = HERE / "report.json"


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """The folder as any user of diffusers would load it."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def judged_rows(count: int, seed: int = 0) -> list[int]:
    """Rows of seeded labels that the judge can judge."""
    return np.random.default_rng(seed).permutation(Judge().judged)[:count].tolist()


def recognised(pipeline: StableDiffusionPipeline, table: list[dict[str, Any]], work: Path,
               count: int = 500, seed: int = 0) -> dict[str, dict[str, Any]]:  # fmt: skip
    """What becomes of `count` seeded labels that the judge can judge, one picture each.

    Returns:
        By guidance, ``top``: top-1 of 20 by the judge; ``told``: how often the nearest of all real
        drawings is of the label; ``sharpness``: over the codec's pictures of real drawings.
    """
    judge, rows, found = Judge(), judged_rows(count, seed), {}
    labels = [judge.labels[row] for row in rows]
    for guidance in (1.0, GUIDANCE):
        pictures = generate(pipeline, labels, seed, guidance)
        found[f"{guidance:g}"] = {
            "top": rate(judge.hits(pictures, rows, seed=seed)),
            "told": rate(told(pictures, labels, table, work)),
            "sharpness": sharpness(pipeline, pictures, labels, table, work),
        }
    return found


def sheets(pipeline: StableDiffusionPipeline, table: list[dict[str, Any]],
           work: Path) -> dict[str, list[str]]:  # fmt: skip
    """The pictures of the model's page, and their captions: see `draw_sheets`."""
    judge, rows = Judge(), judged_rows(200)
    labels = [judge.labels[row] for row in rows]
    drawn = generate(pipeline, labels, guidance=GUIDANCE)
    missed = np.flatnonzero(~judge.hits(drawn, rows)).tolist()
    return draw_sheets(pipeline, table, work, GUIDANCE, drawn[missed], [labels[i] for i in missed])


def similarity(folder: Path, data: Path, out: Path | None = None) -> dict[str, Any]:
    """Spearman on word and sentence tasks at `SETTING`: ours, two baselines, its text encoder.

    Returns:
        ``tasks``: by task (and the average of the seven) and method, by column the value and its
        95% bootstrap interval over pairs; ``leads``: by task and baseline, ours over it with its
        paired interval; ``parts``: SimLex-999 by part of speech.
    """
    process = conjure.load(folder, **SETTING)
    found = run_evaluation(TASKS, METHODS, process=process, data=data, samples=2, out=out)
    tasks: dict[str, Any] = {}
    for score in found.scores:
        columns = tasks.setdefault(score.task, {}).setdefault(score.method, {})
        columns[score.column] = [score.spearman, score.low, score.high]
    leads: dict[str, Any] = {}
    for lead in found.differences:
        if lead.method == "conjuring" and lead.other in BASELINES:
            leads.setdefault(lead.task, {})[lead.other] = [lead.value, lead.low, lead.high]
    words = found.results["SimLex-999"]
    of, near = np.array(words.examples.more["pos"]), -words.distances["conjuring", "girsanov"]
    parts = {
        part: correlation(near[of == part], words.examples.scores[of == part])
        for part in sorted(set(of.tolist()))
    }
    return {"tasks": tasks, "leads": leads, "parts": parts}


def development(folder: Path, data: Path, limit: int = 300) -> dict[str, list[float]]:
    """What choices are made by while a model is trained: a part of STS-B's development set.

    Returns:
        By method, and each of its columns, Spearman and its 95% bootstrap interval over pairs.
    """
    found = run_evaluation(
        ["STS-B-dev"], METHODS, process=conjure.load(folder, **SETTING), data=data, samples=1,
        conventions=Conventions(limit=limit),
    )  # fmt: skip
    return {f"{s.method}, {s.column}": [s.spearman, s.low, s.high] for s in found.scores}


def speed(pipeline: StableDiffusionPipeline, rows: int = 32,
          repeats: int = 20) -> dict[str, Any]:  # fmt: skip
    """Milliseconds a row, of the model's network and of the second version's, measured together."""
    networks: dict[str, Any] = {
        "ours": pipeline.unet, "second": UNet2DConditionModel(**SECOND_UNET).eval(),
    }  # fmt: skip
    states, times = torch.randn(rows, 16, 8, 8), {name: list[float]() for name in networks}
    with torch.inference_mode():
        for _ in range(repeats + 2):
            for name, network in networks.items():
                width = network.config.encoder_hid_dim or network.config.cross_attention_dim
                text = torch.randn(rows, 77, width)
                started = time.perf_counter()
                network(states, 500, text)
                times[name].append(time.perf_counter() - started)
    each = {name: 1000 * float(np.median(found[2:])) / rows for name, found in times.items()}
    return {**each, "rows": rows, "threads": torch.get_num_threads(), "torch": torch.__version__}


def weights(pipeline: StableDiffusionPipeline) -> dict[str, int]:
    """How many numbers each network has."""
    return {n: sum(p.numel() for p in getattr(pipeline, n).parameters()) for n in NETWORKS}


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

    encode = partial(encoded, pipeline.vae)
    wanted: dict[str, Callable[[], Any]] = {
        "weights": lambda: weights(pipeline),
        "judge": lambda: ceiling(work),
        "learned": lambda: learned(pipeline, table, work),
        "recognised": lambda: recognised(pipeline, table, work),
        "compositions": lambda: compositions(process, encode, table, work),
        "concepts": lambda: concepts(process, encode, table, work),
        "neighbours": lambda: neighbours(process, pipeline, table, work),
        "synonyms": lambda: synonyms_found(process, pipeline, table, work),
        "diversity": lambda: diversity(pipeline, table, work, GUIDANCE),
        "speed": lambda: speed(pipeline),
        "pictures": lambda: sheets(pipeline, table, work),
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
