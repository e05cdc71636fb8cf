"""`python -m recipes.judge`: train the judge on the vendors withheld from the generator.

Another judge is another yardstick: what was measured with this one is comparable no more.
"""

from __future__ import annotations

import json
from pathlib import Path

import typer

from .judge import ceiling, train_judge


def main(work: Path = Path(".emoji-work"), minutes: float = 30, device: str = "cpu") -> None:
    """Train it on the drawings of a work folder, and print how well it tells real ones."""
    train_judge(work, minutes, device)
    typer.echo(json.dumps(ceiling(work)))


if __name__ == "__main__":
    typer.run(main)
