"""Whole migrations on a real server. Every reader here is independent of migrator: pyiceberg, fastavro, pyarrow."""

from __future__ import annotations

import io
import json
import re
import shutil
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable, Table

from e2e.world import World, build_world
from migrator import reference
from migrator.demo import lake as old_lake
from migrator.iceberg.field_ids import FILE_PATH_ID
from migrator.layout import Layout
from postgres import PASSWORD

LAYOUT = Layout.medallion("data-lake", old_lake.BUCKETS)
OLD = [f"://{bucket}/" for bucket in old_lake.BUCKETS]


def rows(table: Table) -> dict[int, list[str]]:
    """Snapshot id → its rows, really read, as sorted text."""
    read = {}
    for snapshot in table.metadata.snapshots:
        content = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        read[snapshot.snapshot_id] = sorted(map(repr, content.to_pylist()))
    return read


def read_all(world: World) -> dict[str, dict[int, list[str]]]:
    """Every table as a new pyiceberg client reads it now, each opened as its users open it."""
    properties = world.server.properties()
    iceberg = world.lake.catalogs["iceberg"]
    found = {}
    with closing(SqlCatalog("iceberg", uri=iceberg["uri"], warehouse=iceberg["warehouse"], **properties)) as catalog:
        for namespace in catalog.list_namespaces():
            for name in catalog.list_tables(namespace):
                found[".".join(name)] = rows(catalog.load_table(name))
    for warehouse in ("s3a://data-lake/warehouse", "s3a://warehouse"):
        try:
            found["ops.audit_log"] = rows(StaticTable.from_metadata(f"{warehouse}/ops/audit_log", properties))
            break
        except FileNotFoundError:
            continue
    return found


