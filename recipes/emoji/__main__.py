"""`python -m recipes.emoji STAGE`: run one stage of the recipe, or all of them in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from . import attuning as attuning_stage
from . import autoencoder as autoencoder_stage
from . import data as data_stage
from . import denoiser as denoiser_stage
from . import examples as examples_stage
from . import judge as judge_stage
from . import likening as likening_stage
from . import placing as placing_stage
from . import text_encoder as text_stage
from .card import write_card
from .common import HERE
from .curves import keep_curves
from .evaluate import evaluate as evaluate_model
from .export import export as export_model
from .export import unpack as unpack_model
from .withheld import write_hashes

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)
FOLDER = HERE.parents[1] / "src" / "conjure" / "models" / "emoji"

Work = Annotated[Path, typer.Option(help="Where rasters, latents and checkpoints are kept.")]
Minutes = Annotated[float, typer.Option(help="Wall-clock budget; a stopped run resumes.")]
Whole = Annotated[float, typer.Option(help="Wall-clock budget; a stopped run has changed nothing.")]
Device = Annotated[str, typer.Option(help="cpu, cuda …")]
Rate = Annotated[float, typer.Option(help="Highest learning rate of this sitting.")]
Share = Annotated[
    float,
    typer.Option(min=0.001, help="Of every stage's minutes: a few hundredths try the recipe out."),
]
Target = Annotated[Path, typer.Option(help="The pipeline's folder.")]
Only = Annotated[
    list[str] | None,
    typer.Option(help="A figure's name, to print it alone (may be repeated)."),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="A folder with STS-B, STS-B-dev, SICK-R, RG65 and SimLex-999."),
]
WORK = Path(".emoji-work")
BUDGETS = {  # minutes
    "autoencoder": 50.0, "text": 62.0, "likening": 40.0, "attuning": 40.0, "denoiser": 300.0,
}  # fmt: skip


@app.command()
def data(work: Work = WORK) -> None:
    """Download and check the packages, rasterise the drawings, list the labels."""
    data_stage.build(work)


@app.command()
def judge(work: Work = WORK, minutes: Minutes = 30, device: Device = "cpu") -> None:
    """Train the judge on the vendors withheld from the generator."""
    judge_stage.train_judge(work, minutes, device)
    typer.echo(json.dumps(judge_stage.ceiling(work)))


@app.command()
def autoencoder(
    work: Work = WORK, minutes: Minutes = BUDGETS["autoencoder"], device: Device = "cpu"
) -> None:
    """Train the autoencoder on drawings and scenes."""
    autoencoder_stage.train_autoencoder(work, minutes, device)


@app.command()
def text(work: Work = WORK, minutes: Minutes = BUDGETS["text"], device: Device = "cpu") -> None:
    """Learn the vocabulary and distil the text encoder."""
    text_stage.train_text_encoder(work, minutes, device)


@app.command()
def placing(work: Work = WORK, minutes: Whole = 10, device: Device = "cpu") -> None:
    """Teach an encoder that its denoiser reads already where captions put things."""
    placing_stage.train_placing(work, minutes, device)


@app.command()
def examples(work: Work = WORK, device: Device = "cpu") -> None:
    """Paint the scenes, encode every picture, and say which texts mean it."""
    examples_stage.prepare_examples(work, device)


@app.command()
def likening(
    work: Work = WORK, minutes: Whole = BUDGETS["likening"], device: Device = "cpu"
) -> None:
    """Teach the encoder to say texts without a picture in the terms of those that have one."""
    likening_stage.train_likening(work, minutes, device)


@app.command()
def denoiser(
    work: Work = WORK,
    minutes: Minutes = BUDGETS["denoiser"],
    device: Device = "cpu",
    rate: Rate = 1.4e-3,
) -> None:
    """Train the denoiser; more minutes than before are another sitting."""
    denoiser_stage.train_denoiser(work, minutes, device, peak_rate=rate)


@app.command()
def attuning(
    work: Work = WORK, minutes: Whole = BUDGETS["attuning"], device: Device = "cpu"
) -> None:
    """Teach the encoder to say texts without a picture as the denoiser hears them."""
    attuning_stage.train_attuning(work, minutes, device)


@app.command()
def export(work: Work = WORK, folder: Target = FOLDER) -> None:
    """Write the pipeline's folder, and keep the curves of the training of the one that ships."""
    export_model(work, folder)
    if folder.resolve() == FOLDER:
        keep_curves(work)


@app.command()
def unpack(work: Work = WORK, folder: Target = FOLDER) -> None:
    """Turn the pipeline's folder back into checkpoints, to train it further."""
    unpack_model(work, folder)


@app.command()
def evaluate(
    work: Work = WORK, folder: Target = FOLDER, data: Data = None, only: Only = None
) -> None:
    """Print every figure of the model card and write them to the report."""
    evaluate_model(work, folder, data, only or ())


@app.command()
def card(folder: Target = FOLDER) -> None:
    """Write the model card from the report."""
    write_card(folder)


@app.command()
def withhold(data: Annotated[Path, typer.Option(help="The folder of all benchmarks.")]) -> None:
    """Hash the sentences of benchmarks, which no text may repeat, into `withheld.npy`."""
    typer.echo(f"{write_hashes(data):,} sentences")


@app.command(name="all")
def everything(
    work: Work = WORK,
    folder: Target = FOLDER,
    device: Device = "cpu",
    benchmarks: Data = None,
    share: Share = 1.0,
) -> None:
    """Every stage in order. The judge stays as it is: `judge` would make another yardstick."""
    if share != 1 and folder.resolve() == FOLDER:
        raise typer.BadParameter("a model that is only tried needs a --folder of its own")
    minutes = {stage: share * budget for stage, budget in BUDGETS.items()}
    if not (work / "labels.json").exists():
        data(work)
    autoencoder(work, minutes["autoencoder"], device)
    text(work, minutes["text"], device)
    if not (work / "examples.npz").exists():
        examples(work, device)
    if not (work / "likening.jsonl").exists():
        likening(work, minutes["likening"], device)
    denoiser(work, minutes["denoiser"], device)
    if not (work / "attuning.jsonl").exists():
        attuning(work, minutes["attuning"], device)
    export(work, folder)
    if share != 1:
        evaluate(work, folder, only=["recognised"])
        return
    evaluate(work, folder, benchmarks)
    if benchmarks is not None:  # the card says how near its distances are to people's
        card(folder)


if __name__ == "__main__":
    app()
