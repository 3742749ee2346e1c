"""Checks that a table with new metadata has the same rows as before. pyiceberg counts the rows of snapshots by two
metadata files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from migrator.errors import MigrationFailed, StoreError
from migrator.iceberg.metadata import Snapshot
from migrator.layout import Location
from migrator.store import Store
from migrator.verifying.pyiceberg_reader import count_rows, open_table
from migrator.verifying.unreadable import TRANSIENT, UNSUPPORTED, Read, Reader


def check_same_rows(
    store: Store,
    table: str,
    snapshots: Iterable[Snapshot],
    before: tuple[str, str],
    after: tuple[str, str],
    data: bytes,
) -> str:
    """Count the rows of these snapshots by both metadata files. Each is given as (URI, words for messages, such as "at
    the target"). ``table``: its identifier, for messages.

    The second file is not written yet, and ``data`` are its bytes: readers of a Hadoop table follow any later version
    in its folder, so that file must not exist before the rows were counted.

    Returns why that could not be compared, if pyiceberg lacks a feature of the table; else "". Raises MigrationFailed
    if the numbers differ, or if the table cannot be read; StoreError if it cannot be read now.
    """
    reader, tables = Reader(), []
    for uri, unwritten in ((before[0], None), (after[0], data)):
        at = Location.parse(uri)
        properties = store.reader_properties(at.bucket) if at is not None else {}
        opened = reader.read(partial(open_table, uri, properties, data=unwritten))
        if opened.result is None:
            return _unsupported(table, uri, opened)
        tables.append(opened.result)
    why = ""
    for snapshot in snapshots:
        counts = [reader.read(partial(count_rows, opened, snapshot.snapshot_id)) for opened in tables]
        if unread := next((count for count in counts if count.trouble is not None), None):
            why = _unsupported(table, str(snapshot), unread)
        elif counts[0].result != counts[1].result:
            one, other = (count.result for count in counts)
            raise MigrationFailed(
                f"{table}: {snapshot} has {one:,} rows {before[1]}, and {other:,} {after[1]}. No pointer was changed.",
                next_move="Please report this. The table stays at the target.",
            )
    return why


def _unsupported(table: str, what: str, read: Read[Any]) -> str:
    """Why pyiceberg cannot read this, if it lacks a feature. Raises MigrationFailed for any other reason."""
    assert read.trouble is not None
    if read.trouble.kind == UNSUPPORTED:
        return read.trouble.reason
    error = StoreError if read.trouble.kind == TRANSIENT else MigrationFailed
    raise error(
        f"{table}: {what} cannot be read: {read.trouble.message}.",
        next_move="Fix the cause, and run the same command again.",
    )