def avro_records(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    reader = fastavro.reader(io.BytesIO(data))
    return {k: v for k, v in reader.metadata.items() if k != "avro.codec"}, list(reader)


def get_all(world: World, *buckets: str) -> dict[str, bytes]:
    client = world.client
    return {
        place: client.get_object(Bucket=place.partition("/")[0], Key=place.partition("/")[2])["Body"].read()
        for place in world.listing(*buckets)
    }


def mapped(place: str) -> str:
    bucket, _, key = place.partition("/")
    target = LAYOUT.map_key(bucket, key)
    assert target is not None
    return f"data-lake/{target}"


def test_everything_reads_as_before_with_the_old_buckets_gone(own_world: World) -> None:
    world = own_world
    before, old_objects = read_all(world), get_all(world, *old_lake.BUCKETS)
    old_state = world.listing(*old_lake.BUCKETS)
    plan = world.plan()
    migrated = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
    assert migrated["ok"] and len(migrated["tables_cut_over"]) == 6
    assert world.listing(*old_lake.BUCKETS) == old_state  # the old buckets are only read
    assert "nothing to do" in world.run("migrate", plan, "--yes").stdout.lower()
    assert world.run("verify", plan, "--deep").exit_code == 0

    old_lake.delete_buckets(world.client)
    assert world.buckets() == {"data-lake", "aside"}
    after = read_all(world)
    assert after == before
    assert sum(len(snapshots) for snapshots in after.values()) == 20
    world.run("verify", plan)
    new_objects = get_all(world, "data-lake")
    assert set(new_objects) == {mapped(place) for place in old_objects}
    check_every_object(old_objects, new_objects)
    assert "nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout.lower()


def check_every_object(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Compare objects byte for byte, and files that contain paths field by field, with the mapping applied."""
    kinds: dict[str, int] = {}
    for place, data in old.items():
        there = new[mapped(place)]
        if place.endswith(".avro"):
            kind = check_avro(data, there, new)
        elif place.endswith(".metadata.json"):
            kind = "json"
            assert map_texts(json.loads(data)) == json.loads(there)
        elif place.endswith("-deletes.parquet"):
            kind = "deletes"
            check_deletes(data, there)
        elif place.startswith("scripts/"):
            kind = "script"
            assert there == data.replace(b"s3a://bronze/", b"s3a://data-lake/bronze/") != data
        else:
            kind = "plain"
            assert there == data, place
        kinds[kind] = kinds.get(kind, 0) + 1
    assert ("script" in kinds) == any(place.startswith("scripts/") for place in old)
    assert set(kinds) - {"script"} == {"plain", "json", "list", "manifest", "deletes"}


def map_texts(value: Any, key: str = "") -> Any:
    """A metadata document with every path mapped; schemas and summaries have none."""
    if isinstance(value, dict):
        return {k: v if k == "summary" else map_texts(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [map_texts(item) for item in value]
    return LAYOUT.map_uri(value) or value if isinstance(value, str) else value


def check_avro(data: bytes, there: bytes, new: dict[str, bytes]) -> str:
    old_meta, old_records = avro_records(data)
    new_meta, new_records = avro_records(there)
    assert new_meta == old_meta
    if "manifest_path" in old_records[0]:
        for record in old_records:
            record["manifest_path"] = LAYOUT.map_uri(record["manifest_path"])
            record["manifest_length"] = len(new[record["manifest_path"].partition("://")[2]])  # iceberg#13719
        assert new_records == old_records
        return "list"
    for record in old_records:
        file = record["data_file"]
        file["file_path"] = LAYOUT.map_uri(file["file_path"])
        if file.get("content") == 1:
            stored = new[file["file_path"].partition("://")[2]]
            file["file_size_in_bytes"] = len(stored)  # iceberg#12554
            file["split_offsets"] = None
            paths = pq.read_table(io.BytesIO(stored)).column("file_path").to_pylist()
            for bounds, value in (("lower_bounds", min(paths)), ("upper_bounds", max(paths))):
                file[bounds] = [{"key": FILE_PATH_ID, "value": value.encode()}]
    assert new_records == old_records
    return "manifest"


def check_deletes(data: bytes, there: bytes) -> None:
    old, new = pq.read_table(io.BytesIO(data)), pq.read_table(io.BytesIO(there))
    assert new.schema.equals(old.schema, check_metadata=True)
    expected = sorted((LAYOUT.map_uri(row["file_path"]), row["pos"]) for row in old.to_pylist())
    assert [(row["file_path"], row["pos"]) for row in new.to_pylist()] == expected


def test_one_delete_file_changes_its_order(world: World) -> None:
    """The lake must have the difficult case: prefixes whose order the mapping reverses."""
    turned = 0
    for place, data in get_all(world, "warehouse", "bronze").items():
        if place.endswith("-deletes.parquet"):
            paths = [row["file_path"] for row in pq.read_table(io.BytesIO(data)).to_pylist()]
            new = [LAYOUT.map_uri(path) or "" for path in paths]
            turned += paths == sorted(paths) and new != sorted(new)
    assert turned == 1


def test_attributes_of_plain_objects_travel(world: World) -> None:
    world.run("migrate", world.plan(), "--yes")
    client, compared = world.client, 0
    names = ("ContentType", "ContentEncoding", "Metadata", "ContentLength")
    for place in world.listing("bronze", "gold", "scripts"):
        bucket, _, key = place.partition("/")
        if "iceberg-warehouse" in key or not (key.endswith((".gz", ".py")) or key.startswith("odd/")):
            continue
        target = mapped(place).partition("/")[2]
        old, new = client.head_object(Bucket=bucket, Key=key), client.head_object(Bucket="data-lake", Key=target)
        alike = names[:-1] if bucket == "scripts" else names  # the paths in scripts are longer now
        assert {n: old.get(n) for n in alike} == {n: new.get(n) for n in alike}
        tags = [client.get_object_tagging(Bucket=b, Key=k)["TagSet"] for b, k in ((bucket, key), ("data-lake", target))]
        assert tags[0] == tags[1]
        compared += bool(tags[0]) and bool(old["ContentLength"])
    assert compared == 6


def test_no_cutover_then_cutover(world: World) -> None:
    before = world.lake.tables
    plan = world.plan()
    output = world.run("migrate", plan, "--yes", "--no-cutover").stdout
    assert "No cutover yet" in output
    assert "data-lake/warehouse/ops/audit_log/metadata/version-hint.text" not in world.listing("data-lake")
    with closing(
        SqlCatalog("iceberg", uri=world.lake.catalogs["iceberg"]["uri"], **world.server.properties())
    ) as catalog:
        assert catalog.load_table("bronze.raw_events").metadata_location == before["iceberg.bronze.raw_events"]
    status = json.loads(world.run("status", plan, "--json").stdout)
    assert status["phase"] == "ready for cutover" and status["pointers_changed"] == 0
    world.run("verify", plan)
    migrated = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
    assert (migrated["copied_objects"], migrated["rewritten_files"]) == (0, 0)
    assert migrated["pointers_changed"] == 9  # of six tables, one of them a version hint, and three namespaces
    assert json.loads(world.run("status", plan, "--json").stdout)["phase"] == "finished"


def test_rewriting_on_all_cores_gives_the_same_target(
    world: World, shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("migrate", world.plan("threads.db"), "--yes")
    expected = world.listing("data-lake")
    world.remove_target()
    shutil.copy(shared_world.folder / "catalog.pristine", shared_world.folder / "catalog.db")
    monkeypatch.setattr("migrator.rewriting.rewriter.PARALLEL_ABOVE", 0)
    world.run("migrate", world.plan("processes.db"), "--yes")
    found = world.listing("data-lake")
    assert {k: v[:2] for k, v in found.items()} == {k: v[:2] for k, v in expected.items()}


def test_a_new_plan_after_no_cutover_copies_nothing_again(world: World) -> None:
    world.run("migrate", world.plan("first.db"), "--yes", "--no-cutover")
    second = world.plan("second.db")
    described = json.loads(world.run("show", second, "--json").stdout)
    assert described["actions"]["copy"]["objects"] == 0
    assert described["actions"]["rewrite"]["objects"] == 0
    assert described["actions"]["pointer"]["objects"] == 1  # the version hint
    assert {t["state"] for t in described["tables"]} == {"rewritten"}
    world.run("migrate", second, "--yes")
    assert "Nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout


def test_a_table_written_to_after_the_cutover_is_left_alone(world: World) -> None:
    """A later plan must not bring back files that the new table has removed, or overwrite its files."""
    first = world.plan()
    world.run("migrate", first, "--yes")
    with closing(
        SqlCatalog("iceberg", uri=world.lake.catalogs["iceberg"]["uri"], **world.server.properties())
    ) as catalog:
        table = catalog.load_table("silver.legacy_v1")
        table.delete("event_id < 60")
        dead = set(live_files(world, "data-lake", "silver.db/legacy_v1/data")) - set(old_lake.data_files(table))
        table.maintenance.expire_snapshots().older_than(datetime(2100, 1, 1)).commit()
        expected = rows(table)
    for uri in dead:  # as the new table's owner would, after expiring the snapshots that named them
        world.client.delete_object(Bucket="data-lake", Key=uri.partition("data-lake/")[2])
    state = world.listing("data-lake")
    later = world.plan("later.db")
    described = json.loads(world.run("show", later, "--json").stdout)
    assert not described["changes_pending"] and not described["blocked"]
    (left,) = [f for f in described["findings"] if f["code"] == "left-behind"]
    assert left["count"] == len(dead) == 2
    for plan in (first, later):
        assert "Nothing to do" in world.run("migrate", plan, "--yes").stdout
    assert world.listing("data-lake") == state
    world.run("verify", later)
    with closing(
        SqlCatalog("iceberg", uri=world.lake.catalogs["iceberg"]["uri"], **world.server.properties())
    ) as catalog:
        assert rows(catalog.load_table("silver.legacy_v1")) == expected


def test_every_json_key_is_documented(world: World) -> None:
    plan = world.plan()
    documents = [
        world.run(*command, "--json").stdout
        for command in (
            ("tables", "--config", world.config),
            ("show", plan),
            ("migrate", plan, "--yes"),
            ("verify", plan),
            ("status", plan),
        )
    ]
    for document in documents:
        assert keys_of(json.loads(document)) - documented_keys() == set()


def documented_keys() -> set[str]:
    """Every word that migrator/reference/json-keys.md has as code."""
    return set(re.findall(r"`(\w+)`", reference.text(reference.JSON_KEYS)))


def keys_of(value: Any) -> set[str]:
    """Every key in a document, except those that are data: names of rules, catalogs, actions, tables."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if not isinstance(value, dict):
        return set()
    data = {"layout", "catalogs", "actions", "pointers", "proofs", "reasons", "snapshot_days"}
    if isinstance(value.get("buckets"), dict):  # bucket → its numbers
        value = {**value, "buckets": list(value["buckets"].values())}
    return set(value) | {key for name, item in value.items() if name not in data for key in keys_of(item)}


def live_files(world: World, bucket: str, part: str) -> list[str]:
    return [f"s3a://{place}" for place in world.listing(bucket) if part in place]


def test_a_lake_in_use_is_copied_and_cut_over_later(world: World) -> None:
    """The guide's order: --no-cutover while writers run, then a new plan, then the cutover."""
    uri, old = world.lake.catalogs["iceberg"]["uri"], set(world.listing("bronze"))
    early = world.plan("early.db")
    with closing(SqlCatalog("iceberg", uri=uri, **world.server.properties())) as catalog:
        catalog.load_table("silver.legacy_v1").append(old_lake._events(900, 10))
        expected = rows(catalog.load_table("silver.legacy_v1"))
    try:
        world.run("migrate", early, "--yes", "--no-cutover")
        assert "moved on since planning" in world.run("migrate", early, "--yes", exit_code=4).stderr
        late = world.plan("late.db")
        migrated = json.loads(world.run("migrate", late, "--yes", "--json").stdout)
        assert migrated["copied_objects"] == 1  # the new data file
        assert migrated["rewritten_files"] < 12  # of legacy_v1 alone
        with closing(SqlCatalog("iceberg", uri=uri, **world.server.properties())) as catalog:
            assert rows(catalog.load_table("silver.legacy_v1")) == expected
    finally:
        for place in set(world.listing("bronze")) - old:
            world.client.delete_object(Bucket="bronze", Key=place.partition("/")[2])


def test_options_instead_of_a_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog comes from pyiceberg's own configuration, and another bucket is the target."""
    monkeypatch.setenv("PYICEBERG_CATALOG__ICEBERG__URI", world.lake.catalogs["iceberg"]["uri"])
    options = ["--endpoint-url", world.server.endpoint_url, "--target", "one-lake", "--catalog", "iceberg"]
    plan = world.folder / "options.db"
    try:
        world.run("plan", *options, "-o", plan, "--detailed-exitcode", exit_code=5)
        migrated = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
        assert len(migrated["tables_cut_over"]) == 5  # of the SQL catalog; the Hadoop catalog is not given
        world.run("plan", *options, "--detailed-exitcode")
        with closing(
            SqlCatalog("iceberg", uri=world.lake.catalogs["iceberg"]["uri"], **world.server.properties())
        ) as catalog:
            location = catalog.load_table("gold.daily_sales").metadata_location
        assert location.startswith("s3a://one-lake/warehouse/gold.db/daily_sales/metadata/")
    finally:
        old_lake.delete_buckets(world.client, ["one-lake"])


def test_texts_with_old_paths_are_no_difference(world: World) -> None:
    """Row 7, pitfall 22: a summary does not change, even if it is a path; nor does a property that lists paths. Flink
    finds its last commit by one such key, Spark its queries by another."""
    summary = {"flink.max-committed-checkpoint-id": "7", "queryId": "0c7e", "snapshot-property.from": "s3a://bronze/in"}
    bucket, _, key = world.lake.tables["iceberg.silver.legacy_v1"].partition("://")[2].partition("/")
    document = json.loads(world.client.get_object(Bucket=bucket, Key=key)["Body"].read())
    document["snapshots"][-1]["summary"] |= summary
    document["properties"]["inputs"] = "s3a://bronze/a,s3a://bronze/b"
    with world.replaced(bucket, key, json.dumps(document).encode()):
        plan = world.plan()
        world.run("migrate", plan, "--yes")
        world.run("verify", plan)
    uri = world.lake.catalogs["iceberg"]["uri"]
    with closing(SqlCatalog("iceberg", uri=uri, **world.server.properties())) as catalog:
        table = catalog.load_table("silver.legacy_v1")
    assert table.metadata.location.startswith("s3a://data-lake/")
    assert table.properties["inputs"] == "s3a://bronze/a,s3a://bronze/b"
    found = table.current_snapshot()
    assert found is not None and found.summary is not None
    assert summary.items() <= found.summary.additional_properties.items()


def test_python_without_the_command_line(world: World) -> None:
    from migrator import load_settings, migrate_lake, plan_lake, plan_status, verify_lake

    plan = plan_lake(load_settings(world.config), world.folder / "api.db")
    assert not plan["blocked"] and plan["changes_pending"]
    assert migrate_lake(plan["plan"]).ok
    assert verify_lake(plan["plan"]).ok
    assert plan_status(plan["plan"]).complete


def test_a_postgres_catalog(tmp_path: Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with build_world(tmp_path, objects=20, catalog_uri=postgres_database) as world:
        for name, value in world.server.environ().items():
            monkeypatch.setenv(name, value)
        before = read_all(world)
        plan = world.plan()
        shown = world.run("show", plan).output + world.run("migrate", plan, "--yes").output
        assert PASSWORD not in shown and PASSWORD.encode() not in plan.read_bytes()
        old_lake.delete_buckets(world.client)
        assert read_all(world) == before
        world.run("verify", plan)
