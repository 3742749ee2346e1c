"""Spark and pyiceberg write into the lake during a whole migration, with every catalog. At the end each committed row
exists once, and nothing names an old bucket."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException, ValidationException

from buckets import fresh_buckets
from catalogs.servers.aws import aws
from catalogs.servers.java import FIXTURE, HIVE, NESSIE, HiveMetastore, Nessie, RestFixture, require
from engines.shared import (
    SharedLake,
    World,
    dynamodb_lake,
    glue_lake,
    hadoop_lake,
    hive_lake,
    one_spark,
    rest_lake,
    sql_lake,
)
from migrator import api
from migrator.config import load
from migrator.demo.lake import delete_buckets
from migrator.progress import Progress

__all__ = ["aws"]  # a fixture that some catalogs ask for

pytestmark = pytest.mark.timeout(600)
OLD, TARGET = ("bronze", "gold"), "data-lake"
WAREHOUSE = "s3://bronze/wh"
OWN, SHARED = ("first", "second"), "both"
"""A table for each writer, and the one to which both write."""
PROPERTIES = {
    "format-version": "2",
    "write.delete.mode": "merge-on-read",
    "commit.retry.num-retries": "1000",  # both engines retry by themselves, for as long as this
    "commit.retry.min-wait-ms": "10",
    "commit.retry.max-wait-ms": "200",
    "commit.retry.total-timeout-ms": "300000",
}
DURING = ("reading table metadata", "copying", "reading the old tables")
"""Stages in which the writers commit. The first pass carries out the plan as it is, so it has only the last two."""
FIRST_ROW = -1
"""The id of the row that every table has before there are writers."""
ATTEMPTS = 100
PASSES = 2
PAUSE = 2.0
"""Seconds between two commits of a writer while no test waits for it, or more if commits take long. Otherwise a slow
migration would have more and more to migrate."""


# -- the writers -----------------------------------------------------------------------------------------


class Writer(threading.Thread):
    """Commits rows with new ids alternately to its own table and to the shared one, until it must stop."""

    def __init__(self, own: str, first: int) -> None:
        super().__init__(daemon=True)
        self.own, self._next = own, first
        self._told = threading.Event()
        self._news = threading.Condition()
        self._error: BaseException | None = None
        self._commits = self._awaited = 0
        self.written: dict[str, list[int]] = {own: [], SHARED: []}
        """Table → the ids that must be there. A row counts as soon as its commit has succeeded."""

    def run(self) -> None:
        try:
            while not self._told.is_set():
                for table in (self.own, SHARED):
                    begun = time.monotonic()
                    self.commit(table)
                    pause = max(PAUSE, 4 * (time.monotonic() - begun))
                    with self._news:
                        self._commits += 1
                        self._news.notify_all()
                        self._news.wait_for(lambda: self._awaited or self._told.is_set(), pause)
        except BaseException as error:
            with self._news:
                self._error = error
                self._news.notify_all()

    def commit(self, table: str) -> None:
        """Change the table by one commit, and ``written`` accordingly."""
        raise NotImplementedError

    def numbers(self) -> tuple[int, int]:
        """Two new ids."""
        self._next += 2
        return self._next - 2, self._next - 1

    def wait_for_commit(self) -> None:
        """Wait for one more commit. Raises the error that has ended the writer."""
        with self._news:
            before = self._commits
            self._awaited += 1
            self._news.notify_all()
            self._news.wait_for(lambda: self._error or self._commits > before)
            self._awaited -= 1
        self._check()

    def tell(self) -> None:
        """Tell it to end after the present commit."""
        with self._news:
            self._told.set()
            self._news.notify_all()

    def stop(self) -> None:
        """Wait until it has ended. Raises the error that has ended it before."""
        self.tell()
        self.join()
        self._check()

    def _check(self) -> None:
        if self._error:
            raise AssertionError(f"{type(self).__name__} failed") from self._error


class SparkWriter(Writer):
    """Two rows at a time, in one file. Every other commit to its own table deletes the first of them again."""

    def __init__(self, lake: SharedLake, own: str, first: int) -> None:
        super().__init__(own, first)
        self._session = lake.session()
        self._to_delete: list[int] = []

    def commit(self, table: str) -> None:
        if table == self.own and self._to_delete:
            gone = self._to_delete.pop()
            self._session.sql(f"DELETE FROM lake.db.{table} WHERE id = {gone}")
            self.written[table].remove(gone)
            return
        one, two = self.numbers()
        self._session.sql(f"INSERT INTO lake.db.{table} SELECT id FROM range({one}, {two + 1}, 1, 1)")
        self.written[table] += [one, two]
        if table == self.own:
            self._to_delete.append(one)


class PyicebergWriter(Writer):
    """Two rows at a time."""

    def __init__(self, lake: SharedLake, own: str, first: int) -> None:
        super().__init__(own, first)
        assert lake.pyiceberg is not None
        self._catalog = lake.pyiceberg()

    def commit(self, table: str) -> None:
        ids = self.numbers()
        rows = pa.table({"id": pa.array(ids, pa.int64())})
        for _ in range(ATTEMPTS):
            # pyiceberg retries a commit by itself, but not if it needs an older snapshot, which Nessie never returns.
            with suppress(CommitFailedException, ValidationException):
                self._catalog.load_table(f"db.{table}").append(rows)
                self.written[table] += ids
                return
        raise AssertionError(f"{ATTEMPTS} commits to {table} failed")


@contextmanager
def writers(lake: SharedLake, first: int) -> Iterator[list[Writer]]:
    """Spark, and pyiceberg or, if pyiceberg cannot write, another Spark. Both have begun to write."""
    second = SparkWriter if lake.pyiceberg is None else PyicebergWriter
    made = [SparkWriter(lake, OWN[0], first), second(lake, OWN[1], first + 1_000_000)]
    for writer in made:
        writer.start()
    try:
        yield made
    finally:
        for writer in made:
            writer.tell()
        for writer in made:
            writer.join()


def written(*groups: list[Writer]) -> dict[str, list[int]]:
    """Table → the ids that must be there, sorted."""
    ids: dict[str, list[int]] = {table: [FIRST_ROW] for table in (*OWN, SHARED)}
    for writer in (writer for group in groups for writer in group):
        for table, some in writer.written.items():
            ids[table] += some
    return {table: sorted(some) for table, some in ids.items()}


def wait_for_commits(writing: list[Writer]) -> None:
    """Wait until each writer has made one more commit."""
    for writer in writing:
        writer.wait_for_commit()


class WhileWriting(Progress):
    """Makes a copy wait for commits in some of its stages."""

    def __init__(self, writing: list[Writer]) -> None:
        self._writing = writing
        self.waited: set[str] = set()

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = "") -> Progress:
        if name in DURING and name not in self.waited:
            self.waited.add(name)
            wait_for_commits(self._writing)
        return self


class StopWhenSeen:
    """Lists the lake as a cutover does. The writers stop only after it has seen a change."""

    def __init__(self, writing: list[Writer]) -> None:
        self._writing, self._look = writing, api.look
        self._before: Any = None
        self.seen = False

    def __call__(self, *arguments: Any) -> Any:
        now = self._look(*arguments)
        if self._before is not None and now != self._before and not self.seen:
            self.seen = True
            for writer in self._writing:
                writer.stop()
        elif not self.seen:
            wait_for_commits(self._writing)
        self._before = now
        return now


# -- the catalogs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with one_spark(tmp_path_factory.mktemp("writers")) as world:
        yield world


def _sql(world: World, request: pytest.FixtureRequest) -> AbstractContextManager[SharedLake]:
    return nullcontext(sql_lake(world, request.getfixturevalue("postgres_database"), WAREHOUSE))


def _hadoop(world: World, request: pytest.FixtureRequest) -> AbstractContextManager[SharedLake]:
    return nullcontext(hadoop_lake(world, WAREHOUSE.replace("s3:", "s3a:")))


@contextmanager
def _rest(world: World, request: pytest.FixtureRequest) -> Iterator[SharedLake]:
    require(FIXTURE)
    database = request.getfixturevalue("tmp_path") / "rest.db"
    with RestFixture(world.server, WAREHOUSE, database) as server:
        yield rest_lake(server, world, **{"try-namespace": "migrator_try", "repoint-by": "rename"})


@contextmanager
def _nessie(world: World, request: pytest.FixtureRequest) -> Iterator[SharedLake]:
    require(NESSIE)
    with Nessie(world.server, f"{WAREHOUSE}/") as server:
        yield rest_lake(server, world)


@contextmanager
def _hive(world: World, request: pytest.FixtureRequest) -> Iterator[SharedLake]:
    require(HIVE)
    with HiveMetastore(world.server, WAREHOUSE) as server:
        yield hive_lake(server, world)


def _glue(world: World, request: pytest.FixtureRequest) -> AbstractContextManager[SharedLake]:
    return nullcontext(glue_lake(request.getfixturevalue("aws"), world, WAREHOUSE))


def _dynamodb(world: World, request: pytest.FixtureRequest) -> AbstractContextManager[SharedLake]:
    return nullcontext(dynamodb_lake(request.getfixturevalue("aws"), world, WAREHOUSE))


CATALOGS: dict[str, Callable[[World, pytest.FixtureRequest], AbstractContextManager[SharedLake]]] = {
    "SQL": _sql,
    "Hadoop": _hadoop,
    "REST": _rest,
    "Nessie": _nessie,
    "Hive": _hive,
    "Glue": _glue,
    "DynamoDB": _dynamodb,
}


@pytest.fixture(params=CATALOGS)
def lake(world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedLake]:
    """Each catalog in turn, with the tables of the writers."""
    for name, value in world.server.environ().items():
        monkeypatch.setenv(name, value)
    with fresh_buckets(world.server, OLD), CATALOGS[request.param](world, request) as lake:
        session = lake.session()
        in_place = "" if request.param == "Hadoop" else f" LOCATION '{WAREHOUSE}/db'"
        session.sql(f"CREATE NAMESPACE lake.db{in_place}")
        scheme = "s3a" if request.param == "Hadoop" else "s3"
        for table in (*OWN, SHARED):
            given = {**PROPERTIES, "write.data.path": f"{scheme}://gold/{table}"} if table == SHARED else PROPERTIES
            pairs = ", ".join(f"'{key}' = '{value}'" for key, value in given.items())
            session.sql(f"CREATE TABLE lake.db.{table} (id BIGINT) TBLPROPERTIES ({pairs})")
            # Of two first commits to an empty table, Nessie 0.99 accepts both and keeps one.
            session.sql(f"INSERT INTO lake.db.{table} VALUES ({FIRST_ROW})")
        yield lake


# -- the test --------------------------------------------------------------------------------------------


def named_files(session: Any, table: str) -> set[str]:
    """Every path in the table's metadata, as Spark reads it."""
    queries = (
        "SELECT data_file.file_path FROM {}.all_entries",
        "SELECT path FROM {}.all_manifests",
        "SELECT manifest_list FROM {}.snapshots",
        "SELECT file FROM {}.metadata_log_entries",
    )
    query = " UNION ALL ".join(queries).format(*[f"lake.db.{table}"] * len(queries))
    return {row[0] for row in session.sql(query).collect()}


