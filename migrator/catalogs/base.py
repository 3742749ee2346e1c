"""The interface of every catalog, and the values that it takes and returns. No I/O here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from migrator.errors import ConfigError

TABLE = "table"
VIEW = "view"


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table or view as its catalog names it. ``namespace`` is dotted, as stored; "" is the root."""

    catalog: str
    namespace: str
    name: str
    metadata_location: str
    kind: str = TABLE
    trouble: str = ""
    """What is wrong with the version hint of a Hadoop table; empty if nothing is."""

    @property
    def identifier(self) -> str:
        """``catalog.namespace.name``."""
        return ".".join(part for part in (self.catalog, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A table or view that another catalog keeps in the same database, perhaps in another schema of it; or one of the
    same catalog that is not for migrator to re-point."""

    schema: str
    """Empty for the schema that the catalog itself is in."""
    catalog: str
    namespace: str
    name: str
    metadata_location: str
    """The table's folder if it is not an Iceberg table."""
    reason: str = ""
    """What it is, "not an Iceberg table", say, if migrator cannot re-point it; else empty."""


@dataclass(frozen=True, slots=True)
class Repoint:
    """Set this table's pointer to ``new`` if it is ``expected``."""

    namespace: str
    name: str
    expected: str
    new: str
    kind: str = TABLE


@dataclass(frozen=True, slots=True)
class NamespaceRepoint:
    """Set this property of a namespace to ``new`` if it is ``expected``. A Hive Metastore's tables that are not
    Iceberg's count as namespaces, too: see :mod:`migrator.catalogs.hive.plain`."""

    namespace: str
    key: str
    expected: str
    new: str


class WarehouseReader(Protocol):
    """What a catalog that keeps its pointers as objects needs from an object store."""

    def keys(self, bucket: str, prefix: str) -> Iterable[str]:
        """Every key that starts with ``prefix``, in any order."""

    def get(self, bucket: str, key: str) -> bytes:
        """A whole object. Raises NotFound."""


class Catalog(Protocol):
    """One open catalog. Everything but :meth:`repoint` is read-only.

    Reading raises CatalogError if the catalog does not answer. What a Hadoop catalog reads comes from
    its reader, whose StoreErrors pass through.
    """

    name: str
    kind: str
    """Its type in lake.toml, such as ``"sql"``. For plans and reports only: no code depends on it."""
    stores_pointers: bool
    """True: the catalog stores its pointers, and :meth:`repoint` changes them. False: a pointer is an object of the
    lake (version-hint.text), which the cutover writes; :meth:`repoint` is never called."""
    swaps_together: bool
    """True: :meth:`repoint` changes all pointers or none. False: it changes them one after the other."""
    longest_pointer: int | None
    """The longest metadata location that the catalog can store, in characters; None if there is no limit."""

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> Catalog:
        """Open it without writing to it. ``properties`` are pyiceberg's; ``reader`` is kept, not used yet.

        Raises ConfigError if the properties do not describe such a catalog, CatalogError if it cannot be reached.
        """

    def tables(self) -> list[CatalogTable]:
        """Every table and view, ordered by namespace and name."""

    def neighbours(self) -> Iterator[Neighbour]:
        """The tables and views of other catalogs that are kept in the same place, as far as they can be read."""

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """Every stored (namespace, key, value); empty for a catalog that stores none."""

    def current(self, namespace: str, name: str) -> str | None:
        """The metadata location that the table or view has at this moment; None if it is gone."""

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Swap all these pointers; with ``swaps_together``, all or none of them.

        A pointer that is already ``new`` counts as swapped, so a resumed run may call this again. Raises PlanStale
        if anything is neither ``expected`` nor ``new``, CatalogError if the catalog refuses.
        """

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Find out, while planning, whether :meth:`repoint` could change these; nothing is changed.

        Raises CatalogError if it could not, PlanBusy if that cannot be known because another writer holds the catalog.
        """

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """What a person does to make the catalog know this metadata file: the end of a sentence, "register ….", say."""

    def describe(self) -> str:
        """One line for plans and reports that holds no secret, such as ``sql sqlite:////lake/catalog.db``."""

    def close(self) -> None:
        """Close all connections. May be called twice."""


def repoint_all(
    catalog: Catalog,
    tables: Sequence[Repoint],
    namespaces: Sequence[NamespaceRepoint],
    done: Callable[[Repoint], None] = lambda table: None,
) -> None:
    """Swap these pointers: together where the catalog can, else table by table, with ``done`` after each."""
    if catalog.swaps_together:
        catalog.repoint(tables, namespaces)
        return
    for table in tables:
        catalog.repoint([table], [])
        done(table)
    catalog.repoint([], namespaces)


def required(name: str, kind: str, properties: Mapping[str, str], key: str) -> str:
    """A property that a catalog of this kind must have. Raises ConfigError if it has not."""
    value = properties.get(key)
    if not value:
        raise ConfigError(
            f"Catalog {name!r} of type {kind!r} lacks the property {key!r}.",
            next_move=f"Set {key} in [catalogs.{name}] of lake.toml, or in .pyiceberg.yaml.",
        )
    return value


def sql_literal(text: str) -> str:
    """A string literal of standard SQL, where only a quote is doubled."""
    return "'" + text.replace("'", "''") + "'"
