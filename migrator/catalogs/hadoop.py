"""Hadoop (filesystem) catalogs: they store no pointers; the file names in the warehouse show the current metadata.

A table's metadata is at ``<warehouse>/<namespace…>/<table>/metadata/vN.metadata.json``; ``version-hint.text``
in the same folder has a version to start from. This module does not use S3 itself: the caller passes a reader.
Written by hand because pyiceberg has no Hadoop catalog.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from migrator.catalogs.base import (
    CatalogTable,
    Entries,
    NamespaceRepoint,
    Neighbour,
    Repoint,
    WarehouseReader,
    required,
)
from migrator.errors import CannotRepoint, ConfigError, NotFound, StoreError, Unreachable
from migrator.layout import Location

VERSION_HINT_FILE = "version-hint.text"
MAX_DIRECTORIES = 64

# Java tries these names for version N, in this order; the last is an old spelling.
_SPELLINGS = ("v{}.metadata.json", "v{}.gz.metadata.json", "v{}.metadata.json.gz")
_VERSIONED = re.compile(r"v(0|[1-9][0-9]{0,18})\.(?:metadata\.json|gz\.metadata\.json|metadata\.json\.gz)")
_HINTED = re.compile(rb"[0-9]{1,19}")


class HadoopCatalog:
    """The tables below one warehouse URI, whose scheme their metadata locations keep."""

    kind = "hadoop"
    stores_pointers = False
    swaps_together = False
    longest_pointer = None

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> HadoopCatalog:
        """See :class:`Catalog`."""
        return cls(name, required(name, cls.kind, properties, "warehouse"), reader)

    def __init__(self, name: str, warehouse: str, reader: WarehouseReader) -> None:
        """Reads nothing yet. Raises ConfigError if ``warehouse`` is not a place in S3."""
        location = Location.parse(warehouse.rstrip("/"))
        if location is None or "@" in location.bucket:  # may be s3n://key:secret@bucket, which must not be shown
            raise ConfigError(
                f"The warehouse of catalog {name!r} is not a place in S3.",
                next_move="Write it as s3://bucket/prefix, s3a:// or s3n://, without credentials.",
            )
        self.name = name
        self._warehouse = location = location.collapsed  # as Hadoop's Path has it
        self._prefix = f"{location.key}/" if location.key else ""
        self._reader = reader

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Nothing to check: the pointer is an object at the target."""

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        root = metadata_location.rpartition("/metadata/")[0]
        return f"let the engines read {root}, and leave this table out."

    def entries(self) -> Entries:
        """See :class:`Catalog`."""
        raise CannotRepoint(
            f'Catalog {self.name!r} is of type "hadoop", which has no entries: such a table is found by its folder.'
        )

    def describe(self) -> str:
        """See :class:`Catalog`."""
        return f"{self.kind} {self._warehouse.uri}"

    def close(self) -> None:
        """Does nothing: there are no connections."""

    def tables(self) -> list[CatalogTable]:
        """Every directory of the warehouse with a current metadata file, from one listing.

        If two directories have the same name (``a/b/t`` and ``a.b/t``), the result has the table that :meth:`current`
        finds; the other can only be read by its path.
        """
        found: dict[tuple[str, str], CatalogTable] = {}
        directories = self._metadata_names()
        for directory in sorted(directories, key=lambda d: d.replace("/", "\0")):  # the order of _directories
            names = directories[directory]
            place, trouble = self._current(directory, names)
            if place is None:
                continue
            parent, _, name = directory.rpartition("/")
            table = CatalogTable(self.name, parent.replace("/", "."), name, place, trouble=trouble)
            found.setdefault((table.namespace, name), table)
        return [found[key] for key in sorted(found)]

    def neighbours(self) -> Iterator[Neighbour]:
        """None: a catalog with the same warehouse has the same tables."""
        return iter(())

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """None: a Hadoop catalog stores no namespace properties."""
        return []

    def current(self, namespace: str, name: str) -> str | None:
        """The current metadata file. A dot in ``namespace`` may separate levels, or be part of a name."""
        for parent in _directories(namespace):
            directory = f"{parent}/{name}" if parent else name
            folder = f"{self._prefix}{directory}/metadata/"
            keys = self._reader.keys(self._warehouse.bucket, folder)
            place, _ = self._current(directory, {key[len(folder) :] for key in keys})
            if place is not None:
                return place
        return None

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> NoReturn:
        """Always raises: there is no pointer to swap. The cutover writes the version hint at the target."""
        raise NotImplementedError(
            f"catalog {self.name!r} is of kind 'hadoop': it is re-pointed by writing version-hint.text"
        )

    def _metadata_names(self) -> dict[str, set[str]]:
        """Table directory, relative to the warehouse → the names of metadata files in metadata/."""
        found: dict[str, set[str]] = {}
        for key in self._reader.keys(self._warehouse.bucket, self._prefix):
            folder, _, name = key[len(self._prefix) :].rpartition("/")
            directory, _, last = folder.rpartition("/")
            # An empty level (a//b) is a key that no Hadoop path can name.
            if (
                last == "metadata"
                and all(directory.split("/"))
                and (name == VERSION_HINT_FILE or _VERSIONED.fullmatch(name))
            ):
                found.setdefault(directory, set()).add(name)
        return found

    def _current(self, directory: str, names: set[str]) -> tuple[str | None, str]:
        """The current metadata file, and what is wrong with the version hint."""
        folder = f"{self._prefix}{directory}/metadata/"
        place = Location(self._warehouse.scheme, self._warehouse.bucket, folder).uri
        hint = None
        if VERSION_HINT_FILE in names:
            hint = read_hint(lambda: self._reader.get(self._warehouse.bucket, folder + VERSION_HINT_FILE))
        name = current_version(names, hint)
        return (place + name, hint_trouble(names, hint)) if name else (None, "")


