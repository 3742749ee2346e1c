"""Makes and removes entries of a Hive Metastore: external tables as Iceberg's HiveCatalog makes them."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from hive_metastore.ttypes import Database, Table

from migrator.catalogs.base import Repoint, WarehouseReader, moved_on, taken
from migrator.catalogs.entry_metadata import check_names, made_from_metadata
from migrator.catalogs.hive.connection import Connection
from migrator.catalogs.hive.lock import table_lock
from migrator.catalogs.hive.metastore import Metastore
from migrator.catalogs.hive.stored import pointers
from migrator.errors import CatalogError


class HiveEntries:
    """See :class:`Entries`. One table after the other."""

    together = False

    def __init__(self, connection: Connection, reader: WarehouseReader) -> None:
        self._connection, self._reader = connection, reader
        self._name, self._metastore = connection.name, Metastore(connection)

    def check(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`. Whether the metastore allows creating tables cannot be tested before the cutover."""
        check_names(self._name, "a Hive Metastore", tables, lower=True)
        for table in tables:
            self._made(table, table.expected)

    def add(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`."""
        for table in tables:
            if self._found(table) is None:
                self._add_database(table.namespace, namespaces.get(table.namespace, {}))
                self._create(table)
            if (found := self._found(table)) != table.new:
                raise taken(self._name, table, found or "nothing: it is gone")

    def remove(self, tables: Sequence[Repoint]) -> None:
        """See :class:`Entries`. Under the table's lock."""
        for table in tables:
            if self._found(table) is None:
                continue
            with table_lock(self._connection, table.namespace, table.name):
                found = self._found(table)
                if found is not None and found != table.expected:
                    raise moved_on(self._name, table, found)
                if found is not None:
                    self._drop(table)

    def _drop(self, table: Repoint) -> None:
        try:
            self._connection.change(
                f"remove the entry {table.namespace}.{table.name}",
                lambda client: client.drop_table(table.namespace, table.name, False),  # False keeps the files
            )
        except CatalogError:
            if self._found(table) is not None:  # otherwise only the answer was lost
                raise

    def _create(self, table: Repoint) -> None:
        entry = self._made(table, table.new)
        try:
            self._connection.change(f"make {table.namespace}.{table.name}", lambda client: client.create_table(entry))
        except CatalogError:
            if self._found(table) is None:  # otherwise the answer was lost, or somebody else made one
                raise

    def _found(self, table: Repoint) -> str | None:
        """The pointer of the entry; a description if it has none; None if there is no entry."""
        entry = self._metastore.table(table.namespace, table.name)
        if entry is None:
            return None
        return next((location for location, kind in pointers(entry) if kind == table.kind), "no Iceberg metadata")

    def _made(self, table: Repoint, uri: str) -> Any:
        """The metastore's table, from the metadata at ``uri``, as pyiceberg makes it."""
        from pyiceberg.catalog.hive import (  # late: it takes long to import
            _construct_hive_storage_descriptor,
            _construct_parameters,
        )

        now = int(time.time())
        return made_from_metadata(
            self._name,
            self._reader,
            table,
            uri,
            lambda metadata: Table(
                dbName=table.namespace,
                tableName=table.name,
                owner=metadata.properties.get("owner") or _user(),
                createTime=now,
                lastAccessTime=now,
                sd=_construct_hive_storage_descriptor(metadata.schema(), metadata.location),
                tableType="EXTERNAL_TABLE",
                parameters=_construct_parameters(table.new, metadata_properties=metadata.properties),
            ),
        )

    def _add_database(self, name: str, properties: Mapping[str, str]) -> None:
        from pyiceberg.catalog.hive import _annotate_namespace  # late: it takes long to import

        if self._metastore.database(name) is not None:
            return
        database = _annotate_namespace(Database(name=name, parameters={}), dict(properties))
        try:
            self._connection.change(f"make the database {name}", lambda client: client.create_database(database))
        except CatalogError:
            if self._metastore.database(name) is None:
                raise


def _user() -> str:
    with suppress(KeyError, OSError):  # a container whose user has no name
        return getpass.getuser()
    return "migrator"
