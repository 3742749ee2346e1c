"""The databases of SQL catalogs: SQLite, PostgreSQL and MySQL or MariaDB. This module has their differences.

A URI may hold a password, in any part of it if it is malformed. No message and no engine here shows one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.functions import FunctionElement

from migrator.errors import CatalogError, ConfigError

LOCK_SECONDS = 30
"""How long to wait for another writer's lock, in seconds."""
CONNECT_SECONDS = 10

_LOCKED = (1205, 1213, 3572)
"""MySQL's errors for a lock that another transaction holds: a timeout, a deadlock, NOWAIT."""


def is_sqlite(url: sa.URL) -> bool:
    """True for a catalog in a SQLite file."""
    return url.get_backend_name() == "sqlite"


def is_mysql(url: sa.URL) -> bool:
    """True for MySQL and for MariaDB."""
    return url.get_backend_name() in ("mysql", "mariadb")


def parsed_url(name: str, uri: str) -> sa.URL:
    """The parsed URI of catalog ``name``. Raises ConfigError for an invalid one, without showing it."""
    try:
        url = sa.make_url(uri)
    except (ArgumentError, ValueError):
        raise _bad_uri(name, "is not one that SQLAlchemy understands", "dialect://user@host/database") from None
    if is_sqlite(url):
        plain = url.database and url.database != ":memory:" and not url.database.startswith("file:")
        if not plain or url.host or url.username or url.port:
            raise _bad_uri(name, "names no SQLite file", "sqlite:////absolute/path or sqlite:///relative/path")
    elif url.get_backend_name() != "postgresql" and not is_mysql(url):
        better = "sqlite:///…, postgresql://… or mysql+pymysql://…"
        raise _bad_uri(name, "is not one of SQLite, PostgreSQL, MySQL or MariaDB", better)
    elif "@" in f"{url.host}{url.database}":
        # Everything after the first @ was parsed as host and database, and would be shown.
        raise _bad_uri(name, 'holds an unescaped "@" in its password', "%40 for it")
    elif is_mysql(url) and not url.database:
        raise _bad_uri(name, "names no database", "mysql+pymysql://user@host/database")
    return url


def _bad_uri(name: str, problem: str, better: str) -> ConfigError:
    return ConfigError(f"The uri of catalog {name!r} {problem}.", next_move=f"Write {better}.")


def engine_for(name: str, url: sa.URL, *, write: bool) -> sa.Engine:
    """An engine that cannot write; or, with ``write``, one whose transactions wait for a lock for
    :data:`LOCK_SECONDS`, on SQLite at their start. Raises ConfigError if the driver is not installed."""
    if is_mysql(url):
        return _mysql(name, url, write=write)
    if is_sqlite(url):
        # mode=ro and mode=rw never create the file. The driver must not begin transactions by itself:
        # it would do so too late, after the check that the lock must protect.
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
    # (Host and port stay: SQLAlchemy needs them to make a list of several.)
    hosts = {key: value for key, value in url.query.items() if key in ("host", "port")}
    options = {key: value for key, value in url.query.items() if key not in hosts}
    # Always psycopg2, even if the URI has another driver: SQLAlchemy 2.1 uses psycopg 3 for a bare postgresql://.
    url = url.set(drivername="postgresql+psycopg2", query=hosts)
    try:
        # A connection may be idle for the hours of copying, so it is tested before use.
        return sa.create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS, **options}, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Catalog {name!r} is in PostgreSQL, whose driver psycopg2 is not installed.",
            next_move="pip install 'lake-migrator[postgres]'",
        ) from error


def _mysql(name: str, url: sa.URL, *, write: bool) -> sa.Engine:
    try:
        # Always PyMySQL, even if the URI has another driver. The options go separately: an engine's repr would show
        # them.
        url = url.set(drivername="mysql+pymysql")
        engine = sa.create_engine("mysql+pymysql://", pool_pre_ping=True, isolation_level="REPEATABLE READ")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Catalog {name!r} is in MySQL or MariaDB, whose driver PyMySQL is not installed.",
            next_move="pip install 'lake-migrator[mysql]'",
        ) from error
    sa.event.listen(engine, "do_connect", _connects(name, engine, url))
    statements = [
        f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}, lock_wait_timeout = {LOCK_SECONDS}",
        # Without it, a text that is too long is truncated with only a warning.
        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
        f"SET SESSION TRANSACTION READ {'WRITE' if write else 'ONLY'}",
    ]

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    return engine


