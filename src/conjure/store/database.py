"""SQLite as runs use it: patient with other processes, and with errors in words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conjure.errors import ConjureError

TRIES = 100
"""A tenth of a second apart, while another process holds the file."""


class Base:
    """A database file, made if it is not there. Safe to share between processes.

    Args:
        path: The file.
        schema: Statements that make what is missing.

    Raises:
        ConjureError: From any method: the file is damaged or something else, or the disk is full.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        with self._in_words():
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        # Survives a killed process; a power cut may lose the last transactions, never older ones.
        self._patiently(lambda: self._connection.execute("PRAGMA journal_mode = WAL"))
        self.execute("PRAGMA synchronous = NORMAL")
        self.execute("PRAGMA cache_size = -4096")
        with self._in_words():
            self._connection.executescript(schema)

    @property
    def changes(self) -> int:
        """Rows that were changed so far."""
        return self._connection.total_changes

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""
        with self._in_words():
            return self._connection.execute(statement, values).fetchall()

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row."""
        with self._in_words():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self, check: Callable[[], None] | None = None) -> Iterator[None]:
        """All or nothing, after a check that may refuse."""
        self.execute("BEGIN IMMEDIATE")
        try:
            if check is not None:
                check()
            yield
        except BaseException:
            if self._connection.in_transaction:  # SQLite may have ended it itself
                self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _patiently(self, work: Callable[[], object]) -> None:
        """Some of SQLite's locks do not wait by themselves."""
        for number in range(TRIES):
            with self._in_words():
                try:
                    work()
                    return
                except sqlite3.OperationalError as error:
                    busy = error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                    if not busy or number + 1 == TRIES:
                        raise
            time.sleep(0.1)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:  # all are of damage
            raise ConjureError(
                f"{str(self.path)!r} could not be read or written: {error}. If the disk is full, "
                "make room and go on; if the file is damaged, take another folder."
            ) from error
