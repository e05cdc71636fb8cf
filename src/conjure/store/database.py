"""SQLite as runs use it: patient with other processes, and with errors in words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conjure.errors import ConjureError

PATIENCE = 8.0
"""Seconds that another process may hold the file: transactions take a fraction of one."""


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
            self._connection = sqlite3.connect(
                path,
                timeout=PATIENCE,
                isolation_level=None,
                check_same_thread=False,  # a run may be made in one thread and closed in another
            )
            self._inode = path.stat().st_ino
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
        self._still_there()
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
        started = time.monotonic()
        while True:
            with self._in_words():
                try:
                    work()
                    return
                except sqlite3.OperationalError as error:
                    busy = error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                    if not busy or time.monotonic() - started > PATIENCE:
                        raise
            time.sleep(0.1)

    def _still_there(self) -> None:
        """Refuse to write where nobody will find it: SQLite goes on in a file without a name."""
        try:
            found = self.path.stat().st_ino
        except OSError:
            found = None
        if found != self._inode:
            raise ConjureError(
                f"{str(self.path)!r} was deleted, moved or replaced while it was in use: what was "
                "in it is gone from there, and nothing more was computed. Begin again."
            )

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more of why
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise ConjureError(
                    f"Another process holds {str(self.path)!r}, and has for {PATIENCE:.0f} "
                    "seconds: wait until it is done, end it, or take another folder."
                ) from error
            raise ConjureError(self._sentence(error)) from error
        except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:  # all are of damage
            raise ConjureError(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        return (
            f"{str(self.path)!r} could not be read or written: {error}. If the disk is full, make "
            "room and go on; if the file is damaged, take another folder."
        )
