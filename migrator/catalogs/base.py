"""The interface of every catalog, and the values that it takes and returns. No I/O here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

TABLE = "table"
VIEW = "view"
SQL = "sql"

MAX_LOCATION = 1000
"""The longest path, in characters. A SQL catalog's columns are VARCHAR(1000): PostgreSQL rejects a longer path, SQLite
stores it without an error."""


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
    """A table or view that another catalog keeps in the same database, perhaps in another schema of it."""

    schema: str
    """Empty for the schema that the catalog itself is in."""
    catalog: str
    namespace: str
    name: str
    metadata_location: str


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
    """Set this property of a namespace to ``new`` if it is ``expected``."""

    namespace: str
    key: str
    expected: str
    new: str


class Catalog(Protocol):
    """One open catalog. Everything but :meth:`repoint` is read-only.

    Reading raises CatalogError if the catalog does not answer. What a Hadoop catalog reads comes from
    its reader, whose StoreErrors pass through.
    """

    name: str
    kind: str
    """``"sql"``: re-pointed by :meth:`repoint`. ``"hadoop"``: by writing version-hint.text, never by it."""

    def tables(self) -> list[CatalogTable]:
        """Every table and view, ordered by namespace and name."""

    def neighbours(self) -> Iterator[Neighbour]:
        """The tables and views of other catalogs that are kept in the same place, as far as they can be read."""

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """Every stored (namespace, key, value); empty for a catalog that stores none."""

    def current(self, namespace: str, name: str) -> str | None:
        """The metadata location that the table or view has at this moment; None if it is gone."""

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Swap all these pointers, or none of them.

        A pointer that is already ``new`` counts as swapped, so a resumed run may call this again. Raises PlanStale
        if anything is neither ``expected`` nor ``new``, CatalogError if the catalog refuses.
        Only for ``kind == "sql"``: a Hadoop catalog raises NotImplementedError, whatever it is given.
        """

    def try_repoint(self, namespace: str, name: str) -> None:
        """Change the pointer of a table and roll that back. Raises CatalogError if it cannot be changed, PlanBusy if
        another writer holds the catalog. Only for ``kind == "sql"``; for others it does nothing."""

    def describe(self) -> str:
        """One line for plans and reports that holds no secret, such as ``sql sqlite:////lake/catalog.db``."""

    def close(self) -> None:
        """Close all connections. May be called twice."""


def sql_literal(text: str) -> str:
    """A string literal of standard SQL, where only a quote is doubled."""
    return "'" + text.replace("'", "''") + "'"