def _connects(name: str, engine: sa.Engine, url: sa.URL) -> Callable[..., Any]:
    """A function that connects to ``url``, for an engine without an address. Raises ConfigError for an option that
    the driver does not know."""
    driver: Any = engine.dialect.dbapi
    known = inspect.signature(driver.connections.Connection.__init__).parameters
    try:
        _, options = engine.dialect.create_connect_args(url)
    except ValueError:
        raise _bad_uri(name, "has an option with an unusable value", "the options as PyMySQL knows them") from None
    unknown = sorted(key for key in options if key not in known)
    if unknown:
        raise _bad_uri(name, f"has options that PyMySQL does not know: {', '.join(unknown)}", "it without them")
    # Each swap is one transaction, even if the URI has an option against it. The flag FOUND_ROWS, which counts the rows
    # that match and not only those that change, is SQLAlchemy's.
    options = {"connect_timeout": CONNECT_SECONDS, "charset": "utf8mb4", **options, "autocommit": False}

    def connect(*_: object) -> Any:
        try:
            return driver.connect(**options)
        except (OSError, RuntimeError, TypeError, ValueError) as error:  # of its TLS files, of the package cryptography
            raise driver.OperationalError(str(error)) from None

    return connect


# -- what SQL does differently on MySQL ------------------------------------------------------------------


class _Same(FunctionElement[bool]):
    """``same(a, b)``, which is compiled differently for each dialect."""

    type = sa.Boolean()
    inherit_cache = True


def same(column: sa.ColumnElement[Any], value: str) -> sa.ColumnElement[bool]:
    """A condition: the column is exactly this text.

    MySQL compares by the collation of the column, and most collations ignore case, accents and trailing spaces. There
    the bytes are compared too; the plain comparison stays, for the index.
    """
    return _Same(column, sa.literal(value))


@compiles(_Same)
def _same(element: _Same, compiler: Any, **options: Any) -> str:
    one, other = element.clauses
    return f"({compiler.process(one == other, **options)})"


@compiles(_Same, "mysql")
def _same_on_mysql(element: _Same, compiler: Any, **options: Any) -> str:
    one, other = element.clauses
    return f"({compiler.process((one == other) & (_bytes(one) == _bytes(other)), **options)})"


def _bytes(text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The text in UTF-8, for any character set of its column."""
    return sa.cast(sa.cast(text, mysql.CHAR(charset="utf8mb4")), sa.LargeBinary)


def other_schemas(connection: sa.Connection, table: str) -> list[str]:
    """The other schemas that have such a table; on MySQL, the other databases of the server."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = :name AND c.relkind IN ('r', 'p') AND c.oid <> to_regclass(:name) ORDER BY 1"
        )
    elif connection.dialect.name == "mysql":
        query = (
            "SELECT table_schema FROM information_schema.tables WHERE table_name = :name"
            " AND CAST(table_schema AS BINARY) <> CAST(DATABASE() AS BINARY) ORDER BY 1"
        )
    else:
        return []
    return [schema for (schema,) in connection.execute(sa.text(query), {"name": table})]


def require_transactions(connection: sa.Connection, tables: Collection[str]) -> None:
    """Raises CatalogError if a table has a storage engine of MySQL without transactions, such as MyISAM: a swap that
    fails would not be rolled back."""
    if connection.dialect.name != "mysql":
        return
    query = sa.text(
        "SELECT t.table_name, t.engine FROM information_schema.tables t"
        " LEFT JOIN information_schema.engines e ON e.engine = t.engine"
        " WHERE t.table_schema = DATABASE() AND t.table_name IN :tables AND COALESCE(e.transactions, '') <> 'YES'"
    ).bindparams(sa.bindparam("tables", list(tables), expanding=True))
    for table, engine in connection.execute(query):
        raise CatalogError(
            f"The table {table} has the storage engine {engine or '(none: it is a view)'}, which has no transactions.",
            next_move=f"ALTER TABLE {table} ENGINE=InnoDB",
        )


def is_locked(error: BaseException | None) -> bool:
    """True for an error of the driver that means that another transaction holds a lock."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    arguments = getattr(cause, "args", ())
    if arguments and isinstance(arguments[0], int):  # an error of MySQL
        return arguments[0] in _LOCKED
    return "lock" in str(cause)  # "database is locked", "due to lock timeout"
