"""SQL (JDBC) catalogs on SQLite and PostgreSQL: reads and writes their tables directly.

It does not use pyiceberg's SqlCatalog, which creates missing tables, although planning must
not write, and has no compare-and-swap. Both pyiceberg and Java read and write these tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

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
from migrator.errors import PLAN_AGAIN, CatalogError, ConfigError, PlanBusy, PlanStale

MAX_LOCATION = 1000
"""The longest path, in characters. The columns are VARCHAR(1000): PostgreSQL rejects a longer path, SQLite stores it
without an error."""

LOCK_SECONDS = 30
"""How long to wait for another writer's lock, in seconds."""
CONNECT_SECONDS = 10

_TABLES = sa.table(
    "iceberg_tables",
    sa.column("catalog_name", sa.String),
    sa.column("table_namespace", sa.String),
    sa.column("table_name", sa.String),
    sa.column("metadata_location", sa.String),
    sa.column("previous_metadata_location", sa.String),
    sa.column("iceberg_type", sa.String),  # absent in the V0 schema
)
_PROPERTIES = sa.table(
    "iceberg_namespace_properties",
    sa.column("catalog_name", sa.String),
    sa.column("namespace", sa.String),
    sa.column("property_key", sa.String),
    sa.column("property_value", sa.String),
)
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
        """Connects. Raises ConfigError for a URI that cannot be meant or a missing driver, CatalogError
        if the database cannot be reached or has no catalog in it. Never creates a file or a table."""
        url = _url(name, uri)
        self.name = name
        # The query may hold a password too, and is of no use to a reader.
        self._shown = url.set(query={}).render_as_string(hide_password=True)
        if _is_sqlite(url) and not Path(url.database or "").is_file():
            raise CatalogError(
                f"Catalog {name!r} ({self._shown}) does not exist: there is no such file.",
                next_move="Check its uri; a relative path starts at the current directory.",
            )
        self._reading = _engine(name, url, write=False)
        self._writing = _engine(name, url, write=True)
        try:
            self._typed, self._stores_properties = self._schema()
        except BaseException:
            self.close()
            raise

    def _schema(self) -> tuple[bool, bool]:
        """Whether rows have a type (V1), and whether there are namespace properties."""
        with self._read() as connection:
            inspector = sa.inspect(connection)
            if not inspector.has_table(_TABLES.name):
                raise CatalogError(
                    f"Catalog {self.name!r} ({self._shown}) has no table iceberg_tables.",
                    next_move="Check that its uri names the catalog's database.",
                )
            columns = {column["name"] for column in inspector.get_columns(_TABLES.name)}
            return "iceberg_type" in columns, inspector.has_table(_PROPERTIES.name)

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
        c = _TABLES.c
        kind = c.iceberg_type if self._typed else sa.null()
        query = (
            sa.select(c.table_namespace, c.table_name, c.metadata_location, kind)
            # A row without a location is no table yet; pyiceberg skips it too.
            .where(c.catalog_name == self.name, c.metadata_location.is_not(None))
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
        """Rows with another catalog_name, and, on PostgreSQL, those of other schemas that may be read."""
        with self._read() as connection:
            yield from self._neighbours(connection, "", _TABLES.c.catalog_name != self.name)
            schemas = self._other_schemas(connection)
        for schema in schemas:
            try:
                with self._reading.connect() as connection:
                    yield from self._neighbours(connection, schema, sa.true())
            except SQLAlchemyError:
                continue  # another tenant's schema: not ours to read

    @staticmethod
    def _neighbours(connection: sa.Connection, schema: str, which: sa.ColumnElement[bool]) -> Iterator[Neighbour]:
        table = sa.table(_TABLES.name, *(sa.column(c.name, c.type) for c in _TABLES.c), schema=schema or None)
        c = table.c if schema else _TABLES.c
        columns = (c.catalog_name, c.table_namespace, c.table_name, c.metadata_location)
        query = sa.select(*columns).where(which, c.metadata_location.is_not(None))
        for row in connection.execution_options(stream_results=True).execute(query.order_by(c.catalog_name)):
            yield Neighbour(schema, *row)

    def _other_schemas(self, connection: sa.Connection) -> list[str]:
        """The schemas beside our own that have a table iceberg_tables."""
        if connection.dialect.name != "postgresql":
            return []
        query = (
            "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = :name AND c.relkind IN ('r', 'p') AND c.oid <> to_regclass(:name) ORDER BY 1"
        )
        return [schema for (schema,) in connection.execute(sa.text(query), {"name": _TABLES.name})]

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """See :class:`Catalog`; empty if the database has no table for them."""
        if not self._stores_properties:
            return []
        c = _PROPERTIES.c
        query = (
            sa.select(c.namespace, c.property_key, c.property_value)
            .where(c.catalog_name == self.name, c.property_value.is_not(None))
            .order_by(c.namespace, c.property_key)
        )
        with self._read() as connection:
            return [(namespace, key, value) for namespace, key, value in connection.execute(query)]

    def current(self, namespace: str, name: str) -> str | None:
        """See :class:`Catalog`."""
        query = sa.select(_TABLES.c.metadata_location).where(self._named(namespace, name))
        with self._read() as connection:
            location: str | None = connection.execute(query).scalar()
        return location

    # -- the swap ------------------------------------------------------------------------------------

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """One transaction over everything: a single miss rolls all of it back. See :class:`Catalog`."""
        for table in tables:
            self._require_short(self._pointer(table), table.new)
        for item in namespaces:
            self._require_short(self._property(item), item.new)
        with self._errors("re-pointed"), self._writing.begin() as connection:
            for table in tables:
                self._swap_pointer(connection, table)
            for item in namespaces:
                self._swap_property(connection, item)

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Set one of the pointers to what it is, in a transaction that is rolled back. See :class:`Catalog`."""
        if not tables:
            return
        location = _TABLES.c.metadata_location
        row = self._named(tables[0].namespace, tables[0].name)
        update = sa.update(_TABLES).values(metadata_location=location).where(row)
        try:
            with self._errors("written to"), self._writing.connect() as connection:
                connection.execute(update)
                connection.rollback()
        except CatalogError as error:
            if "lock" in error.message.rpartition(": ")[2]:  # "database is locked", "due to lock timeout"
                raise PlanBusy(error.message, next_move="Plan again when nobody else writes to it.") from error
            raise

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        named = {"catalog_name": self.name, "table_namespace": namespace, "table_name": name}
        where = " AND ".join(f"{column} = {sql_literal(value)}" for column, value in named.items())
        update = f"UPDATE iceberg_tables SET metadata_location = {sql_literal(metadata_location)} WHERE {where};"  # noqa: S608
        return f"point the catalog at it and plan again: {update}"

    def _swap_pointer(self, connection: sa.Connection, table: Repoint) -> None:
        row = self._named(table.namespace, table.name)
        if self._typed:
            type_ = _TABLES.c.iceberg_type
            row &= type_ == "VIEW" if table.kind == VIEW else (type_ == "TABLE") | type_.is_(None)
        values = {"metadata_location": table.new, "previous_metadata_location": table.expected}
        swap = sa.update(_TABLES).values(values).where(row, _TABLES.c.metadata_location == table.expected)
        if not self._swapped(connection, swap, self._pointer(table)):
            found = connection.execute(sa.select(_TABLES.c.metadata_location).where(row)).scalar()
            self._require_done(self._pointer(table), found, table)

    def _swap_property(self, connection: sa.Connection, item: NamespaceRepoint) -> None:
        c = _PROPERTIES.c
        row = (c.catalog_name == self.name) & (c.namespace == item.namespace) & (c.property_key == item.key)
        swap = sa.update(_PROPERTIES).values({"property_value": item.new}).where(row, c.property_value == item.expected)
        if not self._swapped(connection, swap, self._property(item)):
            found = connection.execute(sa.select(c.property_value).where(row)).scalar()
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
        """Accept what an earlier, interrupted run has swapped already; anything else is stale."""
        if found == asked.new:
            return
        now = "is gone; the plan expects" if found is None else f"is {found!r} now; the plan expects"
        raise PlanStale(
            f"{what} {now} {asked.expected!r}. Nothing in catalog {self.name!r} was changed.",
            next_move=PLAN_AGAIN,
        )

    def _require_short(self, what: str, new: str) -> None:
        if len(new) > MAX_LOCATION:
            raise CatalogError(
                f"{what} would get {len(new):,} characters; a SQL catalog holds {MAX_LOCATION:,}."
                f" Nothing in catalog {self.name!r} was changed.",
                next_move="Choose a shorter target prefix and plan again.",
            )

    # -- small things --------------------------------------------------------------------------------

    def _named(self, namespace: str, name: str) -> sa.ColumnElement[bool]:
        c = _TABLES.c
        return (c.catalog_name == self.name) & (c.table_namespace == namespace) & (c.table_name == name)

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
            # The driver's own words: SQLAlchemy's would add the statement and its parameters.
            cause = error.orig if isinstance(error, DBAPIError) else error
            reason = " ".join(str(cause).split())
            raise CatalogError(
                f"Catalog {self.name!r} ({self._shown}) cannot be {doing}: {reason}.",
                next_move="Check its uri and that nobody else holds it, then run the same command again.",
            ) from error


def _is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _url(name: str, uri: str) -> sa.URL:
    """The parsed URI. Its errors do not show it: in a malformed URI any part may be the password."""
    try:
        url = sa.make_url(uri)
    except (ArgumentError, ValueError):
        raise _bad_uri(name, "is not one that SQLAlchemy understands", "dialect://user@host/database") from None
    if _is_sqlite(url):
        plain = url.database and url.database != ":memory:" and not url.database.startswith("file:")
        if not plain or url.host or url.username or url.port:
            raise _bad_uri(name, "names no SQLite file", "sqlite:////absolute/path or sqlite:///relative/path")
    elif url.get_backend_name() != "postgresql":
        raise _bad_uri(name, "is neither of SQLite nor of PostgreSQL", "sqlite:///… or postgresql://…")
    elif "@" in f"{url.host}{url.database}":
        # Everything after the first @ was taken for host and database, and would be shown.
        raise _bad_uri(name, 'holds an unescaped "@" in its password', "%40 for it")
    return url


def _bad_uri(name: str, problem: str, better: str) -> ConfigError:
    return ConfigError(f"The uri of catalog {name!r} {problem}.", next_move=f"Write {better}.")


def _engine(name: str, url: sa.URL, *, write: bool) -> sa.Engine:
    """An engine that cannot write; or, with ``write``, one whose transactions take their lock, or wait for it, at their
    start."""
    if _is_sqlite(url):
        # mode=ro and mode=rw never create the file. The driver must not begin transactions by itself:
        # it would do so too late, after the check that the lock is there to protect.
        query = {"timeout": str(LOCK_SECONDS), "mode": "rw" if write else "ro", "uri": "true"}
        url = url.set(drivername="sqlite", database=f"file:{quote(url.database or '')}", query=query)
        engine = sa.create_engine(url, poolclass=NullPool, connect_args={"isolation_level": None})
        begin = "BEGIN IMMEDIATE"
    else:
        engine = _postgres(name, url).execution_options(postgresql_readonly=not write)
        begin = f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"
    if write:
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _postgres(name: str, url: sa.URL) -> sa.Engine:
    # libpq takes passwords in the query too, and an engine's repr would show them: they go separately.
    # (Not host and port: these SQLAlchemy must see, to make a list of several.)
    hosts = {key: value for key, value in url.query.items() if key in ("host", "port")}
    options = {key: value for key, value in url.query.items() if key not in hosts}
    # psycopg2 always, whatever the URI says: SQLAlchemy 2.1 takes a bare postgresql:// for psycopg 3.
    url = url.set(drivername="postgresql+psycopg2", query=hosts)
    try:
        # A connection may idle for the hours that copying takes: hence the ping.
        return sa.create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS, **options}, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Catalog {name!r} is in PostgreSQL, whose driver psycopg2 is not installed.",
            next_move="pip install 'lake-migrator[postgres]'",
        ) from error
