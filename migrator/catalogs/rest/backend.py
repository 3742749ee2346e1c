"""A REST catalog whose pointers are changed in the SQL database behind its server, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.catalogs.base import NamespaceRepoint, Repoint
from migrator.catalogs.rest.client import RestClient
from migrator.catalogs.rest.options import RestOptions
from migrator.catalogs.rest.reading import RestReader, in_threads
from migrator.catalogs.rest.ways import check_arrived, named, set_properties
from migrator.catalogs.sql import SqlCatalog
from migrator.errors import CannotRepoint, ConfigError

ATTEMPTS = 5


class Backend:
    """See :class:`Way`. The database has the tables of JdbcCatalog, and the server reads them at each request."""

    together = True

    def __init__(self, client: RestClient, reader: RestReader, sql: SqlCatalog) -> None:
        self._client, self._reader, self._sql = client, reader, sql

    @classmethod
    def open(cls, options: RestOptions, client: RestClient, reader: RestReader) -> Backend:
        """Raises ConfigError if the database has several catalogs and the options name none, CatalogError if it cannot
        be reached."""
        return cls(client, reader, database_of(options))

    def check(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Way`. The database and the server must have the same pointer for every table."""
        rows = {(row.namespace, row.name): row.metadata_location for row in self._sql.tables()}
        for table in tables:
            if rows.get((table.namespace, table.name)) != table.expected:
                self._check_agreed(table)
        stored, others = self._split(namespaces)
        if others and self._client.offers("POST namespaces/{namespace}/properties") is False:
            raise CannotRepoint(f"The server of catalog {self._client.name!r} cannot change properties of namespaces.")
        self._sql.check_repoint(tables, stored)

    def _check_agreed(self, table: Repoint) -> None:
        """Check that the database and the server have the same pointer for a table. It is read again before an error,
        because others may commit meanwhile. Raises CannotRepoint."""
        for _ in range(ATTEMPTS):
            shown = self._shown(table)
            row = self._sql.current(table.namespace, table.name)
            if row in (shown, self._shown(table)):
                return
        where = "does not have it" if row is None else f"has it at {row}"
        raise CannotRepoint(
            f"The server of catalog {self._client.name!r} "
            f"{f'shows {named(table)} at {shown}' if shown else f'does not know {named(table)}'}, but the database "
            f"{self._sql.describe()}, catalog_name {self._sql.name!r}, {where}.",
            next_move="Check backend and backend-catalog-name: they must name the database behind the server.",
        )

    def _shown(self, table: Repoint) -> str | None:
        at = self._client.load(self._reader.levels(table.namespace), table.name, table.kind)
        return None if at is None else at.location

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Way`."""
        stored, others = self._split(namespaces)
        self._sql.repoint(tables, stored)
        for _ in in_threads(self._check_arrived, tables):
            pass
        set_properties(self._client, self._reader, others)

    def _check_arrived(self, table: Repoint) -> None:
        check_arrived(self._client, self._reader.levels(table.namespace), table)

    def _split(self, namespaces: Sequence[NamespaceRepoint]) -> tuple[list[NamespaceRepoint], list[NamespaceRepoint]]:
        """Properties that the database stores, and those that the server derives from its warehouse."""
        stored = {(namespace, key) for namespace, key, _ in self._sql.namespace_properties()}
        inside = [item for item in namespaces if (item.namespace, item.key) in stored]
        return inside, [item for item in namespaces if (item.namespace, item.key) not in stored]

    def close(self) -> None:
        """See :class:`Way`."""
        self._sql.close()


def database_of(options: RestOptions) -> SqlCatalog:
    """The database behind the server. Raises ConfigError if it has several catalogs and the options name none,
    CatalogError if it cannot be reached."""
    return SqlCatalog(options.backend_catalog_name or _only_catalog(options), options.backend)


def _only_catalog(options: RestOptions) -> str:
    """The only catalog_name of the database."""
    sql = SqlCatalog(options.name, options.backend)
    try:
        names = {neighbour.catalog for neighbour in sql.neighbours() if not neighbour.schema}
        names |= {options.name} if sql.tables() else set()
    finally:
        sql.close()
    if len(names) != 1:
        found = f"the catalogs {', '.join(sorted(names))}" if names else "no table of any catalog"
        raise ConfigError(
            f"The database behind catalog {options.name!r} has {found}.",
            next_move=f"Set backend-catalog-name in [catalogs.{options.name}] to the name that the server uses.",
        )
    return names.pop()
