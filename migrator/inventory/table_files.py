"""The walk of an Iceberg table's files: from its metadata to the manifest lists, the manifests, and what these name.

Plans, verifications and ``relocate`` use :func:`read_lists` and :func:`read_manifests`.
Manifests are read entry by entry, so that memory stays flat however many files a table has. The caller decides what to
do about missing or damaged files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from io import SEEK_END
from typing import BinaryIO, NamedTuple, TypeVar

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import MigratorError, NotFound, Unreadable
from migrator.iceberg.manifests import Entry, ManifestFile, read_manifest_list
from migrator.inventory.manifest_entries import EntryReader
from migrator.layout import Location
from migrator.store import Store

Opened = TypeVar("Opened")

READERS = 8
"""How many threads read manifests. It is low, because each manifest may have many megabytes, and parsing takes most of
the time."""


class SourceFile(NamedTuple):
    """An open file of a table. ``place`` is where it is, for messages."""

    place: str
    file: BinaryIO


OpenFile = Callable[[str], SourceFile]
"""Opens the file of a path in the table. Runs in several threads. May raise any MigratorError."""


def open_at(store: Store, path: str, at: Location | None) -> SourceFile:
    """Open the file of a path in a table. ``at``: its place; it is opened under its literal key, or else under the key
    that Hadoop's S3A makes of it. Raises NotFound if the path is not in S3 (``at`` is None) or the object does not
    exist."""
    if at is None:
        raise NotFound(f"{path} is not in S3.")
    try:
        return SourceFile(path, store.download(at.bucket, at.key).file)
    except NotFound:
        if at.collapsed == at:
            raise
        return SourceFile(path, store.download(at.bucket, at.collapsed.key).file)


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that could not be opened, or a manifest list that could not be read. ``path`` is as the table has it."""

    path: str
    error: MigratorError


@dataclass(frozen=True, slots=True)
class ReadList:
    """A manifest list. ``path`` is as the table has it, ``place`` where the file is."""

    path: str
    place: str
    manifests: list[ManifestFile]


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """A manifest of ``size`` bytes. ``path`` is as the table has it, ``place`` where the file is."""

    path: str
    place: str
    size: int
    entries: Iterator[Entry]
    """The entries, decoded one by one; raises Unreadable. Read them before the next manifest."""


def read_lists(
    paths: Iterable[str], open_file: OpenFile, *, workers: int = READERS
) -> Generator[ReadList | BrokenFile, None, None]:
    """Read manifest lists, in no order. ``workers``: how many files are opened at once."""

    def begin(path: str) -> tuple[BinaryIO, SourceFile]:
        source = open_file(path)
        return source.file, source

    with closing(_opened(paths, begin, workers)) as files:
        for path, opened in files:
            yield BrokenFile(path, opened) if isinstance(opened, MigratorError) else _read_list(path, opened)


def _read_list(path: str, source: SourceFile) -> ReadList | BrokenFile:
    try:
        return ReadList(path, source.place, read_manifest_list(source.file, source.place))
    except Unreadable as error:
        return BrokenFile(path, error)


def read_manifests(
    paths: Iterable[str], open_file: OpenFile, *, workers: int = READERS
) -> Generator[ReadManifest | BrokenFile, None, None]:
    """Read manifests, in no order, and decode large ones in child processes. ``workers``: how many files are opened at
    once."""
    with EntryReader() as reader:

        def begin(path: str) -> tuple[BinaryIO, ReadManifest]:
            place, file = open_file(path)
            file.seek(0, SEEK_END)
            size = file.tell()
            file.seek(0)
            return file, ReadManifest(path, place, size, reader.begin(file, size, place))

        with closing(_opened(paths, begin, workers)) as files:
            for path, opened in files:
                yield BrokenFile(path, opened) if isinstance(opened, MigratorError) else opened


def _opened(
    paths: Iterable[str], begin: Callable[[str], tuple[BinaryIO, Opened]], workers: int
) -> Generator[tuple[str, Opened | MigratorError], None, None]:
    """Yield each path with the result of ``begin``. Its file is closed before the next path."""
    with closing(run_in_threads(begin, paths, workers=workers)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                yield outcome.item, outcome.error
            else:
                file, opened = outcome.result
                with file:
                    yield outcome.item, opened
