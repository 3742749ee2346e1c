"""SQL (JDBC) catalogs on SQLite, PostgreSQL and MySQL: reads and writes their tables directly.

It does not use pyiceberg's SqlCatalog, because that creates missing tables, while planning must not write, and has no
compare-and-swap. Both pyiceberg and Java read and write these tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from migrator.catalogs.base import (
    TABLE,
    VIEW,
    CatalogTable,
    NamespaceRepoint,
    Neighbour,
    Repoint,
    WarehouseReader,
    required,
    sql_literal,
)
from migrator.catalogs.databases import (
    engine_for,
    is_locked,
    is_sqlite,
    other_schemas,
    parsed_url,
    require_transactions,
    same,
)
from migrator.catalogs.sql_entries import PROPERTIES, TABLES, SqlEntries
from migrator.errors import PLAN_AGAIN, CatalogError, MigratorError, PlanBusy, PlanStale

MAX_LOCATION = 1000
"""The longest path, in characters. The columns are VARCHAR(1000): PostgreSQL rejects a longer path, SQLite stores it
without an error."""

_KINDS = {None: TABLE, "TABLE": TABLE, "VIEW": VIEW}


class SqlCatalog:
    """The rows of one ``catalog_name``, which is the catalog's name, as in pyiceberg."""

    kind = "sql"
    stores_pointers = True
    swaps_together = True
    longest_pointer = MAX_LOCATION

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> SqlCatalog:
        """See :class:`Catalog`."""
        return cls(name, required(name, cls.kind, properties, "uri"))

    def __init__(self, name: str, uri: str) -> None:
        """Connects. Raises ConfigError for an invalid URI or a missing driver, CatalogError
        if the database cannot be reached or has no catalog in it. Never creates a file or a table."""
        url = parsed_url(name, uri)
        self.name = name
        # The query may contain a password, too, and is not needed in messages.
        self._shown = url.set(query={}).render_as_string(hide_password=True)
        if is_sqlite(url) and not Path(url.database or "").is_file():
            raise CatalogError(
                f"Catalog {name!r} ({self._shown}) does not exist: there is no such file.",
                next_move="Check its uri; a relative path starts at the current directory.",
            )
        self._reading = engine_for(name, url, write=False)
        self._writing = engine_for(name, url, write=True)
        try:
            self._typed, self._stores_properties = self._schema()
        except BaseException:
            self.close()
            raise

    def _schema(self) -> tuple[bool, bool]:
        """Whether rows have a type (V1), and whether there are namespace properties."""
        with self._read() as connection:
            inspector = sa.inspect(connection)
            if not inspector.has_table(TABLES.name):
                raise CatalogError(
                    f"Catalog {self.name!r} ({self._shown}) has no table iceberg_tables.",
                    next_move="Check that its uri names the catalog's database.",
                )
            columns = {column["name"] for column in inspector.get_columns(TABLES.name)}
            return "iceberg_type" in columns, inspector.has_table(PROPERTIES.name)

    def describe(self) -> str:
        """See :class:`Catalog`."""
        return f"{self.kind} {self._shown}"

    def close(self) -> None:
        """See :class:`Catalog`."""
        self._reading.dispose()
        self._writing.dispose()

    # -- reading -------------------------------------------------------------------------------------

    def tables(self) -> list[CatalogTable]:
        """See :class:`Catalog`."""
        c = TABLES.c
        kind = c.iceberg_type if self._typed else sa.null()
        query = (
            sa.select(c.table_namespace, c.table_name, c.metadata_location, kind)
            # A row without a location is not a table yet; pyiceberg skips it, too.
            .where(same(c.catalog_name, self.name), c.metadata_location.is_not(None))
            .order_by(c.table_namespace, c.table_name)
        )
        with self._read() as connection:
            rows = connection.execute(query).all()
        return [
            CatalogTable(self.name, namespace, name, location, _KINDS[type_])
            for namespace, name, location, type_ in rows
            if type_ in _KINDS
        ]

    def neighbours(self) -> Iterator[Neighbour]:
        """Rows with another catalog_name, those of other schemas (on MySQL: databases) that may be read, and this
        catalog's own rows that are neither a table nor a view."""
        with self._read() as connection:  # no query stays open between two rows: SQLite would block writers
            found = _neighbours(connection, "", ~same(TABLES.c.catalog_name, self.name))
            found += _of_no_kind(connection, self.name) if self._typed else []
            schemas = other_schemas(connection, TABLES.name)
        yield from found
        for schema in schemas:
            try:
                with self._reading.connect() as connection:
                    found = _neighbours(connection, schema, sa.true())
            except SQLAlchemyError:
                continue  # another tenant's schema, which may not be read
            yield from found

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """See :class:`Catalog`; empty if the database has no table for them."""
        if not self._stores_properties:
            return []
        c = PROPERTIES.c
        query = (
            sa.select(c.namespace, c.property_key, c.property_value)
            .where(same(c.catalog_name, self.name), c.property_value.is_not(None))
            .order_by(c.namespace, c.property_key)
        )
        with self._read() as connection:
            return [(namespace, key, value) for namespace, key, value in connection.execute(query)]

    def current(self, namespace: str, name: str) -> str | None:
        """See :class:`Catalog`."""
        query = sa.select(TABLES.c.metadata_location).where(self._named(namespace, name))
        with self._read() as connection:
            location: str | None = connection.execute(query).scalar()
        return location

    # -- the swap ------------------------------------------------------------------------------------

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Change everything in one transaction: a single mismatch rolls it back. See :class:`Catalog`."""
        for table in tables:
            self._require_short(self._pointer(table), table.new)
        for item in namespaces:
            self._require_short(self._property(item), item.new)
        with self._errors("re-pointed"), self._writing.begin() as connection:
            self._require_transactions(connection)
            for table in tables:
                self._swap_pointer(connection, table)
            for item in namespaces:
                self._swap_property(connection, item)

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Set one of the pointers to its present value, in a transaction that is rolled back. See :class:`Catalog`."""
        if not tables:
            return
        location = TABLES.c.metadata_location
        row = self._named(tables[0].namespace, tables[0].name)
        update = sa.update(TABLES).values(metadata_location=location).where(row)
        try:
            with self._errors("written to"), self._writing.connect() as connection:
                self._require_transactions(connection)
                connection.execute(update)
                connection.rollback()
        except CatalogError as error:
            if is_locked(error.__cause__):
                raise PlanBusy(error.message, next_move="Plan again when nobody else writes to it.") from error
            raise

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        named = {"catalog_name": self.name, "table_namespace": namespace, "table_name": name}
        where = " AND ".join(f"{column} = {self._literal(value)}" for column, value in named.items())
        update = f"UPDATE iceberg_tables SET metadata_location = {self._literal(metadata_location)} WHERE {where};"  # noqa: S608
        return f"point the catalog at it and plan again: {update}"

    def entries(self) -> SqlEntries:
        """See :class:`Catalog`."""
        return SqlEntries(self.name, self._changing, typed=self._typed, properties=self._stores_properties)

    @contextmanager
    def _changing(self) -> Iterator[sa.Connection]:
        """One transaction, which is rolled back after an error."""
        with self._errors("written to"), self._writing.begin() as connection:
            self._require_transactions(connection)
            yield connection

    def _swap_pointer(self, connection: sa.Connection, table: Repoint) -> None:
        row = self._named(table.namespace, table.name)
        if self._typed:
            type_ = TABLES.c.iceberg_type
            row &= type_ == "VIEW" if table.kind == VIEW else (type_ == "TABLE") | type_.is_(None)
        values = {"metadata_location": table.new, "previous_metadata_location": table.expected}
        swap = sa.update(TABLES).values(values).where(row, same(TABLES.c.metadata_location, table.expected))
        if not self._swapped(connection, swap, self._pointer(table)):
            found = connection.execute(sa.select(TABLES.c.metadata_location).where(row).with_for_update()).scalar()
            self._require_done(self._pointer(table), found, table)

    def _swap_property(self, connection: sa.Connection, item: NamespaceRepoint) -> None:
        c = PROPERTIES.c
        row = same(c.catalog_name, self.name) & same(c.namespace, item.namespace) & same(c.property_key, item.key)
        values = {"property_value": item.new}
        swap = sa.update(PROPERTIES).values(values).where(row, same(c.property_value, item.expected))
        if not self._swapped(connection, swap, self._property(item)):
            found = connection.execute(sa.select(c.property_value).where(row).with_for_update()).scalar()
            self._require_done(self._property(item), found, item)

    def _swapped(self, connection: sa.Connection, swap: sa.Update, what: str) -> bool:
        changed = connection.execute(swap).rowcount
        if changed > 1:  # only a hand-made table without a primary key can do that
            raise CatalogError(
                f"{what} is stored {changed} times. Nothing in catalog {self.name!r} was changed.",
                next_move="Remove the superfluous rows.",
            )
        return changed == 1

    def _require_done(self, what: str, found: str | None, asked: Repoint | NamespaceRepoint) -> None:
        """Accept a pointer that an earlier, interrupted run has swapped already. Raises CatalogError if the database
        ignored the change, which a new plan would not help, and PlanStale for any other value."""
        if found == asked.new:
            return
        raise _not_swapped(what, found, asked.expected, f"Nothing in catalog {self.name!r} was changed.")

    def _require_short(self, what: str, new: str) -> None:
        if len(new) > MAX_LOCATION:
            raise CatalogError(
                f"{what} would get {len(new):,} characters; a SQL catalog stores {MAX_LOCATION:,}."
                f" Nothing in catalog {self.name!r} was changed.",
                next_move="Choose a shorter target prefix and plan again.",
            )

    def _require_transactions(self, connection: sa.Connection) -> None:
        tables = [TABLES.name, PROPERTIES.name] if self._stores_properties else [TABLES.name]
        require_transactions(connection, tables)

    # -- helpers --------------------------------------------------------------------------------

    def _named(self, namespace: str, name: str) -> sa.ColumnElement[bool]:
        c = TABLES.c
        return same(c.catalog_name, self.name) & same(c.table_namespace, namespace) & same(c.table_name, name)

    def _literal(self, text: str) -> str:
        return sql_literal(text.replace("\\", "\\\\") if self._reading.dialect.name == "mysql" else text)

    def _pointer(self, table: Repoint) -> str:
        return f"The pointer of {self.name}.{table.namespace}.{table.name}"

    def _property(self, item: NamespaceRepoint) -> str:
        return f"The property {item.key!r} of namespace {self.name}.{item.namespace}"

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._errors("read"), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # The driver's own message: SQLAlchemy's would add the statement and its parameters.
            cause = error.orig if isinstance(error, DBAPIError) else error
            reason = " ".join(str(cause).split())
            raise CatalogError(
                f"Catalog {self.name!r} ({self._shown}) cannot be {doing}: {reason}.",
                next_move="Check its uri and that nobody else has locked it, then run the same command again.",
            ) from error


