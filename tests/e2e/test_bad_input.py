"""Each error gives one clear message with the place and the next move, and its exit code. Nothing is changed."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fastavro
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from e2e.world import World
from migrator.demo import lake as old_lake


@pytest.fixture(autouse=True)
def nothing_changes(world: World) -> Iterator[None]:
    """No test here may change the lake, its catalog or the target."""
    before = world.listing(*old_lake.BUCKETS).keys(), pointers(world)
    yield
    assert (world.listing(*old_lake.BUCKETS).keys(), pointers(world)) == before


def pointers(world: World) -> list[Any]:
    with closing(sqlite3.connect(world.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///"))) as db:
        return db.execute("SELECT * FROM iceberg_tables ORDER BY table_name").fetchall()


def key_of(world: World, table: str) -> tuple[str, str]:
    """(bucket, key) of a table's current metadata."""
    bucket, _, key = world.lake.tables[table].partition("://")[2].partition("/")
    return bucket, key


def manifest_of(world: World, table: str, kind: str = "-m0.avro") -> tuple[str, str]:
    bucket, key = key_of(world, table)
    folder = key.rpartition("/")[0]
    return bucket, next(k for k in sorted(world.listing(bucket)) if f"{folder}/" in k and k.endswith(kind)).partition(
        "/"
    )[2]


def blocks(world: World, *options: str) -> list[dict[str, Any]]:
    """The blocking findings of a plan that must have some, and that migrate must refuse."""
    plan = world.plan("blocked.db", *options, exit_code=3)
    assert world.run("migrate", plan, "--yes", exit_code=3)
    assert "data-lake" not in world.buckets()
    findings = json.loads(world.run("show", plan, "--json").stdout)["findings"]
    return [finding for finding in findings if finding["severity"] == "block"]


def test_unreachable_endpoint(world: World) -> None:
    result = world.run("plan", "--endpoint-url", "http://127.0.0.1:9", exit_code=1)
    assert result.stderr.startswith("Error: http://127.0.0.1:9 did not answer")
    assert "--endpoint-url" in result.stderr


def test_wrong_credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-but-secret")
    result = world.run("plan", "--config", world.config, exit_code=1)
    assert "access denied" in result.stderr and "Check the credentials" in result.stderr
    assert "wrong-but-secret" not in result.output + result.stderr


def test_a_missing_bucket(world: World) -> None:
    config = world.folder / "other.toml"
    config.write_text('[layout]\n"s3://platinum/" = "platinum/"\n')
    result = world.run("plan", "--config", config, exit_code=1)
    assert "Bucket 'platinum', which [layout] names, does not exist" in result.stderr


def test_an_unknown_key_and_a_wrong_flag(world: World) -> None:
    config = world.folder / "other.toml"
    config.write_text("[sources]\n")
    assert "Did you mean 'source'?" in world.run("plan", "--config", config, exit_code=2).stderr
    assert "No such option" in world.run("plan", "--confg", config, exit_code=2).stderr


def test_a_missing_permission_to_write_is_found_while_planning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", world.server.reader_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", world.server.reader_secret)
    (finding,) = blocks(world)
    assert finding["code"] == "missing-permission" and "s3:PutObject on arn:aws:s3:::data-lake/*" in finding["message"]
    assert "--no-preflight" in finding["next_move"]
    plan = world.plan("unchecked.db", "--no-preflight")
    result = world.run("migrate", plan, "--yes", exit_code=1)
    assert "s3://data-lake: access denied" in result.stderr
    assert "data-lake" not in world.buckets()


def test_two_keys_for_one_target(world: World) -> None:
    client = world.client
    bucket, key = key_of(world, "local.ops.audit_log")
    folder = key.rpartition("/")[0]
    with world.added("bronze", f"iceberg-warehouse/{folder}/version-hint.text", b"3"):
        (finding,) = blocks(world)
    assert finding["code"] == "key-collision"
    assert f"s3://{bucket}/{folder}/version-hint.text" in finding["place"]
    assert client


