"""SQL catalogs, on SQLite and on PostgreSQL. pyiceberg's own SqlCatalog writes before a swap and reads after it."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pyiceberg.catalog.sql import SqlCatalog as PyicebergCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from sqlalchemy.pool import NullPool

import migrator.catalogs.databases as databases
from migrator.catalogs import CatalogTable, NamespaceRepoint, Repoint
from migrator.catalogs.base import Neighbour
from migrator.catalogs.sql import MAX_LOCATION, SqlCatalog
from migrator.errors import CatalogError, ConfigError, MigratorError, PlanBusy, PlanStale
from postgres import PASSWORD

SCHEMA = Schema(NestedField(1, "id", LongType(), required=True))
STALE = 'Run "migrator plan" again.'

V1_INSERT = (
    "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)"
    " VALUES (:c, :ns, :t, :at, :type)"
)
V0_INSERT = (
    "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location)"
    " VALUES (:c, :ns, :t, :at)"
)
V0 = """
CREATE TABLE iceberg_tables (
  catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL,
  table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000),
  previous_metadata_location VARCHAR(1000),
  PRIMARY KEY (catalog_name, table_namespace, table_name))
"""


def execute(uri: str, statement: str, **values: object) -> list[tuple[Any, ...]]:
    with sa.create_engine(uri, poolclass=NullPool).begin() as connection:
        result = connection.execute(sa.text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def rows(uri: str) -> dict[str, tuple[object, object]]:
    """Table name → (metadata_location, previous_metadata_location)."""
    query = "SELECT table_name, metadata_location, previous_metadata_location FROM iceberg_tables"
    return {str(name): (now, before) for name, now, before in execute(uri, query)}


def properties(uri: str) -> dict[str, object]:
    query = "SELECT namespace, property_key, property_value FROM iceberg_namespace_properties"
    return {f"{ns}:{key}": value for ns, key, value in execute(uri, query)}


@contextmanager
def pyiceberg(uri: str, warehouse: Path, name: str = "lake") -> Iterator[PyicebergCatalog]:
    catalog = PyicebergCatalog(name, uri=uri, warehouse=f"file://{warehouse}")
    try:
        yield catalog
    finally:
        catalog.engine.dispose()


@contextmanager
def opened(uri: str, name: str = "lake") -> Iterator[SqlCatalog]:
    with closing(SqlCatalog(name, uri)) as catalog:
        yield catalog


@pytest.fixture
def lake(database: str, tmp_path: Path) -> str:
    """Two real tables in a nested namespace with a location, and a table of another catalog in the same database."""
    with pyiceberg(database, tmp_path / "old") as catalog:
        catalog.create_namespace("sales", {"location": f"file://{tmp_path}/old/sales"})
        catalog.create_namespace("sales.eu", {"owner": "me"})
        catalog.create_table("sales.orders", SCHEMA)
        catalog.create_table("sales.eu.customers", SCHEMA)
    with pyiceberg(database, tmp_path / "other", name="other") as catalog:
        catalog.create_namespace("sales")
        catalog.create_table("sales.orders", SCHEMA)
    return database


def moved(table: CatalogTable, tmp_path: Path) -> Repoint:
    """Copy the table's metadata to a new place, as a migration does, and return the new location."""
    new = table.metadata_location.replace("/old/", "/new/")
    text = Path(table.metadata_location.removeprefix("file://")).read_text()
    file = Path(new.removeprefix("file://"))
    file.parent.mkdir(parents=True)
    file.write_text(text.replace(f"{tmp_path}/old/", f"{tmp_path}/new/"))
    return Repoint(table.namespace, table.name, table.metadata_location, new)


# -- reading ---------------------------------------------------------------------------------------------


