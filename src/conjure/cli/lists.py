"""Which lists a run was made of: another one is added to it with a word, not in silence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from conjure.io.files import written_whole

NOTES = ".lists.json"
"""In the folder of a run: hashes of its lists, and how long they were."""


def note_list(out: Path | None, rows: Iterable[tuple[str, ...]]) -> None:
    """Note a list in the folder of its run, and say where it is another than those before.

    Args:
        out: The folder, which is there; None where nothing is kept.
        rows: The prompts of each row, in the order of the list.
    """
    if out is None:
        return
    from conjure.cli.console import say

    digest, count = hashlib.blake2b(digest_size=16), 0
    for row in rows:
        digest.update(json.dumps(row).encode())
        count += 1
    known, key = _known(out / NOTES), digest.hexdigest()
    if key in known:
        return
    if known:
        many = f"{len(known):,} other lists" if len(known) > 1 else "another list"
        say(f"The run in {out} is one of {many}: what this one has beside is added to it.")
    with written_whole(out / NOTES) as draft:
        draft.write_text(json.dumps({**known, key: count}), encoding="utf-8")


def _known(path: Path) -> dict[str, int]:
    """What was noted; nothing where that is not there, or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