def test_an_unmapped_path_in_a_live_manifest(world: World) -> None:
    config = world.folder / "lake.toml"
    rules = {f"s3://{b}/": f"{b}/" for b in old_lake.BUCKETS if b != "gold"} | {
        "s3://bronze/iceberg-warehouse/": "warehouse/"
    }
    layout = "\n".join(f'"{source}" = "{target}"' for source, target in rules.items())
    config.write_text(f"{config.read_text()}\n[layout]\n{layout}\n")
    found = blocks(world)
    assert {f["code"] for f in found} == {"unmapped-path"}
    assert any("iceberg.gold.daily_sales" in f["message"] and "s3a://gold/daily_sales" in f["message"] for f in found)
    assert all("[layout]" in f["next_move"] for f in found)


@pytest.mark.parametrize("cut", [4, 600])
@pytest.mark.parametrize("kind", ["-m0.avro", "snap"])
def test_an_unreadable_manifest_or_list(world: World, kind: str, cut: int) -> None:
    if kind == "snap":
        bucket, key = manifest_of(world, "iceberg.silver.user_sessions", ".avro")
        key = next(k for k in world.listing(bucket) if "user_sessions/metadata/snap-" in k).partition("/")[2]
    else:
        bucket, key = manifest_of(world, "iceberg.silver.user_sessions")
    data = world.client.get_object(Bucket=bucket, Key=key)["Body"].read()
    with world.replaced(bucket, key, data[: len(data) - cut]):
        found = blocks(world)
    assert any(f["code"] == "unreadable" and f["place"].endswith(key) and f["next_move"] for f in found)


def test_a_manifest_cut_off_between_two_blocks(world: World) -> None:
    """It is a valid Avro file, with rows missing: only the recorded length shows it."""
    bucket, key, data = manifest_of_two_blocks(world)
    sync = data[-16:]
    first = data.index(sync) + 16
    second = data.index(sync, first) + 16
    assert second < len(data)
    assert len(list(fastavro.reader(io.BytesIO(data[:second])))) < len(list(fastavro.reader(io.BytesIO(data))))
    with world.replaced(bucket, key, data[:second]):
        found = blocks(world)
    assert any(f["code"] == "size-differs" and key in f["message"] for f in found)


def manifest_of_two_blocks(world: World) -> tuple[str, str, bytes]:
    """A manifest of raw_events with more than one block: the sync marker stands after the header and each block."""
    for place in world.listing("bronze"):
        bucket, _, key = place.partition("/")
        if "bronze.db/raw_events/metadata/" in key and "-m0.avro" in key:
            data = world.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            if data.count(data[-16:]) > 2:
                return bucket, key, data
    raise AssertionError("no manifest has two blocks")


def test_a_truncated_metadata_file(world: World) -> None:
    bucket, key = key_of(world, "iceberg.gold.empty")
    data = world.client.get_object(Bucket=bucket, Key=key)["Body"].read()
    with world.replaced(bucket, key, data[:-20]):
        (finding,) = blocks(world)
    assert finding["code"] == "unreadable" and finding["place"].endswith(key)
    assert "Restore it" in finding["next_move"]


def test_a_missing_data_file_and_one_of_another_size(world: World) -> None:
    files = [k.partition("/")[2] for k in world.listing("bronze") if "silver.db/legacy_v1/data/" in k]
    with world.replaced("bronze", files[0], None), world.replaced("bronze", files[1], b"short"):
        found = {f["code"]: f["message"] for f in blocks(world)}
    assert set(found) == {"missing-object", "size-differs"}
    assert files[0] in found["missing-object"] and files[1] in found["size-differs"]


def test_a_format_that_is_not_known(world: World) -> None:
    bucket, key = key_of(world, "iceberg.gold.empty")
    document = json.loads(world.client.get_object(Bucket=bucket, Key=key)["Body"].read())
    with world.replaced(bucket, key, json.dumps({**document, "format-version": 4}).encode()):
        found = blocks(world)
    assert [f["code"] for f in found] == ["unreadable"]
    assert "iceberg.gold.empty" in found[0]["message"]


def test_an_encrypted_table(world: World) -> None:
    bucket, key = key_of(world, "iceberg.gold.empty")
    document = json.loads(world.client.get_object(Bucket=bucket, Key=key)["Body"].read())
    document["encryption-keys"] = [{"key-id": "k", "encrypted-key-metadata": "AAAA"}]
    with world.replaced(bucket, key, json.dumps(document).encode()):
        found = blocks(world)
    assert [f["code"] for f in found] == ["encrypted-table"]


