"""Makes and removes entries of a Glue catalog: tables as Iceberg's GlueCatalog makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from migrator.catalogs.aws import Service
from migrator.catalogs.base import Repoint, WarehouseReader, moved_on, taken
from migrator.catalogs.entry_metadata import check_names, made_from_metadata
from migrator.errors import CatalogError

POINTER = "metadata_location"
MISSING, _EXISTS = "EntityNotFoundException", "AlreadyExistsException"


class GlueEntries:
    """See :class:`Entries`. One table after the other."""

    together = False

    def __init__(self, name: str, service: Service, catalog_id: Mapping[str, str], reader: WarehouseReader) -> None:
        """``catalog_id``: the argument CatalogId, or nothing."""
        self._name, self._service, self._of, self._reader = name, service, catalog_id, reader

    def check(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`. If the database does not exist, it also tries to make a table in it, which Glue refuses
        because of the database, or because of a missing permission."""
        check_names(self._name, "Glue", tables, lower=True)
        for table in tables:
            self._input(table, table.expected)
        missing = next((table for table in tables if not self._database_exists(table.namespace)), None)
        if missing is not None:
            self._create(missing, {"Name": missing.name})

    def add(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`."""
        for table in tables:
            found = self._found(table)
            if found is None:
                self._add_database(table.namespace, namespaces.get(table.namespace, {}))
                self._create(table, self._input(table, table.new))
                found = self._found(table)
            if found != table.new:
                raise taken(self._name, table, found or "nothing: it is gone")

    def remove(self, tables: Sequence[Repoint]) -> None:
        """See :class:`Entries`. Glue compares nothing when a table is deleted: a change immediately before is lost."""
        for table in tables:
            found = self._found(table)
            if found is None:
                continue
            if found != table.expected:
                raise moved_on(self._name, table, found)
            self._send("delete_table", (MISSING,), table, Name=table.name)

    def _found(self, table: Repoint) -> str | None:
        """The pointer of the entry; a description if it has none; None if there is no entry."""
        answer = self._send("get_table", (MISSING,), table, Name=table.name)
        if answer is None:
            return None
        parameters = answer["Table"].get("Parameters") or {}
        return str(parameters.get(POINTER) or "no Iceberg metadata")

    def _create(self, table: Repoint, entry: Mapping[str, Any]) -> None:
        """Create the table, unless it exists or its database does not."""
        self._send("create_table", (_EXISTS, MISSING), table, TableInput=entry)

    def _input(self, table: Repoint, uri: str) -> Mapping[str, Any]:
        """Glue's TableInput, from the metadata at ``uri``, as pyiceberg writes it."""
        from pyiceberg.catalog.glue import _construct_table_input  # late: it takes long to import

        return made_from_metadata(
            self._name,
            self._reader,
            table,
            uri,
            lambda metadata: dict(_construct_table_input(table.name, table.new, metadata.properties, metadata)),
        )

    def _database_exists(self, name: str) -> bool:
        return self._service.send(f"database {name}", "get_database", (MISSING,), **self._of, Name=name) is not None

    def _add_database(self, name: str, properties: Mapping[str, str]) -> None:
        from pyiceberg.catalog.glue import _construct_database_input  # late: it takes long to import

        if not self._database_exists(name):
            entry = _construct_database_input(name, dict(properties))
            place = f"database {name}"
            self._service.send(place, "create_database", (_EXISTS,), **self._of, DatabaseInput=entry)
            if not self._database_exists(name):
                raise CatalogError(f"Catalog {self._name!r} did not create the database {name}.")

    def _send(
        self, operation: str, tolerated: tuple[str, ...], table: Repoint, **arguments: Any
    ) -> Mapping[str, Any] | None:
        """What :meth:`Service.send` returns, for a request about one table."""
        place = f"table {table.namespace}.{table.name}"
        return self._service.send(place, operation, tolerated, **self._of, DatabaseName=table.namespace, **arguments)