def read_hint(get: Callable[[], bytes]) -> bytes | None:
    """The bytes of a version hint; None if it no longer exists.

    Empty if the server refuses to return it (it is archived, or access is denied): Iceberg then lists the folder.
    Raises Unreachable.
    """
    try:
        return get()
    except NotFound:
        return None
    except Unreachable:
        raise
    except StoreError:
        return b""


def current_version(names: Iterable[str], hint: bytes | None) -> str | None:
    """The current metadata file among the ``names`` in a metadata/ directory; None if there is no table.

    As Iceberg's HadoopTableOperations.findVersion does: begin at the version in ``hint`` (the bytes of
    version-hint.text, or None), and go on to the next version while there is one. Without a hint, or with a hint that
    is not a number, use the highest version; unlike Java, also if the hint's version has no file.
    """
    present = set(names)
    version = _hinted(hint)
    current = None if version is None else _file_of(version, present)
    if version is None or current is None:
        versions = [int(match[1]) for name in present if (match := _VERSIONED.fullmatch(name))]
        return _file_of(max(versions), present) if versions else None
    for following in itertools.count(version + 1):
        later = _file_of(following, present)
        if later is None:
            break
        current = later
    return current


def hint_trouble(names: Iterable[str], hint: bytes | None) -> str:
    """What is wrong with a version hint, in words that follow its place.

    Empty if it names an existing metadata file, or if there is no hint.
    """
    if hint is None:
        return ""
    version = _hinted(hint)
    if version is None:
        return f"says {hint[:40]!r}, which is not a version"
    if _file_of(version, set(names)) is None:
        return f"says {version}, but {_SPELLINGS[0].format(version)} does not exist"
    return ""


def _hinted(hint: bytes | None) -> int | None:
    """The version in a hint; None if it has none."""
    line = (hint or b"").split(b"\n", 1)[0].strip()
    return int(line) if _HINTED.fullmatch(line) else None


def _file_of(version: int, present: set[str]) -> str | None:
    names = (spelling.format(version) for spelling in _SPELLINGS)
    return next((name for name in names if name in present), None)


def _directories(namespace: str) -> Iterator[str]:
    """The possible paths of the dotted ``namespace``, the nested one first: a/b, then a.b.

    Their number doubles with every dot, so a very deep namespace gets only the more likely ones.
    """
    parts = namespace.split(".")
    combinations = itertools.product("/.", repeat=len(parts) - 1)
    for separators in itertools.islice(combinations, MAX_DIRECTORIES):
        yield "".join(itertools.chain(*zip(parts, (*separators, ""), strict=True)))
