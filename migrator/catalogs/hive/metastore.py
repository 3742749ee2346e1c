"""The requests to a Hive Metastore: databases, tables and partitions, by its Thrift interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hive_metastore.ttypes import (
    ClientCapabilities,
    ClientCapability,
    EnvironmentContext,
    GetTableRequest,
    GetTablesRequest,
    NoSuchObjectException,
)
from thrift.Thrift import TApplicationException

from migrator.catalogs.hive.connection import Connection
from migrator.errors import CatalogError

BATCH = 200
"""How many tables, or partitions, one request asks for."""
_CAPABLE = ClientCapabilities([ClientCapability.INSERT_ONLY_TABLES])
"""Without it, Hive 3 refuses to return a list of tables if one of them is insert-only."""
_NO_STATISTICS = {"DO_NOT_UPDATE_STATS": "true"}
"""Without it, the metastore lists the files of what it alters."""


class Metastore:
    """All requests but those of locks. They raise CatalogError if the metastore does not answer, or gives an invalid
    answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # -- reading -------------------------------------------------------------------------------------

    def databases(self) -> list[str]:
        """The names of the databases in the metastore's default catalog."""
        return self._names("list its databases", lambda client: client.get_all_databases())

    def database(self, name: str) -> Any:
        """A database; None if it does not exist."""
        try:
            return self._connection.read(f"read the database {name}", lambda client: client.get_database(name))
        except NoSuchObjectException:
            return None

    def table(self, database: str, name: str) -> Any:
        """A table or view, Iceberg's or another; None if there is none."""
        request = GetTableRequest(database, name, _CAPABLE)
        try:
            return self._read(
                f"read {database}.{name}",
                lambda client: client.get_table_req(request).table,
                lambda client: client.get_table(database, name),
            )
        except NoSuchObjectException:
            return None

    def tables(self) -> Iterator[tuple[str, Any]]:
        """(name of its database, table) of all tables and views, Iceberg's and others."""
        for database in self.databases():
            yield from self._tables_of(database)

    def _tables_of(self, database: str) -> Iterator[tuple[str, Any]]:
        doing = f"list the tables of {database}"
        try:
            for names in _batches(self._names(doing, lambda client: client.get_all_tables(database))):
                for table in self._some_tables(doing, database, names):
                    if getattr(table, "tableName", None) not in names:
                        raise self._connection.odd(doing, f"something that was not asked for: {str(table)[:100]}")
                    yield database, table
        except NoSuchObjectException:
            return  # the table was dropped meanwhile

    def _some_tables(self, doing: str, database: str, names: list[str]) -> list[Any]:
        request = GetTablesRequest(database, names, _CAPABLE)
        answer = self._read(
            doing,
            lambda client: client.get_table_objects_by_name_req(request).tables,
            lambda client: client.get_table_objects_by_name(database, names),
        )
        return answer or []

    def partitions(self, database: str, name: str) -> Iterator[list[Any]]:
        """The partitions of a table, some at a time; none if it was dropped meanwhile."""
        doing = f"list the partitions of {database}.{name}"

        def some(names: list[str]) -> list[Any]:
            answer = self._connection.read(doing, lambda client: client.get_partitions_by_names(database, name, names))
            return answer or []

        try:
            for names in _batches(self._names(doing, lambda client: client.get_partition_names(database, name, -1))):
                yield some(names)
        except NoSuchObjectException:
            return

    # -- changing ------------------------------------------------------------------------------------

    def alter_table(self, database: str, name: str, table: Any, expected: tuple[str, str] | None = None) -> None:
        """Store the changed table. ``expected``: a parameter and its value before, which newer metastores compare.

        Sent once: after a CatalogError it may still have been carried out.
        """
        pair = {"expected_parameter_key": expected[0], "expected_parameter_value": expected[1]} if expected else {}
        context = EnvironmentContext({**pair, **_NO_STATISTICS})
        self._connection.change(
            f"change {database}.{name}",
            lambda client: client.alter_table_with_environment_context(database, name, table, context),
        )

    def alter_partitions(self, database: str, name: str, partitions: list[Any]) -> None:
        """Store these changed partitions, all or none. Sent once, as :meth:`alter_table`."""
        context = EnvironmentContext(dict(_NO_STATISTICS))
        self._connection.change(
            f"change partitions of {database}.{name}",
            lambda client: client.alter_partitions_with_environment_context(database, name, partitions, context),
        )

    def alter_database(self, name: str, database: Any) -> None:
        """Store the changed database. Sent once, as :meth:`alter_table`."""
        self._connection.change(f"change the database {name}", lambda client: client.alter_database(name, database))

    # -- answers -------------------------------------------------------------------------------------

    def _read(self, doing: str, request: Callable[[Any], Any], before: Callable[[Any], Any]) -> Any:
        """Send ``request``, or ``before`` to a metastore before Hive 2.3, which does not know it."""
        try:
            return self._connection.read(doing, request)
        except CatalogError as error:
            cause = error.__cause__
            if not isinstance(cause, TApplicationException) or cause.type != TApplicationException.UNKNOWN_METHOD:
                raise
            return self._connection.read(doing, before)

    def _names(self, doing: str, request: Callable[[Any], Any]) -> list[str]:
        answer = self._connection.read(doing, request)
        if not isinstance(answer, list) or not all(isinstance(text, str) for text in answer):
            raise self._connection.odd(doing, "something else than names")
        return sorted(answer)


def _batches(names: Sequence[str]) -> Iterator[list[str]]:
    return (list(names[start : start + BATCH]) for start in range(0, len(names), BATCH))
