"""Reports say only what is known: nothing is called compared that was not, and a refused request does not count as
damage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from e2e.faults import FaultProxy, Request, first
from e2e.world import World
from migrator.demo import lake as old_lake
from migrator.verifying.pyiceberg_io import _MetadataFile
from migrator.verifying.pyiceberg_reader import count_rows, digest_rows, open_table
from migrator.verifying.unreadable import DAMAGED, MISSING, TRANSIENT, Reader, Trouble, is_transient, trouble_of


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries have only a short delay."""
    monkeypatch.setattr("migrator.verifying.unreadable.DELAYS", (0.0, 0.0))
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture
def proxy(world: World) -> Iterator[FaultProxy]:
    with FaultProxy(world.server.endpoint_url) as proxy:
        yield proxy


def of_reader(part: str, buckets: tuple[str, ...] = old_lake.BUCKETS) -> Callable[[Request], bool]:
    """Requests of pyiceberg's for objects of these buckets whose key contains ``part``."""

    def chosen(request: Request) -> bool:
        bucket, _, key = request.key.partition("/")
        return bucket in buckets and part in key and "aiobotocore" in request.headers.get("user-agent", "")

    return chosen


def always(kind: str, of: Callable[[Request], bool]) -> Callable[[Request], str | None]:
    return lambda request: kind if of(request) else None