def test_reads_what_pyiceberg_wrote_and_only_this_catalogs_rows(lake: str, tmp_path: Path) -> None:
    with pyiceberg(lake, tmp_path / "old") as theirs:
        expected = {
            "lake.sales.eu.customers": theirs.load_table("sales.eu.customers").metadata_location,
            "lake.sales.orders": theirs.load_table("sales.orders").metadata_location,
        }
    with opened(lake) as catalog:
        tables = catalog.tables()
        assert {t.identifier: t.metadata_location for t in tables} == expected
        assert [(t.namespace, t.name, t.kind) for t in tables] == [
            ("sales", "orders", "table"),
            ("sales.eu", "customers", "table"),
        ]
        assert catalog.current("sales.eu", "customers") == expected["lake.sales.eu.customers"]
        assert catalog.current("sales", "customers") is None
        stored = catalog.namespace_properties()
        assert ("sales", "location", f"file://{tmp_path}/old/sales") in stored
        assert ("sales.eu", "owner", "me") in stored
        assert catalog.kind == "sql"
    with opened(lake, "nobody") as catalog:
        assert (catalog.tables(), catalog.namespace_properties()) == ([], [])


def test_the_tables_of_other_catalogs_and_schemas_in_the_same_database(database: str) -> None:
    execute(database, V0)
    execute(database, V0_INSERT, c="lake", ns="db", t="ours", at="s3://b/1")
    execute(database, V0_INSERT, c="trino", ns="db", t="theirs", at="s3://b/2")
    execute(database, V0_INSERT, c="trino", ns="db", t="staged", at=None)
    expected = [Neighbour("", "trino", "db", "theirs", "s3://b/2")]
    if not database.startswith("sqlite"):  # schemas of MySQL are databases of the server, which the tests share
        own = f"{sa.make_url(database).database}_" if database.startswith("mysql") else ""
        execute(database, f"CREATE SCHEMA {own}archive")
        execute(database, V0.replace("CREATE TABLE ", f"CREATE TABLE {own}archive."))
        insert = V0_INSERT.replace("INSERT INTO ", f"INSERT INTO {own}archive.")
        execute(database, insert, c="lake", ns="db", t="old", at="s3://b/3")
        execute(database, f"CREATE SCHEMA {own}odd")
        execute(database, f"CREATE TABLE {own}odd.iceberg_tables (nothing INTEGER)")  # another schema of that name
        expected.append(Neighbour(f"{own}archive", "lake", "db", "old", "s3://b/3"))
    with opened(database) as catalog:
        others = [n for n in catalog.neighbours() if n.schema in {e.schema for e in expected}]
        assert others == expected if database.startswith("mysql") else list(catalog.neighbours()) == expected


def test_others_can_write_while_the_neighbours_are_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    execute(f"sqlite:///{file}", V0)
    for number in range(300):  # more than one fetch of rows
        execute(f"sqlite:///{file}", V0_INSERT, c="trino", ns="db", t=f"t{number:03}", at="s3://b/2")
    with opened(f"sqlite:///{file}") as catalog:
        neighbours = catalog.neighbours()
        names = [next(neighbours).name]
        with closing(sqlite3.connect(file, timeout=0)) as other, other:
            other.execute("UPDATE iceberg_tables SET metadata_location = 's3://b/3'")
        names += [neighbour.name for neighbour in neighbours]
        assert names == [f"t{number:03}" for number in range(300)]


def test_tells_views_from_tables_and_leaves_out_what_has_no_location(lake: str) -> None:
    execute(lake, V1_INSERT, c="lake", ns="sales", t="a_view", at="s3://a/v.json", type="VIEW")
    execute(lake, V1_INSERT, c="lake", ns="sales", t="b_untyped", at="s3://a/t.json", type=None)
    execute(lake, V1_INSERT, c="lake", ns="sales", t="c_empty", at=None, type="TABLE")
    execute(lake, V1_INSERT, c="lake", ns="sales", t="d_alien", at="s3://a/x", type="INDEX")
    with opened(lake) as catalog:
        kinds = {t.name: t.kind for t in catalog.tables()}
        assert kinds == {"orders": "table", "customers": "table", "a_view": "view", "b_untyped": "table"}
        assert catalog.current("sales", "a_view") == "s3://a/v.json"
        assert catalog.current("sales", "c_empty") is None
        # Another implementation of the catalog may read it, so the user must know that it stays.
        (alien,) = [n for n in catalog.neighbours() if n.catalog == "lake" and not n.schema]
        assert (alien.name, alien.metadata_location, "'INDEX'" in alien.reason) == ("d_alien", "s3://a/x", True)