def _of_no_kind(connection: sa.Connection, catalog: str) -> list[Neighbour]:
    c = TABLES.c
    query = (
        sa.select(c.table_namespace, c.table_name, c.metadata_location, c.iceberg_type)
        .where(same(c.catalog_name, catalog), c.metadata_location.is_not(None))
        .order_by(c.table_namespace, c.table_name)
    )
    return [
        Neighbour("", catalog, namespace, name, location, f"its iceberg_type is {type_!r}")
        for namespace, name, location, type_ in connection.execute(query)
        if type_ not in _KINDS
    ]


def _neighbours(connection: sa.Connection, schema: str, which: sa.ColumnElement[bool]) -> list[Neighbour]:
    table = sa.table(TABLES.name, *(sa.column(c.name, c.type) for c in TABLES.c), schema=schema or None)
    c = table.c if schema else TABLES.c
    columns = (c.catalog_name, c.table_namespace, c.table_name, c.metadata_location)
    query = sa.select(*columns).where(which, c.metadata_location.is_not(None))
    return [Neighbour(schema, *row) for row in connection.execute(query.order_by(c.catalog_name))]


def _not_swapped(what: str, found: str | None, expected: str, end: str) -> MigratorError:
    """The error for a row that was not changed: it is not as expected, or the database ignores the change. ``end``: the
    last sentence of its message."""
    if found == expected:
        return CatalogError(
            f"{what} is as expected, but the database did not change it. {end}",
            next_move="Look for a trigger or a rule of the database, then run the same command again.",
        )
    now = "is gone" if found is None else f"is {found!r} now"
    return PlanStale(f"{what} {now}; the plan expects {expected!r}. {end}", next_move=PLAN_AGAIN)