def test_no_row_is_lost_and_none_is_there_twice(
    lake: SharedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, config = tmp_path / "plan.db", lake.write_config(tmp_path, TARGET, *OLD)
    with writers(lake, 0) as before:
        wait_for_commits(before)
        planned = api.plan_lake(load(config), plan, progress=WhileWriting(before))
        assert not planned["blocked"], [f for f in planned["findings"] if f["severity"] == "block"]
        for number in range(PASSES):
            progress = WhileWriting(before)
            done = api.copy_lake(plan, progress=progress)
            # The preparation of a pass stops if a writer has just removed a file: the next pass continues.
            assert progress.waited >= set(DURING[number == 0 : -1 if done.not_prepared else None])
            wait_for_commits(before)
        look = StopWhenSeen(before)
        monkeypatch.setattr(api, "look", look)
        assert api.cutover_lake(plan, quiet_for=0.1).migration.ok
        assert look.seen

    lake.move_to(TARGET)
    with writers(lake, 500_000) as after:
        for _ in range(2):  # one to each table
            wait_for_commits(after)
        for writer in after:
            writer.stop()
    assert api.verify_lake(plan).ok
    delete_buckets(lake.world.server.client(), OLD)
    session = lake.session()
    assert {table: lake.ids(table, session) for table in (*OWN, SHARED)} == written(before, after)
    for table in (*OWN, SHARED):
        document = lake.world.read(lake.load(table).metadata_location)
        assert not [bucket for bucket in OLD if f"://{bucket}/" in document]
        assert all(path.partition("://")[2].startswith(f"{TARGET}/") for path in named_files(session, table))