def test_names_are_bound_parameters_of_statements(lake: str) -> None:
    evil = "x'; DROP TABLE iceberg_tables; --"
    execute(lake, V1_INSERT, c="lake", ns=evil, t='"%s %(a)s :b', at="s3://a/1", type="TABLE")
    with opened(lake) as catalog:
        catalog.repoint([Repoint(evil, '"%s %(a)s :b', "s3://a/1", "s3://b/%(x)s:y")], [])
        assert catalog.current(evil, '"%s %(a)s :b') == "s3://b/%(x)s:y"
        with pytest.raises(PlanStale):
            catalog.repoint([Repoint("sales", evil, "s3://a/1", "s3://b/1")], [])
        assert len(catalog.tables()) == 3


# -- the swap --------------------------------------------------------------------------------------------


def test_pyiceberg_reads_the_new_place_after_the_swap(lake: str, tmp_path: Path) -> None:
    location = NamespaceRepoint("sales", "location", f"file://{tmp_path}/old/sales", f"file://{tmp_path}/new/sales")
    others = rows_of_other(lake)
    with opened(lake) as catalog:
        swaps = [moved(table, tmp_path) for table in catalog.tables()]
        catalog.repoint(swaps, [location])
        assert [t.metadata_location for t in catalog.tables()] == [s.new for s in swaps]
    with pyiceberg(lake, tmp_path / "new") as theirs:
        table = theirs.load_table("sales.eu.customers")
        assert table.metadata_location == swaps[1].new
        assert table.location().startswith(f"file://{tmp_path}/new/")
        assert theirs.load_namespace_properties("sales")["location"] == location.new
        assert theirs.create_table("sales.later", SCHEMA).location() == f"{location.new}/later"
    previous = execute(
        lake,
        "SELECT previous_metadata_location FROM iceberg_tables"
        " WHERE catalog_name = 'lake' AND table_name <> 'later' ORDER BY table_namespace",
    )
    assert [p[0] for p in previous] == [s.expected for s in swaps]
    assert rows_of_other(lake) == others


def rows_of_other(uri: str) -> list[tuple[Any, ...]]:
    return execute(uri, "SELECT * FROM iceberg_tables WHERE catalog_name = 'other'")


def test_asking_again_after_an_interruption_changes_nothing(lake: str) -> None:
    with opened(lake) as catalog:
        first, second = (
            Repoint(t.namespace, t.name, t.metadata_location, f"s3://b/{t.name}") for t in catalog.tables()
        )
        owner = NamespaceRepoint("sales.eu", "owner", "me", "you")
        catalog.repoint([first], [owner])
        catalog.repoint([first, second], [owner])
        done = rows(lake)
        catalog.repoint([first, second], [owner])
        assert rows(lake) == done
    assert done["customers"] == (second.new, second.expected)
    assert properties(lake)["sales.eu:owner"] == "you"


def test_the_reverse_swap_rolls_back_and_refuses_after_a_commit(lake: str) -> None:
    with opened(lake) as catalog:
        table = catalog.tables()[0]
        there = Repoint("sales", "orders", table.metadata_location, "s3://b/new")
        back = Repoint("sales", "orders", there.new, there.expected)
        catalog.repoint([there], [])
        catalog.repoint([back], [])
        assert catalog.current("sales", "orders") == table.metadata_location
        catalog.repoint([there], [])
        catalog.repoint([Repoint("sales", "orders", "s3://b/new", "s3://b/committed")], [])
        with pytest.raises(PlanStale):
            catalog.repoint([back], [])
        assert catalog.current("sales", "orders") == "s3://b/committed"


