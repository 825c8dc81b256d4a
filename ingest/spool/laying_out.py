"""What lies in the journal or the log of a spool folder becomes a file under ``held/``, for whoever files it."""

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from ingest.spool.log import Extent, stretches_of
from storage.durable import sync_file, sync_folder, unfinished, write_all

INCOMING: Final = "incoming"
"""The folder beside `held` for files that are being written; what a crash leaves there is thrown away."""
LOG: Final = "log"
"""The folder beside `held` of the log's segments."""

_AT_ONCE: Final = 16


def encoded(extents: Sequence[Extent]) -> str:
    """Return extents as the journal keeps them."""
    return json.dumps(extents, separators=(",", ":"))


def decoded(text: str) -> list[Extent]:
    """Return extents as the journal kept them."""
    return [Extent(*numbers) for numbers in json.loads(text)]


def lay_out(connection: sqlite3.Connection, held: Path, names: Sequence[str]) -> None:
    """Write files for those of `names` that have none yet.

    The journal keeps what is small until it is forgotten, so nothing of that is
    synced. The log is written over: what lies in it is struck once its file
    and the folder are durable.
    """
    for name in names:
        if not (held / name).exists():  # the folder itself may list a day of instances
            found = connection.execute("SELECT content FROM small WHERE name = ?", (name,)).fetchone()
            if found is not None:
                write_small(held, name, found[0])
    logged = _logged(connection, names)
    for start in range(0, len(logged), _AT_ONCE):
        _write_logged(connection, held, logged[start : start + _AT_ONCE])
    if logged:
        sync_folder(held)
        struck = [(name,) for name, _ in logged if (held / name).exists()]
        connection.executemany("DELETE FROM logged WHERE name = ?", struck)
        connection.commit()


def write_small(held: Path, name: str, content: bytes) -> None:
    """Write one file; two processes may do so at once, each renames a file of its own with the same bytes."""
    path = held.with_name(INCOMING) / uuid4().hex
    path.write_bytes(content)
    path.rename(held / name)


def _logged(connection: sqlite3.Connection, names: Sequence[str]) -> list[tuple[str, list[Extent]]]:
    """Return where those of `names` lie that are in the log."""
    marks = ",".join("?" * len(names))
    query = f"SELECT name, extents FROM logged WHERE name IN ({marks})"  # noqa: S608 - marks only
    return [(name, decoded(text)) for name, text in connection.execute(query, names)]


def _write_logged(connection: sqlite3.Connection, held: Path, logged: Sequence[tuple[str, Sequence[Extent]]]) -> None:
    """Write some files, sync them together, and give each its name, unless another process was quicker.

    What was read counts only if the journal names its extents still: otherwise another process has laid it out and
    struck it meanwhile, and its writer may have written over it. A name is given once: the file under it may be the
    archive's by now.
    """
    with ExitStack() as stack:
        written: list[tuple[str, Path, int]] = []
        for name, extents in logged:
            content = None if (held / name).exists() else stretches_of(held.with_name(LOG), extents)
            if content is not None:
                path, descriptor = stack.enter_context(unfinished(held.with_name(INCOMING)))
                write_all(descriptor, content)
                written.append((name, path, descriptor))
        for _, _, descriptor in written:
            sync_file(descriptor)
        still = {name for name, _ in _logged(connection, [name for name, _, _ in written])}
        for name, path, _ in written:
            if name in still:
                with suppress(FileExistsError):
                    os.link(path, held / name)
