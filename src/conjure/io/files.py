"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conjure.errors import ConjureError
from conjure.io.scratch import draft_beside, sweep_drafts

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, moved into its place when all went well.

    Its name has the same ending, for writers that go by it. A link stays one: what it leads to is
    written.

    Raises:
        ConjureError: It cannot be written: the disk is full, say.
    """
    target = _behind_links(Path(path))
    try:
        sweep_drafts(target)
        with draft_beside(target, Path(path).suffix) as draft:
            yield draft
            # Drafts keep others out; give the file the permissions of any other new file.
            mask = os.umask(0)
            os.umask(mask)
            draft.chmod(0o666 & ~mask)
            draft.replace(target)
    except OSError as error:
        raise ConjureError(f"{str(path)!r} could not be written: {error}") from error


def _behind_links(path: Path) -> Path:
    """What a path leads to."""
    try:
        return path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError) as error:
        raise ConjureError(f"{str(path)!r} is a link that leads in circles.") from error


def check_figure_path(path: str | Path) -> Path:
    """Refuse a place where no figure can be written, before the work is done.

    Raises:
        ConjureError: The ending is unknown, or the folder does not exist or is not writable.
    """
    target = Path(path)
    if target.suffix.lower() not in FIGURE_SUFFIXES:
        raise ConjureError(
            f"A figure ends in {', '.join(FIGURE_SUFFIXES)}, which decides its format; "
            f"{target.name!r} does not."
        )
    return check_place(target)


def check_place(target: Path) -> Path:
    """Refuse a file that cannot be written.

    Raises:
        ConjureError: Its folder does not exist or is not writable, it is a folder itself or no
            ordinary file, or may not be written to.
    """
    real = _behind_links(target)
    if not real.parent.is_dir():
        raise ConjureError(f"The folder {str(real.parent)!r} does not exist: make it first.")
    if real.is_dir():
        raise ConjureError(f"{str(target)!r} is a folder, not a file.")
    if not os.access(real.parent, os.W_OK):
        raise ConjureError(f"The folder {str(real.parent)!r} cannot be written to.")
    if real.exists() and not real.is_file():
        raise ConjureError(
            f"{str(target)!r} is no ordinary file but a pipe or a device, which cannot be replaced "
            "by a whole one: give another name, or --table - for standard output."
        )
    if real.exists() and not real.stat().st_mode & 0o222:  # the superuser, too, meant something
        raise ConjureError(f"{str(target)!r} is read-only: give another name, or chmod u+w it.")
    sweep_drafts(real)
    return target


def check_folder(target: Path) -> Path:
    """Refuse a place where no folder can be.

    Raises:
        ConjureError: It is a file, or the folder it would be in does not exist.
    """
    if target.exists() and not target.is_dir():
        raise ConjureError(f"{str(target)!r} is a file; a run is a folder.")
    if not target.parent.is_dir():
        raise ConjureError(f"The folder {str(target.parent)!r} does not exist: make it first.")
    return target


def check_embeddings_path(path: str | Path) -> Path:
    """Refuse a place where embeddings cannot be written, before the work is done.

    Raises:
        ConjureError: The ending is not .safetensors, or the folder is missing or not writable.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise ConjureError(f"Embeddings are a .safetensors file; {target.name!r} is not.")
    return check_place(target)