@pytest.mark.parametrize("miss", ["moved-on", "gone", "view", "property", "no-property"])
def test_a_single_miss_rolls_everything_back(lake: str, miss: str) -> None:
    with opened(lake) as catalog:
        tables = [Repoint(t.namespace, t.name, t.metadata_location, f"s3://b/{t.name}") for t in catalog.tables()]
        namespaces = [NamespaceRepoint("sales.eu", "owner", "me", "you")]
        match miss:
            case "moved-on":
                tables.append(Repoint("sales", "orders", "s3://a/planned", "s3://b/other"))
                shown = ["lake.sales.orders", "'s3://a/planned'", "'s3://b/orders'"]
            case "gone":
                tables.append(Repoint("sales", "dropped", "s3://a/planned", "s3://b/dropped"))
                shown = ["lake.sales.dropped", "gone", "'s3://a/planned'"]
            case "view":
                execute(lake, V1_INSERT, c="lake", ns="sales", t="v", at="s3://a/v", type="VIEW")
                tables.append(Repoint("sales", "v", "s3://a/v", "s3://b/v", "table"))
                shown = ["lake.sales.v", "gone"]
            case "property":
                namespaces.append(NamespaceRepoint("sales.eu", "owner", "them", "us"))
                shown = ["'owner'", "lake.sales.eu", "'them'", "'you'"]
            case _:
                namespaces.append(NamespaceRepoint("sales", "none", "s3://a", "s3://b"))
                shown = ["'none'", "lake.sales", "gone", "'s3://a'"]
        before = rows(lake), properties(lake)
        with pytest.raises(PlanStale) as caught:
            catalog.repoint(tables, namespaces)
        assert caught.value.next_move == STALE
        assert all(part in str(caught.value) for part in shown), str(caught.value)
        assert (rows(lake), properties(lake)) == before


def test_a_database_that_ignores_the_change_asks_for_no_new_plan(tmp_path: Path) -> None:
    """A trigger, for example. A new plan would end in the same way."""
    uri = f"sqlite:///{tmp_path / 'catalog.db'}"
    execute(uri, V0)
    execute(uri, "INSERT INTO iceberg_tables VALUES ('lake', 'db', 't', 's3://a/1', NULL)")
    execute(uri, "CREATE TRIGGER mute BEFORE UPDATE ON iceberg_tables BEGIN SELECT RAISE(IGNORE); END")
    with opened(uri) as catalog:
        with pytest.raises(CatalogError, match="the database did not change it") as caught:
            catalog.repoint([Repoint("db", "t", "s3://a/1", "s3://b/1")], [])
        assert STALE not in str(caught.value) and catalog.current("db", "t") == "s3://a/1"


def test_repoints_views(lake: str) -> None:
    execute(lake, V1_INSERT, c="lake", ns="sales", t="v", at="s3://a/v", type="VIEW")
    with opened(lake) as catalog:
        catalog.repoint([Repoint("sales", "v", "s3://a/v", "s3://b/v", "view")], [])
        assert catalog.current("sales", "v") == "s3://b/v"
        with pytest.raises(PlanStale):
            orders = next(t for t in catalog.tables() if t.name == "orders")
            catalog.repoint([Repoint("sales", "orders", orders.metadata_location, "s3://b", "view")], [])


def test_too_long_a_path_is_refused_before_anything_changes(lake: str) -> None:
    with opened(lake) as catalog:
        first, second = (Repoint(t.namespace, t.name, t.metadata_location, "s3://b/x") for t in catalog.tables())
        before = rows(lake)
        long = "s3://b/" + "x" * (MAX_LOCATION - 6)
        with pytest.raises(CatalogError, match=r"lake\.sales\.eu\.customers would get 1,001 characters"):
            catalog.repoint([first, Repoint(second.namespace, second.name, second.expected, long)], [])
        with pytest.raises(CatalogError, match="'owner' of namespace"):
            catalog.repoint([first], [NamespaceRepoint("sales.eu", "owner", "me", long)])
        assert rows(lake) == before
        catalog.repoint([Repoint(first.namespace, first.name, first.expected, long[:-1])], [])
        assert catalog.current(first.namespace, first.name) == long[:-1]


def test_a_row_without_a_primary_key_stored_twice_is_refused(database: str) -> None:
    execute(database, V0.split(",\n  PRIMARY KEY")[0] + ")")
    for _ in range(2):
        execute(database, V0_INSERT, c="lake", ns="db", t="t", at="s3://a/1")
    with opened(database) as catalog:
        with pytest.raises(CatalogError, match="stored 2 times"):
            catalog.repoint([Repoint("db", "t", "s3://a/1", "s3://b/1")], [])
        assert catalog.current("db", "t") == "s3://a/1"