def test_a_plan_edited_by_hand(world: World) -> None:
    plan = world.plan()
    with closing(sqlite3.connect(plan)) as db:
        db.execute("UPDATE objects SET target = 'elsewhere' WHERE id = 1")
        db.commit()
    for command in (["show"], ["migrate", "--yes"], ["verify"], ["status"]):
        result = world.run(command[0], plan, *command[1:], exit_code=1)
        assert "was edited after planning." in result.stderr and "Keep this file" in result.stderr
    assert "data-lake" not in world.buckets()


def test_a_plan_of_another_format(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = world.plan()
    monkeypatch.setattr("migrator.planfile.file.__version__", "9.9.9")
    world.run("status", plan)  # another version with the same format reads it
    monkeypatch.setattr("migrator.planfile.checks.FORMAT", 99)
    result = world.run("migrate", plan, "--yes", exit_code=4)
    assert "was written by migrator 0.1.0" in result.stderr and 'run "migrator plan" again' in result.stderr


def test_asking(world: World) -> None:
    plan = world.plan()
    result = world.run("migrate", plan, exit_code=2)  # there is no person to ask
    assert "Add --yes" in result.stderr
    assert "leave out --config" in world.run("migrate", plan, "--config", world.config, exit_code=2).stderr
    assert "data-lake" not in world.buckets()


def test_no_plan_is_overwritten(world: World) -> None:
    plan = world.plan()
    before = plan.read_bytes()
    assert "exists already" in world.run("plan", "--config", world.config, "-o", plan, exit_code=1).stderr
    assert plan.read_bytes() == before


def test_no_secret_is_written_anywhere(world: World) -> None:
    plan = world.plan()
    shown = world.run("show", plan, "--json").output + world.run("plan", "--config", world.config).output
    for secret in (world.server.secret_key, world.server.access_key):
        assert secret.encode() not in plan.read_bytes()
        assert secret not in shown


class TestStale:
    """The lake changed between the plan and its execution: exit 4, and no pointer is changed."""

    def test_a_table_moved_on(self, world: World, nothing_changes: None) -> None:
        plan = world.plan()
        uri = world.lake.catalogs["iceberg"]["uri"]
        pristine = Path(uri.removeprefix("sqlite:///")).read_bytes()
        with closing(SqlCatalog("iceberg", uri=uri, **world.server.properties())) as catalog:
            table = catalog.load_table("gold.empty")
            with table.update_schema() as update:
                update.add_column("late", old_lake.StringType())
            moved = table.metadata_location
        try:
            result = world.run("migrate", plan, "--yes", exit_code=4)
        finally:
            Path(uri.removeprefix("sqlite:///")).write_bytes(pristine)
            bucket, _, key = moved.partition("://")[2].partition("/")
            world.client.delete_object(Bucket=bucket, Key=key)
        assert "iceberg.gold.empty moved on since planning: expected" in result.stderr
        assert moved in result.stderr and 'Run "migrator plan" again' in result.stderr
        assert "data-lake" not in world.buckets()

    def test_an_object_changed(self, world: World) -> None:
        plan = world.plan()
        with world.replaced("gold", "odd/with space", b"changed since"):
            result = world.run("migrate", plan, "--yes", exit_code=4)
        assert "s3://gold/odd/with space changed since planning" in result.stderr
        assert "Nothing was cut over." in result.stderr

    def test_an_object_is_gone(self, world: World) -> None:
        plan = world.plan()
        with world.replaced("gold", "odd/with space", None):
            result = world.run("migrate", plan, "--yes", exit_code=4)
        assert "s3://gold/odd/with space is gone since planning" in result.stderr

    def test_a_hadoop_table_moved_on(self, world: World) -> None:
        plan = world.plan()
        bucket, key = key_of(world, "local.ops.audit_log")
        data = world.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        with world.added(bucket, key.replace("/v4.", "/v5."), data):
            result = world.run("migrate", plan, "--yes", exit_code=4)
        assert "local.ops.audit_log moved on since planning" in result.stderr
        assert "data-lake" not in world.buckets()


class TestDamagedTarget:
    """Verification finds what is wrong at the target, and says so with exit code 3."""

    @pytest.fixture
    def plan(self, world: World, nothing_changes: None) -> Iterator[Path]:
        pristine = Path(world.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///"))
        before = pristine.read_bytes()
        plan = world.plan()
        world.run("migrate", plan, "--yes")
        yield plan
        pristine.write_bytes(before)

    def test_each_kind_of_damage_is_found(self, world: World, plan: Path) -> None:
        new = [k.partition("/")[2] for k in world.listing("data-lake")]
        data = next(k for k in new if "silver.db/legacy_v1/data/" in k)
        manifest = next(k for k in new if "silver.db/user_sessions/metadata" in k and k.endswith("-m0.avro"))
        plain = next(k for k in new if k.startswith("logs/"))
        content = world.client.get_object(Bucket="data-lake", Key=manifest)["Body"].read()
        for key, bytes_, says in (
            (data, None, f"- s3://data-lake/{data}: missing"),
            (data, b"short", f"* s3a://data-lake/{data}: 5 bytes, its manifest records"),
            (manifest, content[:-10], f"{manifest} cannot be read"),
            (manifest, None, f"- s3://data-lake/{manifest}: missing"),
            (plain, b"something else", f"* s3://data-lake/{plain}: differs from what was written"),
        ):
            with world.replaced("data-lake", key, bytes_):
                output = world.run("verify", plan, exit_code=3).stdout
            assert says in output.replace("\n", " "), output
        world.run("verify", plan)

    def test_only_deep_sees_what_sizes_and_etags_do_not_show(self, world: World, plan: Path) -> None:
        key = next(k.partition("/")[2] for k in world.listing("data-lake") if "/logs/" in k)
        content = world.client.get_object(Bucket="data-lake", Key=key)["Body"].read()
        with world.replaced("data-lake", key, content[::-1]):
            etag = world.listing("data-lake")[f"data-lake/{key}"][1].strip('"')
            with closing(sqlite3.connect(plan)) as db:  # as if the copy itself had gone wrong
                where = "object_id = (SELECT id FROM objects WHERE target = ?)"
                (old,) = db.execute(f"SELECT etag FROM done WHERE {where}", (key,)).fetchone()
                db.execute(f"UPDATE done SET etag = ? WHERE {where}", (etag, key))
                db.commit()
                world.run("verify", plan)
                output = world.run("verify", plan, "--deep", exit_code=3).stdout
                assert f"* s3://data-lake/{key}: bytes differ" in output
                db.execute(f"UPDATE done SET etag = ? WHERE {where}", (old, key))
                db.execute("UPDATE baselines SET digest = 'other' WHERE table_id = 1")
                db.commit()
        output = world.run("verify", plan, "--deep", exit_code=3).stdout
        assert "the rows differ from those in the old place" in output and "bytes differ" not in output

    def test_a_catalog_that_points_back(self, world: World, plan: Path) -> None:
        old = world.lake.tables["iceberg.gold.empty"]
        with closing(sqlite3.connect(world.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///"))) as db:
            db.execute("UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = 'empty'", (old,))
            db.commit()
        output = world.run("verify", plan, exit_code=3).stdout
        assert f"* iceberg.gold.empty points to {old}" in output

    def test_a_stale_writer_is_found(self, world: World, plan: Path) -> None:
        """cutover.md, finding 1: a cached session commits a file at the old place into the new table."""
        uri = world.lake.catalogs["iceberg"]["uri"]
        stray = "s3a://bronze/iceberg-warehouse/silver.db/legacy_v1/data/stray.parquet"
        with closing(SqlCatalog("iceberg", uri=uri, **world.server.properties())) as catalog:
            table = catalog.load_table("silver.legacy_v1")
            old_lake._write_parquet(table.io, stray, old_lake._events(500, 5))
            table.add_files([stray])
        try:
            output = world.run("verify", plan, exit_code=3).stdout
            again = world.run("plan", "--config", world.config, exit_code=3).stdout
        finally:
            world.client.delete_object(Bucket="bronze", Key=stray.partition("bronze/")[2])
        said = " ".join(output.split())
        assert f"{stray}, written by snapshot " in said and "(append, 5 rows added" in said
        assert "half-moved" in again and stray.replace("s3a:", "s3:") in again
