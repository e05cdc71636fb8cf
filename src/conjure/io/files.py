"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conjure.errors import ConjureError
from conjure.io.scratch import draft_beside, sweep_drafts

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


def known_path(path: str | Path) -> Path:
    """A path that can be asked for, with ``~`` as the home that it stands for.

    A name that begins with ``~`` and is no user's is that of a file, if there is one.

    Raises:
        ConjureError: No file can be called that, or it may not be looked at.
    """
    place = Path(path)
    try:
        place = place.expanduser()
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # which is for others to mind
    except RuntimeError as error:
        if not os.path.exists(path):  # noqa: PTH110 - which raises nothing
            name = place.parts[0][:60]
            raise ConjureError(
                f"{name!r} stands for the home of a user whom this machine does not know. A file "
                f"whose name begins so is './{name}'."
            ) from error
    except (OSError, ValueError) as error:
        name, reason = str(path), getattr(error, "strerror", None) or error
        shown = name if len(name) <= 80 else f"{name[:79]}…"
        raise ConjureError(f"{shown!r} cannot be used as a path: {reason}.") from error
    return place


def check_file(path: str | Path) -> Path:
    """Refuse what is no file that can be read.

    Raises:
        ConjureError: It is not there, is a folder, or may not be read.
    """
    place = known_path(path)
    if place.is_dir():
        raise ConjureError(f"{str(place)!r} is a folder, not a file.")
    if not place.is_file():
        link = f": it is a link to {str(place.readlink())!r}" if place.is_symlink() else ""
        raise ConjureError(f"There is no file {str(place)!r}{link}.")
    try:
        place.open("rb").close()
    except OSError as error:
        raise ConjureError(f"{str(place)!r} cannot be read: {error.strerror or error}.") from error
    return place


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


def check_place(path: str | Path) -> Path:
    """Refuse a file that cannot be written.

    Returns:
        The path, see ``known_path``.

    Raises:
        ConjureError: Its folder does not exist or is not writable, it is a folder itself or no
            ordinary file, or may not be written to.
    """
    target = known_path(path)
    real = _behind_links(target)
    if real.is_dir():
        raise ConjureError(f"{str(target)!r} is a folder, not a file.")
    _check_parent(real.parent)
    if real.exists() and not real.is_file():
        raise ConjureError(
            f"{str(target)!r} is no ordinary file but a pipe or a device, which cannot be replaced "
            "by a whole one: give another name, or --table - for standard output."
        )
    if real.exists() and not real.stat().st_mode & 0o222:  # the superuser, too, meant something
        raise ConjureError(f"{str(target)!r} is read-only: give another name, or chmod u+w it.")
    sweep_drafts(real)
    return target


def check_folder(path: str | Path) -> Path:
    """Refuse a place where no folder can be.

    Returns:
        The path, see ``known_path``.

    Raises:
        ConjureError: It is a file, the folder it would be in does not exist, or it cannot be
            written to.
    """
    target = known_path(path)
    if target.is_dir():
        _check_writable(target)
        return target
    if target.exists():
        raise ConjureError(f"{str(target)!r} is a file; a run is a folder.")
    if target.is_symlink():
        raise ConjureError(f"{str(target)!r} is a link to a folder that does not exist: make it.")
    _check_parent(target.parent)
    return target


def _check_parent(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConjureError(f"{str(folder)!r} is a file, and nothing can be put into it.")
    if not folder.is_dir():
        raise ConjureError(f"The folder {str(folder)!r} does not exist: make it first.")
    _check_writable(folder)


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConjureError(f"The folder {str(folder)!r} cannot be written to.")


def check_embeddings_path(path: str | Path) -> Path:
    """Refuse a place where embeddings cannot be written, before the work is done.

    Raises:
        ConjureError: The ending is not .safetensors, or the folder is missing or not writable.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise ConjureError(f"Embeddings are a .safetensors file; {target.name!r} is not.")
    return check_place(target)