def test_the_v0_schema_without_namespace_properties(database: str) -> None:
    execute(database, V0)
    execute(database, V0_INSERT, c="lake", ns="db", t="t", at="s3://a/1")
    with opened(database) as catalog:
        assert catalog.tables() == [CatalogTable("lake", "db", "t", "s3://a/1", "table")]
        assert catalog.namespace_properties() == []
        catalog.repoint([Repoint("db", "t", "s3://a/1", "s3://b/1")], [])
        with pytest.raises(CatalogError, match="iceberg_namespace_properties"):
            catalog.repoint([Repoint("db", "t", "s3://b/1", "s3://c/1")], [NamespaceRepoint("db", "k", "1", "2")])
    assert rows(database) == {"t": ("s3://b/1", "s3://a/1")}
    columns = sa.create_engine(database, poolclass=NullPool)
    assert [t for t in sa.inspect(columns).get_table_names() if t.startswith("iceberg")] == ["iceberg_tables"]


def test_only_one_of_many_concurrent_swaps_succeeds(lake: str) -> None:
    """Every thread expects the same old pointer: exactly one may swap it."""
    with opened(lake) as catalog:
        old = catalog.tables()[0].metadata_location
        outcomes: list[str] = []
        start = threading.Barrier(8)

        def swap(number: int) -> None:
            start.wait()
            try:
                catalog.repoint([Repoint("sales", "orders", old, f"s3://b/{number}")], [])
                outcomes.append(f"s3://b/{number}")
            except PlanStale:
                pass

        threads = [threading.Thread(target=swap, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == [catalog.current("sales", "orders")]


def test_gives_up_when_somebody_else_holds_the_row(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "LOCK_SECONDS", 1)
    hold = "UPDATE iceberg_tables SET table_name = table_name"
    with opened(lake) as catalog:
        table = catalog.tables()[0]
        before = rows(lake)
        with sa.create_engine(lake, poolclass=NullPool).connect() as holder:
            holder.execute(sa.text(hold))
            assert catalog.current("sales", "orders") == table.metadata_location  # reading does not wait
            with pytest.raises(CatalogError, match=r"cannot be re-pointed: .*[Ll]ock"):
                catalog.repoint([Repoint("sales", "orders", table.metadata_location, "s3://b")], [])
        assert rows(lake) == before


# -- opening ---------------------------------------------------------------------------------------------


def test_a_database_without_a_catalog(database: str, tmp_path: Path) -> None:
    execute(database, "CREATE TABLE something (x INTEGER)")
    with pytest.raises(CatalogError, match="has no table iceberg_tables"):
        SqlCatalog("lake", database)
    engine = sa.create_engine(database, poolclass=NullPool)
    assert sa.inspect(engine).get_table_names() == ["something"]


def test_a_missing_sqlite_file_is_not_created(tmp_path: Path) -> None:
    file = tmp_path / "none.db"
    with pytest.raises(CatalogError, match="does not exist"):
        SqlCatalog("lake", f"sqlite:///{file}")
    assert list(tmp_path.iterdir()) == []


def test_a_sqlite_file_that_vanishes_is_not_created_by_the_swap(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    execute(f"sqlite:///{file}", V0)
    with opened(f"sqlite:///{file}") as catalog:
        file.unlink()
        with pytest.raises(CatalogError, match="unable to open"):
            catalog.tables()
        with pytest.raises(CatalogError, match="unable to open"):
            catalog.repoint([Repoint("db", "t", "a", "b")], [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    file.write_text("not a database, but long enough to look at" * 50)
    with pytest.raises(CatalogError, match="not a database"):
        SqlCatalog("lake", f"sqlite:///{file}")


def test_reading_sqlite_neither_writes_nor_locks(tmp_path: Path) -> None:
    odd = tmp_path / "a b%41#ü"  # each of these means something in a URI
    odd.mkdir()
    file = odd / "catalog.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute(V0)
    uri = sa.URL.create("sqlite", database=str(file)).render_as_string()
    before = hashlib.sha256(file.read_bytes()).digest()
    with opened(uri) as catalog, closing(sqlite3.connect(file, timeout=0)) as writer:
        assert catalog.tables() == []
        writer.execute("BEGIN EXCLUSIVE")  # would fail at once if the reader held a lock
        writer.rollback()
        with pytest.raises(sa.exc.OperationalError, match="readonly"), catalog._reading.connect() as reader:
            reader.exec_driver_sql("DELETE FROM iceberg_tables")
    assert hashlib.sha256(file.read_bytes()).digest() == before
    assert list(odd.iterdir()) == [file]


def test_reading_postgres_cannot_write(postgres_database: str) -> None:
    execute(postgres_database, V0)
    with opened(postgres_database) as catalog:
        with pytest.raises(sa.exc.InternalError, match="read-only"), catalog._reading.connect() as reader:
            reader.exec_driver_sql("DELETE FROM iceberg_tables")
        catalog.repoint([], [])


def test_a_bare_postgresql_uri_means_psycopg2(postgres_database: str) -> None:
    execute(postgres_database, V0)
    with opened(postgres_database.replace("+psycopg2", "")) as catalog:
        assert catalog.tables() == []
        assert catalog.describe().startswith("sql postgresql://lake:***@127.0.0.1:")


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ConfigError, match=r"pip install 'lake-migrator\[postgres\]'"):
        SqlCatalog("lake", "postgresql://lake:secret@127.0.0.1/x")


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_errors_and_descriptions_never_show_a_password(server: str, request: pytest.FixtureRequest) -> None:
    database: str = request.getfixturevalue(f"{server}_database")
    url = sa.make_url(database)
    wrong = url.set(password="wr0ng-secret", query={"password": "wr0ng-secret"})
    unreachable = url.set(port=1)
    elsewhere = url.set(database="not-there")
    for bad in (wrong, unreachable, elsewhere):
        with pytest.raises(CatalogError) as caught:
            SqlCatalog("lake", bad.render_as_string(hide_password=False))
        _assert_no_secret(caught.value)
        assert ":***@" in str(caught.value)
    execute(database, V0)
    with opened(
        f"{database}?password={PASSWORD}&{'application_name=x' if server == 'postgres' else 'read_timeout=60'}"
    ) as catalog:
        assert catalog.describe() == f"sql {url.render_as_string(hide_password=True)}"
        assert PASSWORD not in f"{catalog!r} {catalog._reading!r} {catalog._writing!r}"
        execute(database, "DROP TABLE iceberg_tables")
        with pytest.raises(CatalogError) as caught:
            catalog.repoint([Repoint("db", "t", "a", "b")], [])
        _assert_no_secret(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://lake:wr0ng@wr0ng-secret@host/db",
        "postgresql://lake:x@wr0ng-secret/y@host/db",
        "postgresql://lake:x@y:wr0ng-secret@host/db",
        "postgresql://lake:wr0ng-secret",
        "wr0ng-secret",
        "jdbc:postgresql://host/db?password=wr0ng-secret",
        "oracle://lake:wr0ng-secret@host/db",
        "mysql://lake:wr0ng@wr0ng-secret@host/db",
        "mysql://lake:wr0ng-secret@host",
        "mysql+pymysql://lake@host/db?passphrase=wr0ng-secret",
        "mysql+pymysql://lake:wr0ng-secret@host/db?connect_timeout=wr0ng",
        "sqlite://lake:wr0ng-secret@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://catalog.db",
        "sqlite:///file:catalog.db?uri=true",
    ],
)
def test_a_malformed_uri_is_never_shown(uri: str) -> None:
    with pytest.raises(ConfigError, match="The uri of catalog 'lake'") as caught:
        SqlCatalog("lake", uri)
    _assert_no_secret(caught.value)


def _assert_no_secret(error: BaseException | None) -> None:
    """Neither in the message nor in that of any error that a traceback would show with it."""
    if isinstance(error, MigratorError):
        assert "lake" in str(error)
    while error is not None:
        for secret in (PASSWORD, "wr0ng"):
            assert secret not in f"{error} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_how_to_adopt_is_a_statement_that_points_the_table_there(lake: str) -> None:
    with closing(SqlCatalog("lake", lake)) as catalog:
        table = catalog.tables()[0]
        new = "s3://b/it's/new.metadata.json"
        advice = catalog.how_to_adopt(table.namespace, table.name, new)
        statement = advice.partition("UPDATE")
        assert advice.startswith("point the catalog at it and plan again: UPDATE ") and advice.endswith(";")
        engine = sa.create_engine(lake)
        with engine.begin() as connection:
            assert connection.exec_driver_sql(f"UPDATE{statement[2]}").rowcount == 1
        engine.dispose()
        assert catalog.current(table.namespace, table.name) == new


# -- MySQL and MariaDB -----------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("s3://b/Orders", "s3://b/orders"),
        ("s3://b/orders ", "s3://b/orders"),
        ("s3://b/orders", "s3://b/orders "),
        ("s3://b/café", "s3://b/cafe"),
    ],
)
def test_mysql_takes_no_other_pointer_for_the_expected_one(
    mariadb_database: str, charset: str, asked: str, stored: str
) -> None:
    """By the default collation of MySQL, each two of these are equal."""
    execute(mariadb_database, V0 + f"CHARACTER SET {charset}")
    execute(mariadb_database, V0_INSERT, c="lake", ns="db", t="t", at=stored)
    (count,) = execute(mariadb_database, "SELECT count(*) FROM iceberg_tables WHERE metadata_location = :x", x=asked)
    assert count == (1,)
    with opened(mariadb_database) as catalog:
        with pytest.raises(PlanStale, match=r"is .* now"):
            catalog.repoint([Repoint("db", "t", asked, "s3://c/1")], [])
        with pytest.raises(PlanStale, match=r"is .* now"):
            catalog.repoint([Repoint("db", "t", "s3://a/1", asked)], [])  # nor for the new one
        catalog.repoint([Repoint("db", "t", stored, asked)], [])
        assert catalog.current("db", "t") == asked


def test_mysql_takes_no_other_name_for_the_asked_one(mariadb_database: str) -> None:
    execute(mariadb_database, V0)
    with pyiceberg(mariadb_database, Path("/nowhere"), name="lake") as theirs:
        theirs.create_namespace("Db", {"Location": "s3://b/db"})
    for catalog_name, namespace in (("LAKE", "other"), ("lake", "Db")):
        execute(mariadb_database, V0_INSERT, c=catalog_name, ns=namespace, t="T", at="s3://b/1")
    with opened(mariadb_database) as catalog:
        assert [t.identifier for t in catalog.tables()] == ["lake.Db.T"]
        assert [n.catalog for n in catalog.neighbours() if not n.schema] == ["LAKE"]
        assert catalog.current("Db", "T") == "s3://b/1"
        for namespace, name in (("db", "T"), ("Db", "t"), ("Db", "T "), ("other", "T")):
            assert catalog.current(namespace, name) is None
            with pytest.raises(PlanStale, match="is gone"):
                catalog.repoint([Repoint(namespace, name, "s3://b/1", "s3://c/1")], [])
        with pytest.raises(PlanStale, match="is gone"):
            catalog.repoint([], [NamespaceRepoint("Db", "location", "s3://b/db", "s3://c/db")])
        catalog.repoint([], [NamespaceRepoint("Db", "Location", "s3://b/db", "s3://c/db")])
    assert set(rows(mariadb_database).values()) == {("s3://b/1", None)}
    assert properties(mariadb_database)["Db:Location"] == "s3://c/db"


def test_a_swap_to_the_same_place_counts_as_a_match_on_mysql(mariadb_database: str) -> None:
    """The driver could also count only the rows that change."""
    execute(mariadb_database, V0)
    execute(mariadb_database, V0_INSERT, c="lake", ns="db", t="t", at="s3://b/1")
    with opened(mariadb_database) as catalog, catalog._writing.begin() as connection:
        assert connection.exec_driver_sql("UPDATE iceberg_tables SET table_name = table_name").rowcount == 1


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("table", ["iceberg_tables", "iceberg_namespace_properties"])
def test_a_storage_engine_without_transactions_is_refused(lake: str, table: str) -> None:
    # The keys of these tables are too long for MyISAM in this character set.
    execute(lake, f"ALTER TABLE {table} CONVERT TO CHARACTER SET latin1")
    execute(lake, f"ALTER TABLE {table} ENGINE=MyISAM")
    before = rows(lake)
    with opened(lake) as catalog:
        asked = [Repoint(t.namespace, t.name, t.metadata_location, "s3://b/new") for t in catalog.tables()]
        for refused in (catalog.check_repoint, catalog.repoint):
            with pytest.raises(CatalogError, match=f"{table} has the storage engine MyISAM") as caught:
                refused(asked, [])
            assert caught.value.next_move == f"ALTER TABLE {table} ENGINE=InnoDB"
    assert rows(lake) == before


def test_mysql_cuts_nothing_off(mariadb_database: str) -> None:
    execute(mariadb_database, V0.replace("metadata_location VARCHAR(1000)", "metadata_location VARCHAR(20)"))
    execute(mariadb_database, V0_INSERT, c="lake", ns="db", t="t", at="s3://b/1")
    with opened(f"{mariadb_database}?init_command=SET+sql_mode%3D%27%27") as catalog:
        with pytest.raises(CatalogError, match="too long"):
            catalog.repoint([Repoint("db", "t", "s3://b/1", "s3://b/" + "x" * 20)], [])
        assert catalog.current("db", "t") == "s3://b/1"


def test_reading_mysql_cannot_write(mariadb_database: str) -> None:
    execute(mariadb_database, V0)
    with opened(f"{mariadb_database}?autocommit=true") as catalog:
        with pytest.raises(sa.exc.SQLAlchemyError, match="READ ONLY"), catalog._reading.connect() as reader:
            reader.exec_driver_sql("DELETE FROM iceberg_tables")
        with catalog._writing.connect() as writer:  # there is a transaction, for any option in the URI
            writer.exec_driver_sql("INSERT INTO iceberg_tables VALUES ('a', 'b', 'c', 'd', NULL)")
            writer.rollback()
    assert rows(mariadb_database) == {}


@pytest.mark.parametrize("driver", ["mysql", "mariadb", "mysql+mysqldb", "mariadb+pymysql"])
def test_every_uri_of_mysql_means_pymysql(mariadb_database: str, driver: str) -> None:
    execute(mariadb_database, V0)
    with opened(mariadb_database.replace("mysql+pymysql", driver)) as catalog:
        assert catalog.tables() == []
        assert catalog.describe().startswith(f"sql {driver}://lake:***@127.0.0.1:")


def test_a_row_that_somebody_holds_leaves_the_check_undone(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "LOCK_SECONDS", 1)
    with opened(lake) as catalog:
        table = catalog.tables()[0]
        asked = [Repoint(table.namespace, table.name, table.metadata_location, "s3://b/1")]
        with sa.create_engine(lake, poolclass=NullPool).connect() as holder:
            holder.execute(sa.text("UPDATE iceberg_tables SET table_name = table_name"))
            with pytest.raises(PlanBusy):
                catalog.check_repoint(asked, [])
        catalog.check_repoint(asked, [])


def test_a_user_who_may_only_read_is_found_while_planning(mariadb_database: str) -> None:
    execute(mariadb_database, V0)
    execute(mariadb_database, V0_INSERT, c="lake", ns="db", t="t", at="s3://b/1")
    url = sa.make_url(mariadb_database)
    execute(mariadb_database, f"GRANT SELECT ON {url.database}.* TO '{url.database[-20:]}'@'%' IDENTIFIED BY 'wr0ng'")
    reader = url.set(username=url.database[-20:], password="wr0ng").render_as_string(hide_password=False)
    with opened(reader) as catalog:
        assert [t.name for t in catalog.tables()] == ["t"]
        with pytest.raises(CatalogError, match="UPDATE command denied") as caught:
            catalog.check_repoint([Repoint("db", "t", "s3://b/1", "s3://c/1")], [])
        assert not isinstance(caught.value, PlanBusy)
        _assert_no_secret(caught.value)


def test_the_driver_of_mysql_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigError, match=r"pip install 'lake-migrator\[mysql\]'"):
        SqlCatalog("lake", "mysql://lake:secret@127.0.0.1/x")


def test_tls_files_of_mysql_that_are_missing(mariadb_database: str) -> None:
    with pytest.raises(CatalogError, match="No such file") as caught:
        SqlCatalog("lake", f"{mariadb_database}?ssl_ca=/nowhere/ca.pem")
    _assert_no_secret(caught.value)


def test_a_password_that_needs_a_package_says_which(mariadb_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(**_: object) -> None:
        raise RuntimeError("'cryptography' package is required for caching_sha2_password")

    monkeypatch.setattr("pymysql.connect", lacking)
    with pytest.raises(CatalogError, match="'cryptography' package is required"):
        SqlCatalog("lake", mariadb_database)
