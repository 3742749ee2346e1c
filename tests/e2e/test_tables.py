"""``migrator tables``: its output for the demo's lake, and that it changes nothing."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing

import pyarrow.parquet as pq

from e2e.world import World


def test_every_table_is_described(world: World) -> None:
    before = world.listing("warehouse", "bronze", "silver", "gold")
    document = json.loads(world.run("tables", "--config", world.config, "--json").stdout)
    tables = {t["identifier"]: t for t in document["tables"]}
    assert {*world.lake.tables} - {"forgotten"} <= set(tables)
    assert all(t["migratable"] and not t["problems"] for t in tables.values() if t["catalog"])
    sales = tables["iceberg.gold.daily_sales"]
    assert [d["kind"] for d in sales["deletes"]] == ["position deletes"] and sales["delete_bytes"] > 0
    assert sales["format_version"] == 2 and sales["data_bytes"] > 0 and "position deletes" in sales["features"]
    assert tables["iceberg.silver.legacy_v1"]["format_version"] == 1
    text = world.run("tables", "--config", world.config).stdout
    assert "iceberg.gold.daily_sales  v2" in text and "can be migrated" in text
    assert world.listing("warehouse", "bronze", "silver", "gold") == before
    assert "data-lake" not in world.buckets() and not list(world.folder.glob("*.db"))


def test_a_table_that_cannot_be_migrated_is_named_and_the_exit_code_says_so(world: World) -> None:
    bucket, _, key = world.lake.tables["iceberg.gold.empty"].partition("://")[2].partition("/")
    document = json.loads(world.client.get_object(Bucket=bucket, Key=key)["Body"].read())
    document["encryption-keys"] = [{"key-id": "k", "encrypted-key-metadata": "AAAA"}]
    with world.replaced(bucket, key, json.dumps(document).encode()):
        output = world.run("tables", "--config", world.config, exit_code=3).stdout
    assert "blocked: encrypted-table" in output and "1 of them blocked" in output


def test_an_accepted_size_is_accepted_to_the_end(world: World) -> None:
    """A data file has another size than its manifest records, and the rows are right all the same."""
    key = next(k.partition("/")[2] for k in world.listing("bronze") if "silver.db/legacy_v1/data/" in k)
    data = world.client.get_object(Bucket="bronze", Key=key)["Body"].read()
    sink = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(data)), sink, compression="none", write_statistics=False)
    assert len(sink.getvalue()) != len(data)
    with world.replaced("bronze", key, sink.getvalue()):
        world.plan("blocked.db", exit_code=3)
        plan = world.plan("plan.db", "--accept", "size-differs")
        world.run("migrate", plan, "--yes")
        document = json.loads(world.run("verify", plan, "--json").stdout)
    notes = [note for check in document["checks"] for note in check["notes"]]
    assert document["ok"] and any("size-differs, accepted" in note and "legacy_v1" in note for note in notes)


def test_a_table_is_left_out_by_name_and_named_at_the_end(world: World) -> None:
    uri = world.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///")
    old = world.lake.tables["iceberg.gold.empty"]
    assert "Did you mean" in world.run("plan", "--config", world.config, "--leave", "gold.emty", exit_code=2).stderr
    plan = world.plan("plan.db", "--leave", "gold.empty")
    world.run("migrate", plan, "--yes")
    assert f"iceberg.gold.empty was left at {old} on purpose" in " ".join(world.run("verify", plan).stdout.split())
    with closing(sqlite3.connect(uri)) as db:
        pointers = dict(db.execute("SELECT table_name, metadata_location FROM iceberg_tables"))
    assert pointers.pop("empty") == old
    assert all("://data-lake/" in pointer for pointer in pointers.values())
