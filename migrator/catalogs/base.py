"""The interface of every catalog, and the values of its parameters and results. No I/O here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from migrator.errors import PLAN_AGAIN, ConfigError, PlanStale

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
    """What is wrong with the version hint of a Hadoop table, or ""."""

    @property
    def identifier(self) -> str:
        """``catalog.namespace.name``."""
        return ".".join(part for part in (self.catalog, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A table or view that another catalog keeps in the same database, perhaps in another schema of it; or one of the
    same catalog that migrator does not re-point."""

    schema: str
    """Empty for the schema that the catalog itself is in."""
    catalog: str
    namespace: str
    name: str
    metadata_location: str
    """The table's folder if it is not an Iceberg table."""
    reason: str = ""
    """Why migrator does not re-point it, such as "not an Iceberg table", or ""."""


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


class Entries(Protocol):
    """Creates entries for tables in a catalog, and removes them: for tables that move from one catalog to another
    (:mod:`migrator.catalogs.two_catalogs`). No file is ever written or deleted."""

    together: bool
    """True: :meth:`add` makes all entries or none. False: it makes them one after the other."""

    def check(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Check, while planning, whether :meth:`add` could make entries for these tables, none of which has one.
        Their metadata is still at ``expected``. Nothing lasting is written.

        Raises CannotRepoint for a table, view or namespace that this catalog cannot have, CatalogError if it could not
        be written to, PlanBusy if that cannot be checked because another writer has locked it.
        """

    def add(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Make an entry for each of these tables, with ``new`` as its pointer. ``namespaces``: the properties that each
        of their namespaces gets if it does not exist; one that exists is not changed.

        An entry that is at ``new`` already counts as made. Raises PlanStale if the entry is at another place,
        CatalogError if the catalog refuses.
        """

    def remove(self, tables: Sequence[Repoint]) -> None:
        """Remove the entries that are at ``expected``; never the files, and no namespace. A missing entry counts as
        removed. Raises PlanStale if one is at another place; CannotRepoint, before anything is removed, if the catalog
        has no known way to keep the files."""


class WarehouseReader(Protocol):
    """Reads objects, for a catalog whose pointers are objects."""

    def keys(self, bucket: str, prefix: str) -> Iterable[str]:
        """Every key that starts with ``prefix``, in any order."""

    def get(self, bucket: str, key: str) -> bytes:
        """A whole object. Raises NotFound."""


class Catalog(Protocol):
    """One open catalog. Everything but :meth:`repoint` is read-only.

    Reading raises CatalogError if the catalog does not answer. A Hadoop catalog reads through its reader, and raises
    the reader's StoreErrors, too.
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
        """Check, while planning, whether :meth:`repoint` could change these; nothing is changed.

        Raises CatalogError if it could not, PlanBusy if that cannot be checked because another writer has locked it.
        """

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """How a user registers this metadata file in the catalog: the end of a sentence, such as "register …."."""

    def entries(self) -> Entries:
        """The object that makes and removes entries of this catalog. Raises CannotRepoint if it stores none."""

    def describe(self) -> str:
        """One line without secrets for plans and reports, such as ``sql sqlite:////lake/catalog.db``."""

    def close(self) -> None:
        """Close all connections. May be called twice."""


class CatalogKind(Catalog, Protocol):
    """A catalog of one kind, with a method to open it."""

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> Catalog:
        """Open it without writing to it. ``properties`` are pyiceberg's; ``reader`` is stored, but not used yet.

        Raises ConfigError if the properties do not describe such a catalog, CatalogError if it cannot be reached.
        """


def repoint_all(
    catalog: Catalog,
    tables: Sequence[Repoint],
    namespaces: Sequence[NamespaceRepoint],
    done: Callable[[Repoint], None] = lambda table: None,
) -> None:
    """Swap these pointers: together if the catalog can, otherwise table by table, calling ``done`` after each."""
    if catalog.swaps_together:
        catalog.repoint(tables, namespaces)
        return
    for table in tables:
        catalog.repoint([table], [])
        done(table)
    catalog.repoint([], namespaces)


def unexpected(what: str, found: str | None, expected: str) -> PlanStale:
    """The error for a pointer or property that is neither as the plan expects it nor new. ``what``: the beginning of
    the sentence; ``found``: the present value, None if it is gone."""
    now = "is gone" if found is None else f"is {found!r} now"
    return PlanStale(f"{what} {now}; the plan expects {expected!r}.", next_move=PLAN_AGAIN)


def taken(catalog: str, table: Repoint, found: str) -> PlanStale:
    """The error for an entry of the table's name that somebody else made. ``catalog``: the name of its catalog."""
    return PlanStale(
        f"Catalog {catalog!r} has an entry {table.namespace}.{table.name} already, which points to {found}. The plan "
        f"would make one that points to {table.new}.",
        next_move="Rename or remove that entry, without its files, if nobody needs it. Then plan again.",
    )


def moved_on(catalog: str, table: Repoint, found: str) -> PlanStale:
    """The error for an entry that is not removed, because it is not at the expected place."""
    return PlanStale(
        f"The entry {table.namespace}.{table.name} of catalog {catalog!r} points to {found}; it would be removed only "
        f"if it pointed to {table.expected}.",
        next_move="Find out who changed it, and run the same command again.",
    )


def required(name: str, kind: str, properties: Mapping[str, str], key: str) -> str:
    """A property that a catalog of this kind must have. Raises ConfigError if it is missing."""
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
