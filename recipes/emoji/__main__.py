"""`python -m recipes.emoji STAGE`: run one stage of the recipe, or all of them in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recipes.drawings import data as data_stage

from . import HERE
from . import autoencoder as autoencoder_stage
from . import denoiser as denoiser_stage
from . import examples as examples_stage
from .card import write_card
from .curves import keep_curves
from .evaluate import evaluate as evaluate_model
from .export import export as export_model
from .shapes import try_shapes
from .withheld import write_hashes

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)
FOLDER = HERE.parents[1] / "src" / "conjure" / "models" / "emoji"

Work = Annotated[Path, typer.Option(help="Where rasters, latents and checkpoints are kept.")]
Minutes = Annotated[float, typer.Option(help="Wall-clock budget; a stopped run resumes.")]
Device = Annotated[str, typer.Option(help="cpu, cuda …")]
Share = Annotated[float, typer.Option(min=0.001, help="Of every stage's minutes, to try it out.")]
Target = Annotated[Path, typer.Option(help="The pipeline's folder.")]
Only = Annotated[list[str] | None, typer.Option(help="A figure, alone; may be repeated.")]
Data = Annotated[Path | None, typer.Option("--data", help="A folder of the similarity tasks.")]
WORK = Path(".emoji-work")
BUDGETS = {"autoencoder": 50.0, "denoiser": 600.0}  # minutes


@app.command()
def data(work: Work = WORK) -> None:
    """Download and check the packages, rasterise the drawings, list the labels."""
    data_stage.build(work)


@app.command()
def autoencoder(
    work: Work = WORK, minutes: Minutes = BUDGETS["autoencoder"], device: Device = "cpu"
) -> None:
    """Train the autoencoder on drawings and scenes."""
    autoencoder_stage.train_autoencoder(work, minutes, device)


@app.command()
def examples(work: Work = WORK, device: Device = "cpu") -> None:
    """Paint the scenes, encode every picture, and say which texts mean it."""
    examples_stage.prepare_examples(work, device)


@app.command()
def denoiser(
    work: Work = WORK, minutes: Minutes = BUDGETS["denoiser"], device: Device = "cpu"
) -> None:
    """Train the denoiser."""
    denoiser_stage.train_denoiser(work, minutes, device)


@app.command()
def export(work: Work = WORK, folder: Target = FOLDER) -> None:
    """Write the pipeline's folder, and keep the curves of the training of the one that ships."""
    export_model(work, folder)
    if folder.resolve() == FOLDER:
        keep_curves(work)


@app.command()
def shapes(work: Work = WORK, minutes: Minutes = 60, device: Device = "cpu") -> None:
    """Train denoisers of several shapes equally long, and print what each has learned."""
    try_shapes(work, minutes, device)


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
    """Every stage in order. The judge stays as it is."""
    if share != 1 and folder.resolve() == FOLDER:
        raise typer.BadParameter("a model that is only tried needs a --folder of its own")
    minutes = {stage: share * budget for stage, budget in BUDGETS.items()}
    if not (work / "labels.json").exists():
        data(work)
    autoencoder(work, minutes["autoencoder"], device)
    if not (work / "examples.npz").exists():
        examples(work, device)
    denoiser(work, minutes["denoiser"], device)
    export(work, folder)
    if share != 1:
        evaluate(work, folder, only=["recognised"])
        return
    evaluate(work, folder, benchmarks)
    if benchmarks is not None:  # the card says how near its distances are to people's
        card(folder)


if __name__ == "__main__":
    app()