def pointer(world: World, table: str = "legacy_v1") -> str:
    with closing(sqlite3.connect(world.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///"))) as db:
        query = "SELECT metadata_location FROM iceberg_tables WHERE table_name = ?"
        return str(db.execute(query, (table,)).fetchone()[0])


def check(document: dict[str, Any], unit: str) -> dict[str, Any]:
    """The check of that unit, before the cutover or of a verification."""
    found: dict[str, Any] = next(c for c in document.get("compared") or document["checks"] if c["unit"] == unit)
    return found


def bytes_check(verified: dict[str, Any]) -> dict[str, Any]:
    """The check of copied objects' bytes."""
    found: dict[str, Any] = next(c for c in verified["checks"] if "byte for byte" in c["name"])
    return found


def read_old(world: World, url: str) -> Trouble:
    """What goes wrong with reading an old table through ``url``."""
    properties = {**world.server.properties(), "s3.endpoint": url}

    def read() -> int:
        table = open_table(world.lake.tables["iceberg.silver.legacy_v1"], properties)
        snapshot = table.current_snapshot()
        assert snapshot is not None
        return count_rows(table, snapshot.snapshot_id) + digest_rows(table, snapshot.snapshot_id)[0]

    with pytest.raises(Exception) as raised:
        read()
    assert is_transient(raised.value) == (trouble_of(raised.value).kind == TRANSIENT)
    return trouble_of(raised.value)


class TestWhatAnErrorMeans:
    """Real errors of pyiceberg, s3fs and pyarrow."""

    @pytest.mark.parametrize(
        ("kind", "part"),
        [
            ("slow-down", ".metadata.json"),
            ("denied", ".metadata.json"),
            ("too-many", "/snap-"),
            ("internal", "/snap-"),
            ("reset-before", "-m0.avro"),
            ("cut", "-m0.avro"),
            ("reset-amid", ".parquet"),
            ("slow-down", ".parquet"),
        ],
    )
    def test_the_servers_moment(self, world: World, proxy: FaultProxy, kind: str, part: str) -> None:
        proxy.choose = always(kind, of_reader(part))
        trouble = read_old(world, proxy.url)
        assert trouble.kind == TRANSIENT, trouble

    def test_no_server(self, world: World) -> None:
        assert read_old(world, "http://127.0.0.1:9").kind == TRANSIENT

    @pytest.mark.parametrize("part", [".metadata.json", "/snap-", "-m0.avro", ".parquet"])
    def test_the_file(self, world: World, part: str) -> None:
        """Missing, cut short, or other bytes: definite, however often it is read."""
        of = of_reader(part)
        with FaultProxy(world.server.endpoint_url) as seen:
            table = open_table(
                world.lake.tables["iceberg.silver.legacy_v1"], world.server.properties() | {"s3.endpoint": seen.url}
            )
            snapshot = table.current_snapshot()
            assert snapshot is not None
            digest_rows(table, snapshot.snapshot_id)
            bucket, _, key = next(request.key for request in seen.seen if of(request)).partition("/")
        content = world.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for data, kind in ((None, MISSING), (content[: len(content) // 2], DAMAGED), (b"\0" * len(content), DAMAGED)):
            with world.replaced(bucket, key, data), FaultProxy(world.server.endpoint_url) as other:
                assert read_old(world, other.url).kind == kind

    def test_patience_is_for_once(self) -> None:
        """If a server is gone, not every read uses all attempts. If it is back, reads use all attempts again."""
        asked, answers = [], iter([OSError(16, "busy")] * 4 + [None] + [OSError(16, "busy")] * 2 + [None])

        def read() -> str:
            asked.append(1)
            if (answer := next(answers)) is not None:
                raise answer
            return "read"

        reader = Reader((0.0, 0.0))
        counts = []
        for _ in range(4):
            before = len(asked)
            counts.append((reader.read(read).result, len(asked) - before))
        assert counts == [(None, 3), (None, 1), ("read", 1), ("read", 3)]


class TestBeforeTheCutover:
    @pytest.mark.parametrize(
        ("part", "kind"),
        [
            (".metadata.json", "slow-down"),
            ("/snap-", "denied"),
            ("-m0.avro", "internal"),
            ("-deletes.parquet", "reset-before"),
        ],
    )
    def test_what_cannot_be_read_now_stops_it(
        self, world: World, proxy: FaultProxy, tmp_path: Path, part: str, kind: str
    ) -> None:
        plan = world.plan("plan.db", "--endpoint-url", proxy.url)
        before = pointer(world)
        proxy.choose = always(kind, of_reader(part))
        result = world.run("migrate", plan, "--yes", exit_code=3)
        assert "cannot be read in the old place now" in result.stderr and "iceberg." in result.stderr
        assert "Run the same command again" in result.stderr
        assert pointer(world) == before
        with closing(sqlite3.connect(plan)) as db:
            assert not db.execute("SELECT * FROM baselines WHERE rows IS NULL").fetchall()
        proxy.choose = first(2, kind, of_reader(part))  # this time it passes
        migrated = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
        rows = check(migrated, "snapshots")
        assert (rows["result"], rows["not_compared"], rows["reasons"]) == ("same", 0, {})
        assert rows["checked"] == 21  # 20 that catalogs name, and the forgotten table's

    @pytest.mark.parametrize("answer", [b"<!doctype html><html>Not supported</html>", b""])
    def test_an_answer_that_is_not_the_metadata_file(
        self, world: World, monkeypatch: pytest.MonkeyPatch, answer: bytes
    ) -> None:
        """If it comes once, everything is compared. If it comes each time, nothing is cut over. It is no reason to skip
        the comparison."""
        plan, before = world.plan(), pointer(world)
        read, left = _MetadataFile._read, [99]

        def answered(self: _MetadataFile) -> bytes:
            if self.location != before or not left[0]:
                return read(self)
            left[0] -= 1
            return answer

        monkeypatch.setattr(_MetadataFile, "_read", answered)
        result = world.run("migrate", plan, "--yes", exit_code=3)
        assert "cannot be read in the old place now" in result.stderr and "gave another answer" in result.stderr
        assert pointer(world) == before
        left[0] = 1
        rows = check(json.loads(world.run("migrate", plan, "--yes", "--json").stdout), "snapshots")
        assert (left, rows["result"], rows["not_compared"], rows["checked"]) == ([0], "same", 0, 21)

    def test_a_target_that_cannot_be_read_now_is_no_difference(self, world: World, proxy: FaultProxy) -> None:
        plan = world.plan("plan.db", "--endpoint-url", proxy.url)
        proxy.choose = always("slow-down", of_reader("silver.db/legacy_v1/metadata/snap-", ("data-lake",)))
        result = world.run("migrate", plan, "--yes", exit_code=3)
        assert "cannot be read completely now" in result.stderr and "Run the same command again" in result.stderr
        proxy.choose = lambda request: None
        world.run("migrate", plan, "--yes")
        proxy.choose = always("denied", of_reader("silver.db/legacy_v1/metadata/snap-", ("data-lake",)))
        verified = world.run("verify", plan, exit_code=3).stdout
        assert "could not be read now" in verified and "difference" not in verified
        assert json.loads(world.run("verify", plan, "--json", exit_code=3).stdout)["result"] == "error"

    def test_a_file_that_was_broken_before_needs_to_be_accepted(self, world: World) -> None:
        # Files without deletes are not read for a count: the manifest has it. This one has some.
        bucket, key = "bronze", "iceberg-warehouse/landing/sales-2026-01.parquet"
        length = len(world.client.get_object(Bucket=bucket, Key=key)["Body"].read())
        before = pointer(world, "daily_sales")
        with world.replaced(bucket, key, b"\0" * length):
            plan = world.plan()
            result = world.run("migrate", plan, "--yes", exit_code=3)
            assert "iceberg.gold.daily_sales snapshot" in result.stderr
            assert pointer(world, "daily_sales") == before
            assert "--accept unreadable-before" in result.stderr
            ended = world.run("migrate", plan, "--yes", "--accept", "unreadable-before").stdout
            assert "Not compared: " in ended and "unreadable in the old place" in ended
            assert "Everything" not in ended
            verified = json.loads(world.run("verify", plan, "--json").stdout)
            assert verified["ok"] and verified["result"] == "not compared"
            assert "unreadable in the old place" in str(check(verified, "snapshots")["reasons"])


def test_deep_compares_with_the_old_buckets_that_still_exist(own_world: World) -> None:
    """For the plan of the migration and for a later plan; only objects as planned are compared; bucket by bucket."""
    world = own_world
    plan = world.plan()
    world.run("migrate", plan, "--yes")
    later = world.plan("later.db")
    for each in (plan, later):
        verified = json.loads(world.run("verify", each, "--deep", "--json").stdout)
        for checked in (*(check(verified, unit) for unit in ("objects", "snapshots", "rows")), bytes_check(verified)):
            assert checked["result"] == "same" and not checked["reasons"], (each, checked)

    changed, data = "odd/with space", next(k for k in world.listing("bronze") if "silver.db/legacy_v1/data/" in k)
    world.client.put_object(Bucket="gold", Key=changed, Body=b"written to after the cutover")
    world.client.delete_object(Bucket="bronze", Key=data.partition("/")[2])
    old_lake.delete_buckets(world.client, ["logs"])
    logs = sum(p.startswith("data-lake/logs/") for p in world.listing("data-lake"))
    fresh = world.folder / "fresh.db"
    with closing(sqlite3.connect(later)) as db, closing(sqlite3.connect(fresh)) as copy:
        db.backup(copy)
        copy.execute("DELETE FROM baselines")  # as if --deep had never been run
        copy.commit()
    verified = json.loads(world.run("verify", fresh, "--deep", "--json").stdout)
    assert verified["ok"] and verified["result"] == "not compared"
    bytes_ = bytes_check(verified)
    assert bytes_["reasons"] == {
        "the old bucket is gone": logs,
        "changed in the old bucket since planning": 1,
        "no longer in the old bucket": 1,
    }
    assert bytes_["checked"] > 50 and bytes_["result"] == "same"
    rows = check(verified, "rows")
    assert rows["checked"] > 1000 and list(rows["reasons"]) == ["in the old place, a file is missing"]

    old_lake.delete_buckets(world.client, [b for b in old_lake.BUCKETS if b != "logs"])
    text = world.run("verify", fresh, "--deep").stdout
    assert not [line for line in text.splitlines() if "✔" in line and "byte for byte" in line]
    assert "– copied objects are the same byte for byte: not compared" in text
    assert "Everything" not in text and "the old bucket is gone" in text


def test_a_refused_read_is_not_a_bucket_that_is_gone(world: World, proxy: FaultProxy) -> None:
    plan = world.plan("plan.db", "--endpoint-url", proxy.url)
    world.run("migrate", plan, "--yes")
    proxy.choose = lambda request: "denied" if request.key.startswith("gold/odd/") else None
    verified = json.loads(world.run("verify", plan, "--deep", "--json").stdout)
    bytes_ = bytes_check(verified)
    assert verified["result"] == "not compared" and bytes_["checked"]
    assert list(bytes_["reasons"]) == ["access to the old bucket was denied; run it again"]
    proxy.choose = lambda request: "denied" if request.key.partition("/")[0] == "gold" else None
    assert "gone" not in world.run("verify", plan, "--deep").stdout


def test_tables_that_no_catalog_names_are_listed_at_the_end(world: World) -> None:
    plan = world.plan()
    described = json.loads(world.run("show", plan, "--json").stdout)
    (lonely,) = described["unregistered"]
    assert lonely["old_location"] == old_lake.FORGOTTEN and lonely["name"] == "old_table"
    ended = world.run("migrate", plan, "--yes").stdout
    assert "Everything" not in ended and "1 table is not registered" in ended
    assert ended.splitlines()[-1].startswith("    pyiceberg") and lonely["metadata_location"] in ended
    uri = world.lake.catalogs["iceberg"]["uri"]
    with closing(SqlCatalog("iceberg", uri=uri, **world.server.properties())) as catalog:
        catalog.create_namespace_if_not_exists("forgotten")
        catalog.register_table((lonely["namespace"], lonely["name"]), lonely["metadata_location"])
        verified = world.run("verify", plan)
        catalog.drop_table((lonely["namespace"], lonely["name"]))
    assert "not registered" not in verified.stdout
    assert "Everything is as expected." in verified.stdout


def test_what_counts_the_same_is_the_same_number(world: World) -> None:
    """In the plan, in what migrate did, in the status, and in the verification."""
    plan = world.plan()
    described = json.loads(world.run("show", plan, "--json").stdout)
    actions = {name: counts["objects"] for name, counts in described["actions"].items()}
    migrated = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
    status = json.loads(world.run("status", plan, "--json").stdout)
    pointers = described["pointers"]["total"]
    assert migrated["copied_objects"] == migrated["copy"]["objects"] == actions["copy"] + actions["overwrite"]
    assert sum(migrated["copy"]["proofs"].values()) == migrated["copied_objects"] <= migrated["copy"]["requests"]
    of_tables = sum(table["rewrite_files"] for table in described["tables"])
    scripts = [place for place in world.listing("scripts") if place.endswith(".py")]
    assert migrated["rewritten_files"] == actions["rewrite"] == of_tables + len(scripts)
    assert migrated["pointers_changed"] == status["pointers"] == status["pointers_changed"] == pointers
    assert status["objects"] == status["objects_done"] == actions["copy"] + actions["rewrite"]
    objects = check(migrated["verification"], "objects")
    assert objects["checked"] == sum(p["objects"] for p in described["prefixes"]) == len(world.listing("data-lake"))
    text = world.run("show", plan).stdout
    assert (
        f"Plan: {actions['copy']:,} to copy, {actions['rewrite']:,} to rewrite, {pointers} pointers to change" in text
    )
