"""Makes and removes entries of a SQL catalog, in one transaction: rows of Iceberg's two tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import sqlalchemy as sa

from migrator.catalogs.base import VIEW, Repoint, moved_on, taken
from migrator.catalogs.databases import is_locked, same
from migrator.errors import CannotRepoint, CatalogError, PlanBusy

TABLES = sa.table(
    "iceberg_tables",
    sa.column("catalog_name", sa.String),
    sa.column("table_namespace", sa.String),
    sa.column("table_name", sa.String),
    sa.column("metadata_location", sa.String),
    sa.column("previous_metadata_location", sa.String),
    sa.column("iceberg_type", sa.String),  # absent in the V0 schema
)
PROPERTIES = sa.table(
    "iceberg_namespace_properties",
    sa.column("catalog_name", sa.String),
    sa.column("namespace", sa.String),
    sa.column("property_key", sa.String),
    sa.column("property_value", sa.String),
)
EXISTS = "exists"
"""The property with which pyiceberg and Java store a namespace that has no other properties."""


class _NotKept(Exception):
    """Raised to roll a test back."""


class SqlEntries:
    """See :class:`Entries`."""

    together = True

    def __init__(
        self,
        name: str,
        changing: Callable[[], AbstractContextManager[sa.Connection]],
        *,
        typed: bool,
        properties: bool,
    ) -> None:
        """``name``: the ``catalog_name`` of the rows. ``changing`` opens a transaction. ``typed``: rows have a type.
        ``properties``: there is a table for the properties of namespaces."""
        self._name, self._changing, self._typed, self._properties = name, changing, typed, properties

    def check(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`. Makes all of them, in a transaction that is rolled back."""
        views = [f"{view.namespace}.{view.name}" for view in tables if view.kind == VIEW]
        if views and not self._typed:
            raise CannotRepoint(f"Catalog {self._name!r} has the old schema, which has no views: {views[0]}.")
        try:
            with self._changing() as connection:
                self._add(connection, tables, namespaces)
                raise _NotKept
        except _NotKept:
            return
        except CatalogError as error:
            if is_locked(error.__cause__):
                raise PlanBusy(error.message, next_move="Plan again when nobody else writes to it.") from error
            raise

    def add(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`. All or none."""
        with self._changing() as connection:
            self._add(connection, tables, namespaces)

    def remove(self, tables: Sequence[Repoint]) -> None:
        """See :class:`Entries`. All or none."""
        with self._changing() as connection:
            for table in tables:
                row = self._named(table)
                gone = sa.delete(TABLES).where(row, same(TABLES.c.metadata_location, table.expected))
                if not connection.execute(gone).rowcount and (found := self._found(connection, table)) is not None:
                    raise moved_on(self._name, table, found)

    def _add(
        self, connection: sa.Connection, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]
    ) -> None:
        for namespace in dict.fromkeys(table.namespace for table in tables):
            self._add_namespace(connection, namespace, namespaces.get(namespace, {}))
        for table in tables:
            found = self._found(connection, table)
            if found is None:
                connection.execute(sa.insert(TABLES).values(self._row(table)))
            elif found != table.new:
                raise taken(self._name, table, found)

    def _row(self, table: Repoint) -> dict[str, str]:
        row = {
            "catalog_name": self._name,
            "table_namespace": table.namespace,
            "table_name": table.name,
            "metadata_location": table.new,
        }
        return {**row, "iceberg_type": "VIEW" if table.kind == VIEW else "TABLE"} if self._typed else row

    def _add_namespace(self, connection: sa.Connection, namespace: str, properties: Mapping[str, str]) -> None:
        if not self._properties:
            return
        c = PROPERTIES.c
        known = sa.select(sa.func.count()).where(same(c.catalog_name, self._name), same(c.namespace, namespace))
        if connection.execute(known).scalar():
            return
        for key, value in (properties or {EXISTS: "true"}).items():
            row = {"catalog_name": self._name, "namespace": namespace, "property_key": key, "property_value": value}
            connection.execute(sa.insert(PROPERTIES).values(row))

    def _found(self, connection: sa.Connection, table: Repoint) -> str | None:
        """The present pointer of the entry; "" if it has no pointer, None if there is no entry."""
        query = sa.select(TABLES.c.metadata_location).where(self._named(table)).with_for_update()
        rows = connection.execute(query).all()
        return (rows[0][0] or "") if rows else None

    def _named(self, table: Repoint) -> sa.ColumnElement[bool]:
        c = TABLES.c
        names = same(c.catalog_name, self._name) & same(c.table_namespace, table.namespace)
        return names & same(c.table_name, table.name)
