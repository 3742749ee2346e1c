"""Hive Metastore catalogs: lists their Iceberg tables and views, and re-points them under Iceberg's own lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from migrator.catalogs.base import (
    CatalogTable,
    NamespaceRepoint,
    Neighbour,
    Repoint,
    WarehouseReader,
    required,
    sql_literal,
)
from migrator.catalogs.hive.connection import Connection, Options
from migrator.catalogs.hive.entries import HiveEntries
from migrator.catalogs.hive.lock import LockHeld, table_lock
from migrator.catalogs.hive.metastore import Metastore
from migrator.catalogs.hive.plain import PlainTables
from migrator.catalogs.hive.stored import (
    LOCATION,
    METADATA_LOCATION,
    pointer_of,
    pointers,
    read_new,
    repointed,
    value_of,
)
from migrator.errors import PLAN_AGAIN, CatalogError, PlanBusy, PlanStale
from migrator.iceberg.json_text import Object

MAX_LOCATION = 4000
"""The longest location, in characters: that of the columns SDS.LOCATION and DBS.DB_LOCATION_URI of the metastore's
schema, and in its older versions of TABLE_PARAMS.PARAM_VALUE."""

_namespace = attrgetter("namespace")


class HiveCatalog:
    """The tables of one metastore, in its default catalog. Databases are the namespaces."""

    kind = "hive"
    stores_pointers = True
    swaps_together = False
    longest_pointer = MAX_LOCATION

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> HiveCatalog:
        """See :class:`Catalog`."""
        return cls(name, Options.of(name, required(name, cls.kind, properties, "uri"), properties), reader)

    def __init__(self, name: str, options: Options, reader: WarehouseReader) -> None:
        """Connects. Raises CatalogError if no metastore answers."""
        self.name, self._options, self._reader = name, options, reader
        self._connection = Connection(name, options)
        self._metastore = Metastore(self._connection)
        self._plain = PlainTables(name, self._metastore)
        self._metastore.databases()

    def describe(self) -> str:
        """See :class:`Catalog`."""
        return f"{self.kind} {self._options}"

    def close(self) -> None:
        """See :class:`Catalog`."""
        self._connection.close()

    # -- reading -------------------------------------------------------------------------------------

    def tables(self) -> list[CatalogTable]:
        """See :class:`Catalog`."""
        found = [
            CatalogTable(self.name, database, entry.tableName, location, kind)
            for database, entry in self._metastore.tables()
            for location, kind in pointers(entry)
        ]
        return sorted(found, key=lambda table: (table.namespace, table.name))

    def neighbours(self) -> Iterator[Neighbour]:
        """None: all tables of the metastore are the catalog's own."""
        return iter(())

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """See :class:`Catalog`. The location of a database is its property ``location``, as in Iceberg. The places of
        tables that are not Iceberg's are among these: see :mod:`migrator.catalogs.hive.plain`."""
        found = list(self._plain.properties())
        for namespace in self._metastore.databases():
            database = self._metastore.database(namespace)
            properties = dict((database and database.parameters) or {})
            if database is not None and database.locationUri:
                properties[LOCATION] = database.locationUri
            found += [(namespace, key, value) for key, value in properties.items() if value]
        return sorted(found)

    def current(self, namespace: str, name: str) -> str | None:
        """See :class:`Catalog`."""
        entry = self._metastore.table(namespace, name)
        return next((location for location, _ in pointers(entry)), None) if entry is not None else None

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        pointer = f"'{METADATA_LOCATION}' = {sql_literal(metadata_location)}"
        alter = f"ALTER TABLE {namespace}.{name} SET TBLPROPERTIES ({pointer});"
        return f"point the catalog at it, in Hive's own SQL, and plan again: {alter}"

    # -- the swap ------------------------------------------------------------------------------------

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Catalog`. Each table is altered under its lock, after it was compared; this also sets
        ``previous_metadata_location``, and the location from the new metadata."""
        for table in tables:
            if self._pointer(table) != table.new:
                new = read_new(self._reader, table.new)
                with table_lock(self._connection, table.namespace, table.name):
                    self._swap(table, new)
        for namespace, items in groupby(sorted(namespaces, key=_namespace), key=_namespace):
            if "." in namespace:  # no name of a database has a dot
                self._plain.repoint(namespace, list(items))
            else:
                for item in items:
                    self._swap_property(item)

    def entries(self) -> HiveEntries:
        """See :class:`Catalog`."""
        return HiveEntries(self._connection, self._reader)

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Acquires and releases one lock. Whether the tables may be altered cannot be tested before the cutover: a test
        would leave an event in the metastore. See :class:`Catalog`."""
        if tables:
            try:
                with table_lock(self._connection, tables[0].namespace, tables[0].name):
                    pass
            except LockHeld as error:
                raise PlanBusy(error.message, next_move="Plan again when nobody else writes to it.") from error

    def _swap(self, table: Repoint, new: Object | None) -> None:
        """Alter the table; its lock must be held."""
        entry = self._metastore.table(table.namespace, table.name)
        if entry is None or pointer_of(entry, table) != table.expected:
            raise self._stale(table, None if entry is None else pointer_of(entry, table))
        changed = repointed(entry, table, new)
        try:
            self._metastore.alter_table(table.namespace, table.name, changed, (METADATA_LOCATION, table.expected))
        except CatalogError:
            if self._pointer(table) != table.new:  # otherwise only the answer was lost
                raise
        if self._pointer(table) != table.new:
            raise CatalogError(f"Catalog {self.name!r} did not change {_named(table)}.")

    def _swap_property(self, item: NamespaceRepoint) -> None:
        database = self._property(item)
        if value_of(database, item.key) == item.new:
            return
        if item.key == LOCATION:
            database.locationUri = item.new
        else:
            database.parameters = {**database.parameters, item.key: item.new}
        try:
            self._metastore.alter_database(item.namespace, database)
        except CatalogError:
            if value_of(self._property(item), item.key) != item.new:
                raise
        if value_of(self._property(item), item.key) != item.new:  # the location: before Hive 3 it is ignored
            raise CatalogError(
                f"Catalog {self.name!r} did not change {item.key!r} of the database {item.namespace}.",
                next_move=f"Change it yourself: ALTER DATABASE {item.namespace} SET LOCATION {sql_literal(item.new)};",
            )

    def _pointer(self, table: Repoint) -> str:
        """The table's pointer now. Raises PlanStale if that is neither the expected one nor the new one."""
        entry = self._metastore.table(table.namespace, table.name)
        at = None if entry is None else pointer_of(entry, table)
        if at is None or at not in (table.expected, table.new):
            raise self._stale(table, at)
        return at

    def _property(self, item: NamespaceRepoint) -> Any:
        """The database. Raises PlanStale if the property has neither the expected value nor the new one."""
        database = self._metastore.database(item.namespace)
        value = value_of(database, item.key)
        if value not in (item.expected, item.new):
            raise PlanStale(
                f"The property {item.key!r} of namespace {self.name}.{item.namespace} is {value!r} now; the plan "
                f"expects {item.expected!r}.",
                next_move=PLAN_AGAIN,
            )
        return database

    def _stale(self, table: Repoint, at: str | None) -> PlanStale:
        now = "is gone, or is none of Iceberg's" if at is None else f"is {at!r} now"
        return PlanStale(
            f"The pointer of {self.name}.{_named(table)} {now}; the plan expects {table.expected!r}.",
            next_move=PLAN_AGAIN,
        )


def _named(table: Repoint) -> str:
    return f"{table.namespace}.{table.name}"
