"""A run directory: a manifest of what it was made with, and the samples."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from conjure.errors import ConjureError, ConjureWarning, RunMismatchError
from conjure.io.files import check_folder, written_whole
from conjure.io.ours import parse_ours, read_ours
from conjure.io.scratch import scratch
from conjure.store.manifest import Manifest, disagreements, moved, settings_key
from conjure.store.run import Run


def open_run(folder: str | Path | None, manifest: dict[str, Any]) -> Run:
    """A run directory, made if it is not there; None for one that is gone when it is closed.

    Raises:
        RunMismatchError: It was made with other settings; the message shows which.
        ConjureError: It cannot be made, or is something else.
    """
    if folder is None:
        temporary = tempfile.TemporaryDirectory(dir=scratch())
        return Run(Path(temporary.name), keep=temporary)
    place = check_folder(folder)
    path = place / "manifest.json"
    # Hidden files may be drafts of another process that is just starting; it makes its manifest
    # before anything else, so that this order of looking cannot mistake its run for a stranger's.
    wanted = json.loads(json.dumps(manifest))
    try:
        others = [e for e in place.iterdir() if e.name[0] != "."] if place.is_dir() else []
        if others and not path.is_file():
            raise ConjureError(
                f"{str(place)!r} holds files but no manifest.json: it is no run. Give a new folder."
            )
        place.mkdir(exist_ok=True)
        if not path.is_file():
            _publish(path, wanted)
        there = _read(path)
    except OSError as error:
        raise ConjureError(f"No run can be kept in {str(place)!r}: {error}") from error
    run = Run(place, settings=settings_key(wanted))
    changed = disagreements(there, wanted)

    def rewrite() -> None:
        with written_whole(path) as draft:
            _write(draft, wanted)

    try:
        if not changed:
            run.claim()
            if (libraries := moved(there, wanted)) and not run.is_empty():
                lines = "\n  ".join(libraries)
                warnings.warn(
                    f"The run in {str(place)!r} was made with other versions, by which the last "
                    f"digits of its samples may differ:\n  {lines}",
                    ConjureWarning,
                    stacklevel=2,
                )
        elif run.is_empty():  # refused before it began: nothing depends on it
            run.claim(rewrite)
        else:
            lines = "\n  ".join(changed)
            raise RunMismatchError(
                f"The run in {str(place)!r} was made with other settings, so that its samples "
                f"cannot be added to:\n  {lines}\nTake the old settings, or another folder."
            )
    except BaseException:
        run.close()
        raise
    return run


def _publish(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest whole, unless another process was faster."""
    handle, name = tempfile.mkstemp(prefix=".manifest-", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        _write(draft, manifest)
        draft.chmod(0o644)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """A manifest of ours: other programs have files of that name."""
    remedy = "Restore it, or give another folder."
    where = f"{str(path)!r} is not a run's, or"
    return parse_ours(read_ours(path, remedy), _MANIFEST, where, remedy).raw


_MANIFEST = TypeAdapter(Manifest)


def _write(path: Path, manifest: dict[str, Any]) -> None:
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
