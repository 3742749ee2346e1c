"""Finds what still names an old place.

``check`` (for a lake) and ``retire`` (for one plan, :mod:`migrator.retiring.still_named`) share these functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import Neighbour
from migrator.concurrency.threads import Done, Failed, run_in_threads
from migrator.errors import NotFound
from migrator.findings import INFO
from migrator.iceberg.metadata import read_metadata
from migrator.iceberg.views import is_view_metadata, read_view
from migrator.layout import Layout, Location
from migrator.plan.carriers import carrier_findings
from migrator.store import Store

TEXTS = "path-in-text"
MOST_SCRIPTS, MOST_SCRIPT_BYTES = 10_000, 1 << 20
"""How many scripts are read, and the size in bytes up to which a file counts as one."""
WORKERS = 16

_S3_URI = re.compile(r"s3[an]?://[A-Za-z0-9][A-Za-z0-9._-]{1,254}(?:/[^\s\"'`,;()<>\[\]{}|]*)?")
_ENDINGS = ("py", "sql", "sh", "scala", "r", "ipynb", "yml", "yaml", "conf", "properties", "toml")
_SUFFIXES = tuple(f".{ending}" for ending in _ENDINGS)

Result = TypeVar("Result")
Script = tuple[str, str]
"""Bucket and key."""


@dataclass(frozen=True, slots=True)
class Mention:
    """Something that names an old place. ``code``: its kind, which ``retire --accept`` takes; "" for none."""

    place: str
    message: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.place} {self.message}" + (f" [{self.code}]" if self.code else "")


def moved(layout: Layout, uri: str) -> bool:
    """True for an S3 URI of a place in an old bucket that the layout moves."""
    at = Location.parse(uri)
    if at is None or at.bucket not in layout.moved_buckets:
        return False
    rule = layout.rule_for(at.bucket, at.key)
    # The root of a bucket counts if any part of the bucket moves.
    return rule.target is not None if rule else not at.key


def moved_in_text(layout: Layout, text: str) -> str:
    """The first URI in a text that :func:`moved` is true for; "" if there is none."""
    return next((found for found in _S3_URI.findall(text) if moved(layout, found)), "")


def tables_of(catalog: Catalog) -> list[CatalogTable]:
    """The tables that a catalog names now; none if the bucket of its warehouse is gone."""
    try:
        return catalog.tables()
    except NotFound:
        return []


def in_neighbours(layout: Layout, catalog: Catalog, neighbours: Iterable[Neighbour]) -> Iterator[Mention]:
    """Entries in the same database or service as a catalog that point to an old place."""
    for neighbour in neighbours:
        if moved(layout, neighbour.metadata_location):
            schema = f"{neighbour.schema}." if neighbour.schema else ""
            name = f"{schema}{neighbour.catalog}.{neighbour.namespace}.{neighbour.name}"
            yield Mention(name, f"points to {neighbour.metadata_location} (in the database of {catalog.name})")


def in_texts(layout: Layout, name: str, data: bytes, location: str) -> Iterator[Mention]:
    """The texts in a metadata file of a table or view that mention an old place. Raises Unreadable."""
    for label, text in _texts(data, location):
        if uri := moved_in_text(layout, text):
            yield Mention(name, f"mentions {uri} in {label} ({location})", TEXTS)


def _texts(data: bytes, place: str) -> Iterator[tuple[str, str]]:
    """(description, text) of the texts that a rewrite does not change and that readers may use as paths. Summaries of
    snapshots are left out: they describe past operations."""
    if is_view_metadata(data, place):
        view = read_view(data, place)
        yield from view.sql
        properties: Mapping[str, str] = view.properties
    else:
        properties = read_metadata(data, place).properties
    yield from ((f"property {key!r}", value) for key, value in properties.items())


def in_carriers(rows: Iterable[tuple[str, str, int, str]], store: Store, layout: Layout) -> Iterator[Mention]:
    """The logs, checkpoints and manifests that hold, or may hold, paths to an old place. ``rows``: (bucket, key, size
    in bytes, ETag) of files with the name of one."""
    for finding in carrier_findings(rows, store, layout):
        if finding.severity != INFO:
            yield Mention(finding.place, finding.message, finding.code)


def is_script(column: str) -> str:
    """SQL condition: the key in ``column`` ends like that of a script or of a settings file."""
    return " OR ".join(f"{column} LIKE '%.{ending}'" for ending in _ENDINGS)


def has_script_name(key: str) -> bool:
    """True if a key ends like that of a script or of a settings file."""
    return key[-12:].lower().endswith(_SUFFIXES)


def read_scripts(
    store: Store, scripts: Iterable[Script], look: Callable[[Script, bytes], Result]
) -> Iterator[Done[Script, Result] | Failed[Script]]:
    """Read these files, several at once, and yield the result of ``look`` for each, or why it cannot be read."""

    def read(script: Script) -> Result:
        return look(script, store.get(*script).data)

    return run_in_threads(read, scripts, workers=WORKERS)
